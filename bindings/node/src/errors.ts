// Errors: classes by what a caller does next, codes for what exactly was wrong.

import { isNativeError } from 'node:util/types'

/** What was wrong. The codes are the same in all languages. */
export type ErrorCode =
  | 'invalid-config' | 'invalid-channel' | 'invalid-event' | 'too-large' | 'invalid-argument'
  | 'closed' | 'timeout' | 'queue-full' | 'forked' | 'io'
  | 'proxy-unavailable' | 'proxy-rejected' | 'unauthorized' | 'journal-unavailable' | 'journal-rejected'
  | 'internal' | 'in-callback'

/** Any error of evstream. The message is for people and may change; match on `code`. */
export class EvstreamError extends Error {
  readonly code: ErrorCode

  constructor (code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** Whether the same call may succeed later. */
  get retryable (): boolean {
    return RETRYABLE.has(this.code)
  }

  override get name (): string {
    return this.constructor.name
  }
}

/** A setting that does not exist or has a value that is not allowed: `invalid-config`. */
export class ConfigError extends EvstreamError {}

/** What was given cannot be used: `invalid-channel`, `invalid-event`, `too-large`, `invalid-argument`. */
export class ArgumentError extends EvstreamError {}

/** The `Events` or server is closed: `closed`. */
export class ClosedError extends EvstreamError {}

/** The time given was not enough: `timeout`. */
export class TimeoutError extends EvstreamError {}

/** A GRIP proxy did not take an event: `proxy-unavailable`, `proxy-rejected`, `unauthorized`, `queue-full`. */
export class ProxyError extends EvstreamError {}

/** The journal did not take an event: `journal-unavailable`, `journal-rejected`. */
export class JournalError extends EvstreamError {}

/** The operating system refused: `io`. */
export class IoError extends EvstreamError {}

/** The call waits for functions of the application to end, and one of them has made it: `in-callback`. */
export class CallbackError extends EvstreamError {}

/** A bug in evstream: `internal`. */
export class InternalError extends EvstreamError {}

const FORBIDDEN = Symbol.for('evstream.Forbidden')

/** Thrown by a function that chooses channels, it tells the client `forbidden` with this message. */
export class Forbidden extends Error {
  override readonly name = 'Forbidden'
  /** @internal */
  readonly [FORBIDDEN] = true
}

/** Also of another copy of this module, which a test runner may have loaded. */
export function isForbidden (error: unknown): error is Forbidden {
  return (error as Partial<Forbidden> | undefined | null)?.[FORBIDDEN] === true
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['timeout', 'queue-full', 'io', 'proxy-unavailable', 'journal-unavailable'])

const CLASSES: Record<ErrorCode, new (code: ErrorCode, message: string, options?: ErrorOptions) => EvstreamError> = {
  'invalid-config': ConfigError,
  'invalid-channel': ArgumentError,
  'invalid-event': ArgumentError,
  'too-large': ArgumentError,
  'invalid-argument': ArgumentError,
  closed: ClosedError,
  timeout: TimeoutError,
  'queue-full': ProxyError,
  forked: InternalError,
  io: IoError,
  'proxy-unavailable': ProxyError,
  'proxy-rejected': ProxyError,
  unauthorized: ProxyError,
  'journal-unavailable': JournalError,
  'journal-rejected': JournalError,
  internal: InternalError,
  'in-callback': CallbackError
}

/** An error of `code`, of the class that goes with it. */
export function errorOf (code: ErrorCode, message: string, options?: ErrorOptions): EvstreamError {
  return new CLASSES[code](code, message, options)
}

/** Reads what the native half says: `code: sentence`. */
export function readError (text: string, options?: ErrorOptions): EvstreamError {
  const end = text.indexOf(': ')
  const code = text.slice(0, end)
  if (end > 0 && Object.hasOwn(CLASSES, code)) return errorOf(code as ErrorCode, text.slice(end + 2), options)
  return errorOf('internal', text, options)
}

/** Calls the native half and gives its errors their classes. */
export function translated<T> (call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw translate(error)
  }
}

function translate (error: unknown): unknown {
  // The native half may have been loaded in another realm than this, such as that of Jest.
  if (!isNativeError(error) || error instanceof EvstreamError) return error
  const { code } = error as { code?: string }
  // A value of a type that the call does not take.
  if (code !== 'GenericFailure' && code?.endsWith('Expected')) return errorOf('invalid-argument', error.message)
  if (code === 'InvalidArg') return errorOf('invalid-argument', error.message)
  return readError(error.message)
}
