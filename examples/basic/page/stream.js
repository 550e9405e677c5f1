// One EventSource and what its life tells: status, position, and the events that the server sends about the stream itself.

/** How long to wait before opening a new EventSource where the browser has given up, in milliseconds: doubled with each try. */
const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000

/**
 * Keeps one stream open. `status` is `connecting`, `open`, `reconnecting` or `stopped`.
 *
 * The browser itself comes back after a lost connection, with the last position it saw. It gives up for good where a server
 * or proxy answers anything but a stream (a 502 while the application restarts): then this opens a new EventSource, with the
 * position in the URL. Only a `stream-error` ends it, which asks for no more; `connect` starts again from there.
 *
 * `on` has one function for each thing that can be told: `status(status)`, `open({ channels, position, again })`,
 * `lost()`, `reset({ channels, reason, position })`, `error({ condition, text })`, `stopped()`, `keepAlive()` and
 * `event({ name, data, position })`.
 */
export class Stream {
  position = ''
  #path
  #channels
  #names
  #on
  #opened = false // since the page was loaded
  #tries = 0 // since the stream was last open

  constructor (path, { channels, names, on }) {
    this.#path = path
    this.#channels = channels
    this.#names = names
    this.#on = on
  }

  connect () {
    this.#tries = 0
    this.#setStatus()
    this.#openSource()
  }

  #openSource () {
    const source = new EventSource(this.#url())
    const listen = (name, tell) => source.addEventListener(name, message => tell(this.#read(message)))

    listen('stream-open', ({ data, position }) => {
      this.#on.open({ channels: listOf(data.channels), position, again: this.#opened })
      this.#opened = true
      this.#tries = 0
      this.#on.status('open')
    })
    listen('stream-reset', ({ data, position }) => {
      this.#on.reset({ channels: listOf(data.channels), reason: String(data.reason), position })
    })
    listen('stream-error', ({ data }) => {
      source.close()
      this.#on.error({ condition: String(data.condition), text: String(data.text) })
      this.#on.stopped()
      this.#on.status('stopped')
    })
    listen('keep-alive', () => this.#on.keepAlive())
    for (const name of this.#names) listen(name, ({ data, position }) => this.#on.event({ name, data, position }))

    source.addEventListener('error', () => this.#failed(source))
  }

  #failed (source) {
    const closed = source.readyState === EventSource.CLOSED
    if (this.#tries === 0 && this.#opened) this.#on.lost()
    this.#tries += 1
    this.#setStatus()
    if (closed) setTimeout(() => this.#openSource(), delayMs(this.#tries))
  }

  #setStatus () {
    this.#on.status(this.#opened ? 'reconnecting' : 'connecting')
  }

  #url () {
    const query = new URLSearchParams(this.#channels.map(name => ['channel', name]))
    if (this.position !== '') query.set('lastEventId', this.position)
    return `${this.#path}?${query}`
  }

  // An event without an id leaves the position where it was; the id of a `stream-error` is no position.
  #read (message) {
    if (message.type !== 'stream-error' && message.lastEventId !== '') this.position = message.lastEventId
    return { data: parse(message.data), position: this.position }
  }
}

/** JSON where it is JSON, else the text itself. */
function parse (text) {
  try {
    return JSON.parse(text) ?? text
  } catch {
    return text
  }
}

function listOf (value) {
  return Array.isArray(value) ? value.map(String) : []
}

// Spread over half of the delay, so that many pages do not come back in the same moment.
function delayMs (tries) {
  const longest = Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), MAX_DELAY_MS)
  return longest * (0.5 + Math.random() / 2)
}
