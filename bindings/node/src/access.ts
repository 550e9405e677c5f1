// Who may have which channels.

import { Forbidden, errorOf } from './errors'
import { log, type Logger } from './logger'
import type { NativeAccess } from './native'

/**
 * What a function says of a request: `true` for the channels that the client names with `?channel=`, `false` for no
 * stream, or the channels, whatever the client asks for; with `user` when the stream is somebody's.
 */
export type Decision = boolean | string | readonly string[] | { channels?: string | readonly string[], user?: string }

/**
 * The channels of a mounted endpoint: absent for those that the client names with `?channel=`, a list for always those,
 * or a function of the request, which may be async. When it throws the client is told `forbidden`, and when it returns
 * something else `internal-error`; the client does not come back. Only the message of a thrown `Forbidden` is shown to it,
 * other errors are logged.
 */
export type Channels<Source> = string | readonly string[] | ((source: Source) => Decision | Promise<Decision>)

/** How a mount decides. */
export interface Access<Source> {
  /** The decision that is the same for every request. */
  fixed?: NativeAccess
  decide: (source: Source) => NativeAccess | Promise<NativeAccess>
}

export function accessOf<Source> (channels: Channels<Source> | undefined, logger: Logger): Access<Source> {
  if (typeof channels !== 'function') {
    const fixed = channels === undefined ? {} : { channels: listOf(channels) }
    return { fixed, decide: () => fixed }
  }
  const report = (error: unknown): void => {
    log(logger, 'error', `the function that chooses the channels of a stream has failed: ${(error as Error)?.stack ?? String(error)}`)
  }
  const refuse = (error: unknown): NativeAccess => {
    if (error instanceof Forbidden) return { forbidden: error.message || REFUSED }
    report(error)
    return { forbidden: REFUSED }
  }
  const accept = (decision: Decision): NativeAccess => {
    try {
      return read(decision)
    } catch (error) {
      report(error)
      return { failed: FAILED }
    }
  }
  return {
    decide (source) {
      let decision
      try {
        decision = channels(source)
      } catch (error) {
        return refuse(error)
      }
      // Of whatever library or realm the promise is.
      return isPromise(decision) ? Promise.resolve(decision).then(accept, refuse) : accept(decision)
    }
  }
}

function read (decision: Decision): NativeAccess {
  if (decision === true) return {}
  if (decision === false) return { forbidden: REFUSED }
  if (typeof decision === 'string' || Array.isArray(decision)) return { channels: listOf(decision as string | string[]) }
  if (typeof decision === 'object' && decision !== null) {
    const { channels, user } = decision as { channels?: string | readonly string[], user?: string }
    if (user !== undefined && typeof user !== 'string') throw wrong(`a user of type ${typeof user}`)
    return { channels: channels === undefined ? undefined : listOf(channels), user }
  }
  throw wrong(String(decision))
}

function listOf (channels: string | readonly string[]): string[] {
  const list = typeof channels === 'string' ? [channels] : channels
  if (!Array.isArray(list) || !list.every(channel => typeof channel === 'string')) {
    throw wrong('something else than names')
  }
  return [...list]
}

function wrong (what: string): Error {
  return errorOf('invalid-argument', `channels are given as a string, a list of strings, true, false or { channels, user }; this was ${what}`)
}

function isPromise<T> (value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T>)?.then === 'function'
}

const REFUSED = 'the stream is not allowed'
const FAILED = 'the application failed'
