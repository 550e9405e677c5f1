// Tickets that decide who may read what, for clients that send no headers.

import { errorOf, translated } from './errors'
import { checkTickets, type NativeTickets } from './native'

/** How long tickets are good. */
export interface TicketsOptions {
  /** How many seconds after it was made a ticket opens a new stream: 1 to 3,600, by default 30. */
  openWithinS?: number
  /** How many seconds after it was made a ticket ends, and its stream with it: 1 to 604,800, by default 3,600. */
  lastsS?: number
}

/**
 * Tickets of one kind: what `events.ticket` makes with them, a mount takes that has them as its `channels`, and no other. `name` tells
 * them from those for other mounts.
 *
 * A ticket is for `?ticket=` in the URL of an `EventSource`, which sends no headers. It opens a new stream for `openWithinS` seconds, and
 * for `lastsS` seconds lets a client go on that has read from these events before. It has one stream at a time in each process: the newest.
 */
export class Tickets {
  readonly #native: NativeTickets

  constructor (name: string, { openWithinS, lastsS, ...more }: TicketsOptions = {}) {
    const unknown = Object.keys(more)
    if (unknown.length > 0) throw errorOf('invalid-argument', `Tickets take openWithinS and lastsS, not ${unknown.join(', ')}`)
    if (typeof name !== 'string') throw errorOf('invalid-argument', `the name of Tickets is a string, not a value of type ${typeof name}`)
    this.#native = { name, openWithinS: seconds(openWithinS, 'openWithinS'), lastsS: seconds(lastsS, 'lastsS') }
    translated(() => { checkTickets(this.#native) })
  }

  /** @internal */
  native (): NativeTickets { return this.#native }
}

/** What the native half can take; it says what is allowed. */
function seconds (given: number | undefined, name: string): number | undefined {
  if (given === undefined || (Number.isInteger(given) && given >= 0 && given <= 0xffff_ffff)) return given
  throw errorOf('invalid-argument', `${name} takes a whole number of seconds, not ${String(given)}`)
}
