// How long closing may take.

import { errorOf } from './errors'

export interface CloseOptions {
  /** Milliseconds within which it is to be done. Default: 5,000. */
  timeoutMs?: number
}

export function timeoutOf ({ timeoutMs = 5_000, ...unknown }: CloseOptions): number {
  for (const name of Object.keys(unknown)) throw errorOf('invalid-argument', `closing takes timeoutMs, not ${name}`)
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0 && timeoutMs <= LONGEST_MS)) {
    throw errorOf('invalid-argument', `timeoutMs takes milliseconds from 0 to ${LONGEST_MS}, not ${String(timeoutMs)}`)
  }
  return timeoutMs
}

/** As long as a timer of Node can take. */
const LONGEST_MS = 2 ** 31 - 1
