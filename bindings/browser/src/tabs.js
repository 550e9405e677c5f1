// One stream for all tabs: who holds a Web Lock reads it, and relays what comes over a BroadcastChannel.
//
// Each event is relayed with the id before it. A tab takes it only where that is the last id it has seen itself; else it has had it already,
// or it is behind, and asks. Whoever leads answers out of the events it remembers, or the tab reads for itself until it is where the leader is.

import { errorOf, source } from './source.js'

const MAX_KEPT = 256
const MAX_KEPT_LENGTH = 1_000_000
/** A leader that is asked and says nothing for so long is frozen. */
const ANSWER_MS = 3_000
/** That it lives is told no more often. */
const ALIVE_MS = 1_000

/** As `source`. Without an identity, without locks (plain http) or on request each tab reads for itself. */
export function tabs (settings, sink) {
  const { share, identity, url, silentMs } = settings
  const locks = globalThis.navigator?.locks
  if (!share || identity === undefined || !locks || !globalThis.BroadcastChannel) return source(settings, sink)

  const key = `evstream ${JSON.stringify([url, identity])}`
  const me = crypto.randomUUID()
  const channel = new BroadcastChannel(key)
  const kept = [] // what this tab has seen last, from any side: [id before, id, name, text]
  let keptLength = 0
  let told = ['connecting', []] // the leader's status
  let postedAt
  let release // given where this tab holds the lock
  let leading // and its source
  let leader // otherwise, whom the last message came from
  let head // and that one's last id
  let isAsking = false
  let own // ends reading what this tab has missed
  let queued // ends waiting for the lock
  let watchdog
  let isOver = false

  function post (message) {
    if (isOver) return
    postedAt = Date.now()
    channel.postMessage({ from: me, head: sink.last, told, ...message })
  }

  function keep (item) {
    const [, id, name, text] = item
    kept.push(item)
    keptLength += text?.length ?? 0
    while (kept.length > MAX_KEPT || keptLength > MAX_KEPT_LENGTH) keptLength -= kept.shift()[3]?.length ?? 0
    sink.event(name, text, id)
  }

  /** What comes by a source of this tab. */
  function itemOf (name, text, id) {
    return [sink.last, name === 'stream-error' ? sink.last : id, name, text]
  }

  // Who leads

  function compete (options) {
    queued?.abort()
    queued = new AbortController()
    locks.request(key, options ?? { signal: queued.signal }, lead).catch(() => {
      // It waits no longer, or another tab has stolen the lock, and goes on from where it is itself.
      if (!leading) return
      leading.close()
      leading = undefined
      compete()
      ask()
    })
  }

  function lead () {
    if (isOver) return
    own?.()
    clearTimeout(watchdog)
    leading = source(settings, {
      get last () { return sink.last },
      event (...event) {
        const item = itemOf(...event)
        post({ head: item[1], items: [item] })
        keep(item)
      },
      status (status, error, waitMs) {
        told = [status, [error?.code, error?.message, error?.status], waitMs]
        post()
        sink.status(status, error)
      },
      alive () {
        if (Date.now() - postedAt > ALIVE_MS) post()
      }
    })
    return new Promise(resolve => { release = resolve })
  }

  function answer (to, last) {
    const isThere = !last || last === sink.last
    const from = isThere ? kept.length : kept.findLastIndex(([, id]) => id === last) + 1
    post({ to, items: isThere || from || kept[0]?.[0] === last ? kept.slice(from) : undefined })
  }

  // All others

  channel.onmessage = ({ data }) => {
    const { from, to, items, asked } = data
    if (leading) { // what another one tells, which leads no longer, or from now on, is asked for later
      if (asked !== undefined) answer(from, asked)
      if (data.again) leading.reconnect()
    }
    // That it has ended for all may come after the lock.
    if ((leading && data.told[0] !== 'closed') || asked !== undefined || (to && to !== me)) return
    told = data.told
    head = data.head
    const [status, error, waitMs = 0] = told
    watch(waitMs + (silentMs || 50_000), ping)
    if (to || leader !== from) isAsking = false
    leader = from
    sink.status(status, errorOf(...error), 0, false)
    if (isOver) return
    if (to && !sink.last) sink.last = head // it begins here
    for (const item of items ?? []) if (item[0] === sink.last) keep(item)
    if (sink.last === head) own?.()
    else if (to && !items) catchUp()
    // Not where this tab has been there already, and the leader is behind.
    else if (!kept.some(([, id]) => id === head)) ask()
  }

  function ask () {
    if (isAsking || own) return
    isAsking = true
    post({ asked: sink.last })
  }

  function ping (again) {
    if (leading) return
    post({ asked: sink.last, again })
    watch(ANSWER_MS, () => {
      sink.status('stale', undefined, 0, false)
      if (isVisible()) compete({ steal: true })
    })
  }

  function watch (ms, act) {
    clearTimeout(watchdog)
    watchdog = setTimeout(act, ms)
  }

  function look () {
    if (isVisible()) ping()
  }

  /** Reads what the leader does not remember, in one tab after the other. */
  function catchUp () {
    if (own) return
    const control = new AbortController()
    own = () => {
      control.abort()
      own = undefined
    }
    const { signal } = control
    locks.request(`${key} missed`, { signal }, () => new Promise(resolve => {
      const reading = source(settings, {
        get last () { return sink.last },
        event (...event) {
          keep(itemOf(...event))
          if (sink.last === head) own?.()
        },
        status (status, error) {
          if (status === 'closed') sink.status(status, error)
        },
        alive () {}
      })
      signal.onabort = () => {
        reading.close()
        resolve()
      }
    })).catch(() => {})
  }

  globalThis.document?.addEventListener('visibilitychange', look)
  compete()
  ping()
  return {
    reconnect () {
      if (leading) leading.reconnect()
      else ping(true)
    },
    close () {
      isOver = true
      globalThis.document?.removeEventListener('visibilitychange', look)
      clearTimeout(watchdog)
      queued.abort()
      own?.()
      leading?.close()
      leading = undefined
      release?.()
      channel.close()
    }
  }
}

function isVisible () {
  return globalThis.document?.visibilityState !== 'hidden'
}
