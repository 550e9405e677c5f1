// A channel as a stream to write events to.

import { Writable } from 'node:stream'

import { checkChannel, publish, type EventInput } from './event'
import { native } from './errors'
import type { Bridge } from './bridge'

/**
 * A named sequence of events, as an object-mode `Writable`: what is written to it is published.
 *
 * With GRIP it takes so many events at a time as it has sent to the proxies without an answer, and no more than 16.
 * An event that cannot be published destroys it with the error, as with any stream; a proxy that does not take an event
 * does not: that is told by `publishError` of the `Events`.
 */
export class Channel<T = unknown> extends Writable {
  /** Its name. */
  readonly channel: string
  readonly #bridge: Bridge
  #inFlight = 0
  #waiting: (() => void) | undefined

  /** @internal */
  constructor (bridge: Bridge, channel: string) {
    checkChannel(channel)
    native(() => bridge.native.streams(channel)) // refuses a name that is none now, not at the first write
    super({ objectMode: true, highWaterMark: MAX_IN_FLIGHT })
    this.channel = channel
    this.#bridge = bridge
  }

  /** Streams and subscriptions of this process that read it now. */
  get streams (): number {
    return native(() => this.#bridge.native.streams(this.channel))
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
    this.#inFlight++
    const settle = (): void => {
      this.#inFlight--
      const waiting = this.#waiting
      this.#waiting = undefined
      waiting?.()
    }
    published.then(settle, settle)
    if (this.#inFlight < MAX_IN_FLIGHT) done()
    else this.#waiting = done
  }

  /** @internal */
  override _final (done: (error?: Error | null) => void): void {
    if (this.#inFlight === 0) done()
    else this.#waiting = () => { this._final(done) }
  }
}

const MAX_IN_FLIGHT = 16
