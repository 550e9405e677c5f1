// Client libraries that run in browsers. Each opens `url` as its documentation shows, and calls `hear(name, data)` with events.

const NAMES = ['stream-open', 'stream-reset', 'stream-close', 'stream-error', 'tick']

export const clients = {
  'the browser' (url, hear) {
    listen(new EventSource(url), hear)
  },

  async 'event-source-polyfill' (url, hear) {
    await script('/node_modules/event-source-polyfill/src/eventsource.js')
    listen(new window.EventSourcePolyfill(url), hear)
  },

  async 'reconnecting-eventsource' (url, hear) {
    const { default: ReconnectingEventSource } = await import('/node_modules/reconnecting-eventsource/build/esm/reconnecting-eventsource.js')
    listen(new ReconnectingEventSource(url), hear)
  },

  async 'extended-eventsource' (url, hear) {
    const { EventSource: Extended } = await import('/node_modules/extended-eventsource/dist/index.esm.js')
    listen(new Extended(url, { disableLogger: true }), hear)
  },

  async 'eventsource 5' (url, hear) {
    const { EventSource: Fifth } = await import('/node_modules/eventsource-5/dist/index.js')
    listen(new Fifth(new URL(url, location)), hear)
  },

  async 'sse.js' (url, hear) {
    const { SSE } = await import('/node_modules/sse.js/lib/sse.js')
    listen(new SSE(url, { autoReconnect: true }), hear)
  },

  async 'sse.js, asking for a stream' (url, hear) {
    const { SSE } = await import('/node_modules/sse.js/lib/sse.js')
    listen(new SSE(url, { autoReconnect: true, headers: { Accept: 'text/event-stream' } }), hear)
  },

  async '@microsoft/fetch-event-source' (url, hear) {
    const { fetchEventSource } = await import('/node_modules/@microsoft/fetch-event-source/lib/esm/index.js')
    void fetchEventSource(url, { onmessage: ({ event, data }) => hear(event, data) })
  },

  async '@microsoft/fetch-event-source, coming back' (url, hear) {
    const { fetchEventSource } = await import('/node_modules/@microsoft/fetch-event-source/lib/esm/index.js')
    void fetchEventSource(url, {
      onmessage: ({ event, data }) => hear(event, data),
      onclose () { throw new Error('come back') }
    })
  },

  async 'event-source-plus' (url, hear) {
    const { EventSourcePlus } = await import('/node_modules/event-source-plus/dist/index.mjs')
    new EventSourcePlus(url).listen({ onMessage: ({ event, data }) => hear(event, data) })
  },

  async 'htmx 2' (url, hear) {
    await htmx2(url, hear, '')
  },

  async 'htmx 2, with sse-close' (url, hear) {
    await htmx2(url, hear, 'sse-close="stream-error"')
  },

  async 'htmx 4' (url, hear) {
    await htmx4(url, hear, '')
  },

  async 'htmx 4, with hx-sse:close' (url, hear) {
    await htmx4(url, hear, 'hx-sse:close="stream-error"')
  }
}

async function htmx2 (url, hear, options) {
  await script('/node_modules/htmx-2/dist/htmx.js')
  await script('/node_modules/htmx-ext-sse/dist/sse.js')
  const element = elementOf(`<div hx-ext="sse" sse-connect="${url}" ${options}></div>`)
  const known = new WeakSet()
  element.addEventListener('htmx:sseOpen', ({ detail: { source } }) => {
    if (!known.has(source)) listen(source, hear)
    known.add(source)
  })
  document.body.append(element)
  window.htmx.process(element)
}

async function htmx4 (url, hear, options) {
  await script('/node_modules/htmx-4/dist/htmx.js')
  await script('/node_modules/htmx-4/dist/ext/hx-sse.js')
  const element = elementOf(`<div hx-sse:connect="${url}" ${options}></div>`)
  for (const name of NAMES) element.addEventListener(name, ({ detail }) => hear(name, detail.data))
  document.body.append(element)
  window.htmx.process(element)
}

function listen (source, hear) {
  for (const name of NAMES) source.addEventListener(name, ({ data }) => hear(name, data))
}

function elementOf (html) {
  const template = document.createElement('template')
  template.innerHTML = html
  return template.content.firstElementChild
}

/** Loads a script as a tag does, once. */
function script (src) {
  scripts[src] ??= new Promise((resolve, reject) => {
    const tag = document.createElement('script')
    Object.assign(tag, { src, onload: resolve, onerror: () => reject(new Error(`${src} cannot be loaded`)) })
    document.head.append(tag)
  })
  return scripts[src]
}

const scripts = {}
