// How long closing may take.

import { errorOf } from './errors'

export interface CloseOptions {
  /** Milliseconds within which it is to be done. Default: 5,000. */
  timeoutMs?: number
  /** The same as `timeoutMs`. */
  timeout?: number
}

export function timeoutOf ({ timeout, timeoutMs = timeout ?? 5_000 }: CloseOptions): number {
  if (timeout !== undefined && timeout !== timeoutMs) {
    throw errorOf('invalid-argument', 'timeout and timeoutMs are the same; give one of them')
  }
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0 && timeoutMs <= LONGEST_MS)) {
    throw errorOf('invalid-argument', `timeoutMs takes milliseconds from 0 to ${LONGEST_MS}, not ${String(timeoutMs)}`)
  }
  return timeoutMs
}

/** As long as a timer of Node can take. */
const LONGEST_MS = 2 ** 31 - 1
