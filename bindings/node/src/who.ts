// Which streams are meant, and ending them.

import type { Bridge } from './bridge'
import { errorOf, translated } from './errors'
import type { NativeEnded, OpenStream } from './native'

/** Streams that have all of these; one at least is named, or all streams are meant by saying so. */
export interface Who {
  /** Of the user of that name, as the function that chooses the channels has named them. */
  user?: string
  /** That read the channel of that name, among others perhaps. */
  channel?: string
  /** The one with that `id`, see `StreamInfo`. */
  stream?: string
  /** All streams there are. */
  everyone?: true
}

/** What ending streams gives back. */
export interface Ended {
  /** Whether only streams of this process have ended, for want of a journal. */
  localOnly: boolean
}

/** Ends streams whose clients come back. Throws when it cannot; the promise waits for the journal. */
export function reopen (bridge: Bridge, who: Who): Promise<Ended> {
  const { user, channel, stream, everyone } = checkWho(who)
  return told(bridge, () => bridge.native.reopen(user, channel, stream, everyone === true))
}

/** Ends streams whose clients do not come back, and are told this text. Throws when it cannot; the promise waits for the journal. */
export function disconnect (bridge: Bridge, who: Who, text: string): Promise<Ended> {
  const { user, channel, stream, everyone } = checkWho(who)
  if (typeof text !== 'string') throw errorOf('invalid-argument', `what clients are told is a string, not a value of type ${typeof text}`)
  return told(bridge, () => bridge.native.disconnect(text, user, channel, stream, everyone === true))
}

/** The streams of this process that are meant. */
export function streams (bridge: Bridge, who: Who): OpenStream[] {
  const { user, channel, stream, everyone } = checkWho(who)
  bridge.checkOpen()
  return translated(() => bridge.native.list(user, channel, stream, everyone === true))
}

function told (bridge: Bridge, end: () => NativeEnded | null): Promise<Ended> {
  bridge.checkOpen()
  const ended = translated(end)
  if (!ended) return Promise.resolve({ localOnly: true })
  return bridge.wait(id => translated(() => ended.told(id))).then(() => ({ localOnly: false }))
}

/** A field that is misspelt, or there and undefined, must not mean more streams than were meant. */
function checkWho (who: Who): Who {
  if (typeof who !== 'object' || who === null) throw wrong(`not ${who === null ? 'null' : `a value of type ${typeof who}`}`)
  for (const [name, value] of Object.entries(who)) {
    if (name === 'everyone' ? value === true : FIELDS.has(name) && typeof value === 'string') continue
    throw wrong(FIELDS.has(name) || name === 'everyone' ? `not with ${name}: ${String(value)}` : `and no ${name}`)
  }
  return who
}

function wrong (what: string): Error {
  return errorOf('invalid-argument', `streams are meant by an object with user, channel or stream, each a string, or everyone: true; ${what}`)
}

const FIELDS = new Set(['user', 'channel', 'stream'])
