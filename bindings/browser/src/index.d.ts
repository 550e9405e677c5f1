// One stream for all tabs of a browser.

import type { Client, CoreOptions } from './core.js'

export { eventsOf } from './core.js'
export type { Client, CoreOptions, ReceivedEvent, Snapshot, Status, StreamError } from './core.js'

export interface Options extends CoreOptions {
  /**
   * Whose stream this is: `public`, or a user and session. Tabs with the same URL, channels and identity share one stream, so say nothing
   * here that two users could have in common. Without it each tab has a stream of its own.
   */
  identity?: string
  /** False: a stream of its own for this tab, whatever the identity. */
  share?: boolean
}

/**
 * Opens a stream, which resumes where it was until it is closed, and which tabs of the same `identity` share. They have streams of their own
 * where the browser has no Web Locks, as on plain http to other hosts than localhost.
 */
export function connect(url: string | URL, options?: Options): Client
