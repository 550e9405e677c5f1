// Client libraries that run in Node. Each opens `url` as its documentation shows, calls `hear(name, data)` with events, and
// gives back how it is closed.

import { createRequire } from 'node:module'
import { EventSource as Fourth } from 'eventsource-4'
import { EventSource as Third } from 'eventsource-3'
import { createEventSource } from 'eventsource-client'

const require = createRequire(import.meta.url)
const Second = require('eventsource-2')
const { EventSource: LaunchDarkly } = require('launchdarkly-eventsource')

const NAMES = ['stream-open', 'stream-reset', 'stream-close', 'stream-error', 'tick']

export const clients = {
  'eventsource 2': (url, hear) => listen(new Second(url), hear),
  'eventsource 3': (url, hear) => listen(new Third(url), hear),
  'eventsource 4': (url, hear) => listen(new Fourth(url), hear),
  'eventsource-client': (url, hear) => {
    const source = createEventSource({ url, onMessage: ({ event, data }) => hear(event, data) })
    return () => source.close()
  },
  'launchdarkly-eventsource': (url, hear) => listen(new LaunchDarkly(url), hear)
}

function listen (source, hear) {
  for (const name of NAMES) source.addEventListener(name, ({ data }) => hear(name, data))
  source.addEventListener('error', () => {}) // some throw where nobody listens
  return () => source.close()
}
