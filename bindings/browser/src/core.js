// One stream for each client, without what tabs share.

import { client } from './client.js'
import { source } from './source.js'

export { eventsOf } from './loop.js'

/** See index.d.ts. */
export function connect (url, options) {
  return client(url, options, source)
}
