// One stream for all tabs of a browser.

import { client } from './client.js'
import { tabs } from './tabs.js'

export { eventsOf } from './loop.js'

/** See index.d.ts. */
export function connect (url, options) {
  return client(url, options, tabs)
}
