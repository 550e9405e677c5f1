// Reading channels inside the process.

import { translated } from './errors'
import type { Bridge } from './bridge'
import type { NativeMessage, NativeSubscription } from './native'

/** An event, as a subscriber sees it. */
export interface ReceivedEvent<Name extends string = string, T = unknown> {
  type: 'event'
  /** The channel it was published to. */
  channel: Name
  /** Its type; `message` when it was published without one. */
  event: string
  /** Its value; undefined when its text is not JSON. */
  data: T
  /** Its text as it is sent. */
  text: string
  /** Its place. */
  position: string
}

/** Events of these channels were missed, because the subscriber was too slow. Reading goes on after `position`. */
export interface Reset {
  type: 'reset'
  channels: string[]
  position: string
}

/** What a subscription gives. */
export type Message<Name extends string = string, T = unknown> = ReceivedEvent<Name, T> | Reset

/** An endless iterator over messages; leaving the loop, or `return()`, ends it. It does not keep the process alive. */
export class Subscription<M> implements AsyncIterableIterator<M> {
  readonly #bridge: Bridge
  readonly #native: NativeSubscription
  readonly #id: number
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = (): void => { this.#end(true) }
  #ready: NativeMessage[] = []
  #next = 0
  #waiting: Array<{ resolve: (result: IteratorResult<M>) => void, reject: (error: unknown) => void }> = []
  #ended = false
  #aborted = false

  /** @internal */
  constructor (bridge: Bridge, channels: string[], signal?: AbortSignal) {
    signal?.throwIfAborted()
    bridge.checkOpen()
    this.#bridge = bridge
    this.#id = bridge.register(() => { this.#serve() })
    try {
      this.#native = translated(() => bridge.native.subscribe(channels, this.#id))
    } catch (error) {
      bridge.forget(this.#id)
      throw error
    }
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  next (): Promise<IteratorResult<M>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#serve()
    })
  }

  return (): Promise<IteratorResult<M>> {
    this.#end(false)
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    this.#end(false)
  }

  #serve (): void {
    while (this.#waiting.length > 0 && !this.#aborted) {
      const message = this.#take()
      if (!message) break
      this.#waiting.shift()!.resolve({ done: false, value: messageOf(message) as M })
    }
    if (!this.#ended) return
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#aborted) reject(this.#signal?.reason)
      else resolve({ done: true, value: undefined })
    }
  }

  #take (): NativeMessage | undefined {
    if (this.#next >= this.#ready.length && !this.#ended) {
      const { messages, ended } = this.#native.take(MESSAGES_AT_ONCE)
      this.#ready = messages
      this.#next = 0
      if (ended) this.#close()
    }
    return this.#next < this.#ready.length ? this.#ready[this.#next++] : undefined
  }

  #end (aborted: boolean): void {
    if (this.#ended) return
    this.#ready = []
    this.#next = 0
    this.#aborted = aborted
    this.#close()
    this.#serve()
  }

  #close (): void {
    this.#ended = true
    this.#native.close()
    this.#bridge.forget(this.#id)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}

function messageOf (message: NativeMessage): Message {
  const { channel, name = 'message', text, channels, position } = message
  if (channels) return { type: 'reset', channels, position }
  return { type: 'event', channel: channel!, event: name, data: parse(text!), text: text!, position }
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const MESSAGES_AT_ONCE = 256
