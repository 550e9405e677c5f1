// What is published, and what that gives back.

import { errorOf, readError, translated, type EvstreamError } from './errors'
import type { Bridge } from './bridge'

interface EventFields {
  /** The type; clients without one listen on `message`. No CR, LF or NUL, and not starting with `stream-`. */
  event?: string
  /** Asks clients to wait so many milliseconds before they reconnect. */
  retryMs?: number
  /** A comment, which clients ignore. */
  comment?: string
}

/** An event to publish. `data` is sent as JSON, so that a string becomes a JSON string. */
export interface DataEvent<T> extends EventFields {
  data: T
  text?: undefined
}

/** An event to publish whose text is sent as it is; CR, LF and CRLF each end a line. */
export interface TextEvent extends EventFields {
  text: string
  data?: undefined
}

/** An event to publish. */
export type EventInput<T = unknown> = DataEvent<T> | TextEvent

/** What publishing gives back. */
export interface Receipt {
  /** The place of the event, which clients see as its `id`. */
  position: string
  /** Streams and subscriptions of this process that get it. */
  streams: number
  /** Whether only clients of this process get it: there is neither a journal nor a GRIP proxy, which would bring it to those of others. */
  localOnly: boolean
  /** What became of it at each GRIP proxy; empty without one. */
  proxies: ProxyResult[]
}

/** What became of an event at a GRIP proxy. */
export interface ProxyResult {
  proxy: string
  /** Absent when the proxy took it. */
  error?: EvstreamError
}

/** Publishes at once; the promise waits for the proxies or the journal, and rejects when the journal did not get it. Throws when it cannot. */
export function publish (bridge: Bridge, channel: string, event: EventInput): Promise<Receipt> {
  checkChannel(channel)
  const { name, text, retryMs, comment } = checkEvent(event)
  bridge.checkOpen()
  const { position, streams, ticket } = translated(() => bridge.native.publish(channel, text, name, retryMs, comment))
  if (!ticket) return Promise.resolve({ position: position!, streams, localOnly: true, proxies: [] })
  return bridge.wait(id => translated(() => ticket.results(id))).then(results => ({
    position: ticket.position()!,
    streams,
    localOnly: false,
    proxies: results.map(({ proxy, error }) => error === undefined ? { proxy } : { proxy, error: readError(error) })
  }))
}

/** The name of a user's own channel. Throws when no stream would read it. */
export function userChannel (bridge: Bridge, user: string): string {
  if (typeof user !== 'string') throw errorOf('invalid-argument', `a user is named by a string, not ${typeOf(user)}`)
  bridge.checkOpen()
  return translated(() => bridge.native.userChannel(user))
}

/** The core says what a name may hold. */
export function checkChannel (channel: unknown): asserts channel is string {
  if (typeof channel !== 'string') {
    throw errorOf('invalid-channel', `the name of a channel is a string, not ${typeOf(channel)}`)
  }
}

/** Its parts, as the native half takes them. */
export function checkEvent (event: EventInput): { name: string | undefined, text: string, retryMs: number | undefined, comment: string | undefined } {
  if (typeof event !== 'object' || event === null) {
    throw errorOf('invalid-event', `an event is an object such as { event: 'message', data: { text: 'hi' } }, not ${typeOf(event)}`)
  }
  const { event: name, text, retryMs, comment } = event
  if (name !== undefined && typeof name !== 'string') {
    throw errorOf('invalid-event', `the type of an event is a string, not ${typeOf(name)}`)
  }
  if (retryMs !== undefined && !(Number.isSafeInteger(retryMs) && retryMs >= 0)) {
    throw errorOf('invalid-event', `retryMs takes a whole number of milliseconds, not ${typeOf(retryMs)}`)
  }
  if (comment !== undefined && typeof comment !== 'string') {
    throw errorOf('invalid-event', `the comment of an event is a string, not ${typeOf(comment)}`)
  }
  if (text !== undefined && typeof text !== 'string') {
    throw errorOf('invalid-event', `the text of an event is a string, not ${typeOf(text)}; use data for other values`)
  }
  if (text !== undefined && event.data !== undefined) {
    throw errorOf('invalid-event', 'an event has data or text, not both')
  }
  return { name, text: text ?? toJson(event.data), retryMs, comment }
}

function toJson (data: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(data)
  } catch (cause) {
    throw errorOf('invalid-event', `data cannot be written as JSON: ${(cause as Error).message}`, { cause })
  }
  if (json === undefined) {
    throw errorOf('invalid-event', `data cannot be written as JSON: it is ${typeOf(data)}`)
  }
  return json
}

function typeOf (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'number') return String(value)
  return `a value of type ${typeof value}`
}
