// A channel as a stream to write events to.

import { Writable } from 'node:stream'

import { translated } from './errors'
import { checkChannel, publish, type EventInput } from './event'
import { InFlight, MAX_IN_FLIGHT } from './inflight'
import type { Bridge } from './bridge'
import type { Unheard } from './unheard'

/**
 * A named sequence of events, as an object-mode `Writable`: what is written to it is published.
 *
 * With GRIP it takes so many events at a time as it has sent to the proxies without an answer, and no more than 16.
 * An event that cannot be published destroys it with the error, which is logged when nobody listens to `error`; a proxy
 * that does not take an event does not: that is told by `publishError` of the `Events`.
 */
export class Channel<T = unknown> extends Writable {
  /** Its name. */
  readonly channel: string
  readonly #bridge: Bridge
  readonly #inFlight = new InFlight()

  /** @internal */
  constructor (bridge: Bridge, unheard: Unheard, channel: string) {
    checkChannel(channel)
    bridge.checkOpen()
    translated(() => bridge.native.streams(channel)) // refuses a name that is none now, not at the first write
    super({ objectMode: true, highWaterMark: MAX_IN_FLIGHT })
    this.channel = channel
    this.#bridge = bridge
    // Names and data often come from clients: they must not end the process.
    this.on('error', error => { if (this.listenerCount('error') === 1) unheard.report(error) })
  }

  /** Streams and subscriptions of this process that read it now. */
  get streams (): number {
    return translated(() => this.#bridge.native.streams(this.channel))
  }

  /** @internal */
  override _write (event: EventInput<T>, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    let published
    try {
      published = publish(this.#bridge, this.channel, event)
    } catch (error) {
      done(error as Error)
      return
    }
    this.#inFlight.add(published, done)
  }

  /** @internal */
  override _final (done: (error?: Error | null) => void): void {
    this.#inFlight.end(done)
  }
}
