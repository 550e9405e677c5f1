// What a user holds: listeners and status, whatever the events come by.

import { checked } from './options.js'

/** What is told of the stream itself, which is no event of the application. */
const NOTICE = /^(stream-(open|close|error)|keep-alive)$/
/** The name by which those who watch the status are kept; no event has it. */
const STATUS = ''

/** `begin(settings, sink)` opens a way that events come by, as `source` does. */
export function client (url, options, begin) {
  const settings = checked(url, options)
  const target = new EventTarget() // what a listener throws stops nothing, and is reported as that of any other
  const life = new AbortController() // until `close`
  let snapshot = {}
  let way

  const sink = {
    last: settings.since,
    event (name, text, id) {
      // The id of a `stream-error` is no position.
      if (name !== 'stream-error') sink.last = id
      if (text === undefined) return
      for (const type of NOTICE.test(name) ? [name] : [name, '*']) {
        target.dispatchEvent(Object.assign(new Received(type), { event: name, text, position: sink.last }))
      }
    },
    status (status, error, waitMs, leader = true) {
      if (snapshot.status === status && snapshot.error === error && snapshot.leader === leader) return
      snapshot = { status, error, leader }
      if (status === 'closed') stop()
      target.dispatchEvent(new Event(STATUS))
    }
  }

  function start () {
    if (!way && !life.signal.aborted) way = begin(settings, sink)
  }

  function stop () {
    way?.close()
    way = undefined
  }

  function on (name, listener) {
    target.addEventListener(name, listener, { signal: life.signal })
    return () => { target.removeEventListener(name, listener) }
  }

  // A page that is kept for the way back must hold no lock, channel or request, or the browser does not keep it.
  listen(life.signal, ['pagehide', 'pageshow'], ({ type, persisted }) => {
    if (type === 'pageshow') {
      if (persisted && snapshot.status === 'paused') start()
    } else if (way) {
      stop()
      sink.status('paused')
    }
  })

  start()
  return {
    get status () { return snapshot.status },
    get error () { return snapshot.error },
    get leader () { return snapshot.leader },
    get position () { return sink.last },
    on,
    subscribe: watcher => on(STATUS, watcher),
    getSnapshot: () => snapshot,
    reconnect () {
      if (way) way.reconnect()
      else start()
    },
    close () {
      sink.status('closed')
      life.abort()
    }
  }
}

class Received extends Event {
  #data

  get data () {
    return (this.#data ??= jsonOf(this.text))
  }
}

/** Listens on the page or worker, where there is one, up to the end of `signal`. */
export function listen (signal, types, act) {
  for (const type of types) globalThis.addEventListener?.(type, act, { signal })
}

export function jsonOf (text) {
  try {
    return JSON.parse(text)
  } catch {}
}
