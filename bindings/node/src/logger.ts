// Where the log goes.

import { debuglog } from 'node:util'

/** Takes lines of the log; levels that are absent are dropped. `console` is one. */
export interface Logger {
  debug?: (message: string) => void
  info?: (message: string) => void
  warn?: (message: string) => void
  error?: (message: string) => void
}

/**
 * The logger to use when the application gives none: warnings and errors to the console; everything to the standard
 * error when `DEBUG` or `NODE_DEBUG` names `evstream`.
 */
export function defaultLogger (): Logger {
  if (debuglog('evstream').enabled || /(^|[\s,])(\*|evstream[:*]*)(?=$|[\s,])/.test(process.env['DEBUG'] ?? '')) {
    const line = (level: string) => (message: string) => { console.error(`evstream ${level}: ${message}`) }
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  }
  const line = (message: string): void => { console.warn(`evstream: ${message}`) }
  return { warn: line, error: line }
}

/** The least level that a logger takes; undefined when it takes none. */
export function levelOf (logger: Logger): string | undefined {
  return LEVELS.find(level => typeof logger[level] === 'function')
}

export function log (logger: Logger, level: string, message: string): void {
  const known = LEVELS.find(name => name === level) ?? 'debug'
  // Called on the logger: most loggers are objects with state.
  logger[known]?.(message)
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
