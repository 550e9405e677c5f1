// One stream of one reader: a request by fetch, again and again, each from where the one before has ended.

import { jsonOf, listen } from './client.js'
import { parser } from './parse.js'

const FIRST_RETRY_MS = 1_000
const MIN_RETRY_MS = 100
/** Waits grow up to this, or to what the server asks for if that is longer. */
const MAX_WAIT_MS = 30_000
/** A stream that lived so long was a good one: waits begin anew after it. */
const GOOD_MS = 1_000
const TOKEN_TIMEOUT_MS = 10_000
/** What timers can do, and half of it for each of two times that are added. */
const MAX_TIMEOUT_MS = 2 ** 30

/** Why a stream waits or has ended: `code` for programs, `message` for people, `status` of HTTP where there is one. */
export function errorOf (code, message, status) {
  return code && Object.assign(Error(message), { code, status })
}

/**
 * Begins at once. `sink` has the `last` id, and is told by `event(name, text, id)`, `status(status, error, waitMs)` and, for each piece that has
 * come, `alive()`. After the status `closed` nothing happens until `reconnect`.
 */
export function source ({ url, headers, token, credentials, fetch, silentMs, maxLength }, sink) {
  const life = new AbortController()
  let current // the AbortController of the attempt that goes on
  let openedAt // when it has got a stream
  let isToReturn // the server has said when
  let retryMs = FIRST_RETRY_MS
  let failures = 0
  let timer // of the next attempt
  let watchdog
  let earliest // the server wants nobody before
  let isStale
  let isRenewed // the last attempt was refused for its token

  const tell = (status, ...more) => sink.status(isStale && !/closed|paused/.test(status) ? 'stale' : status, ...more)

  async function attempt () {
    drop()
    const mine = current = new AbortController()
    const isOver = () => current !== mine
    const sent = new Headers(headers)
    let stage = 'token'
    openedAt = isToReturn = undefined
    tell('connecting')
    if (isOver()) return // who was told has closed it
    try {
      sent.set('Accept', 'text/event-stream')
      // As browsers send it: its bytes in UTF-8.
      if (sink.last) sent.set('Last-Event-ID', unescape(encodeURIComponent(sink.last)))
      if (token) {
        watch(TOKEN_TIMEOUT_MS, stage, false)
        const given = await token()
        if (isOver()) return
        if (!given?.trim()) throw TypeError('token() gave no text')
        sent.set('Authorization', `Bearer ${given}`)
      }
      stage = 'network'
      watch()
      const response = await fetch(url, { headers: sent, credentials, cache: 'no-store', signal: mine.signal })
      if (isOver()) return
      const { status, headers } = response
      const wasRenewed = isRenewed
      isRenewed = status === 401
      if (status !== 200) {
        // Too slow, too early, too many and what is wrong with the server may pass, and a token may be old.
        const mayPass = /408|425|429|5../.test(status) || (isRenewed && token && !wasRenewed)
        return fail(status === 204 ? 'ended' : 'http', `HTTP ${status}`, !mayPass, status, afterMs(headers.get('retry-after')))
      }
      const type = headers.get('content-type')
      if (!/^text\/event-stream\b/i.test(type)) return fail('not-a-stream', `${response.url} gives ${type}`, true, status)

      openedAt = Date.now()
      tell('open')
      const read = parser((name, text, id) => {
        if (isOver()) return
        if (name === 'stream-close') isToReturn = true
        sink.event(name, text, id)
        if (name === 'stream-error' && !isOver()) {
          const { condition = name, text: why = text } = jsonOf(text) ?? {}
          fail(condition, why, true)
        }
      }, ms => { retryMs = Math.min(Math.max(ms, MIN_RETRY_MS), MAX_TIMEOUT_MS) }, sink.last, maxLength)
      const decoder = new TextDecoder()
      const reader = response.body.getReader()
      for (;;) {
        const { value, done } = await reader.read()
        if (isOver()) return
        if (done) return fail()
        watch()
        if (isStale) {
          isStale = false
          tell('open')
        }
        sink.alive?.()
        read(decoder.decode(value, { stream: true }))
      }
    } catch (error) {
      if (isOver()) return
      const isTooLong = error instanceof RangeError
      fail(isTooLong ? 'too-large' : stage, error?.message ?? error, isTooLong)
    }
  }

  /** Ends the attempt that goes on, because of an error if there is a code. The next one comes after `leastMs`, if it is not the last. */
  function fail (code, message, isFinal, status, leastMs = 0) {
    const error = errorOf(code, message, status)
    drop()
    if (isFinal) return tell('closed', error)
    if (isToReturn || Date.now() - openedAt > GOOD_MS) failures = 0
    let spreadMs = Math.random() * Math.max(retryMs, Math.min(retryMs * 2 ** failures++, MAX_WAIT_MS))
    if (isToReturn) [leastMs, spreadMs] = [retryMs, 0] // the server has spread its clients itself
    earliest = Date.now() + leastMs
    wait(leastMs + spreadMs)
    tell(globalThis.navigator?.onLine === false ? 'paused' : 'waiting', error, leastMs + spreadMs)
  }

  function watch (ms = silentMs, code = 'silent', makesStale = true) {
    clearTimeout(watchdog)
    if (!ms) return
    watchdog = setTimeout(() => {
      isStale = makesStale
      fail(code, `silent for ${ms} ms`)
    }, ms)
  }

  /** Ends the attempt that goes on, or the wait for the next one. */
  function drop () {
    clearTimeout(timer)
    clearTimeout(watchdog)
    current?.abort()
    timer = current = undefined
  }

  function wait (ms) {
    clearTimeout(timer)
    timer = setTimeout(attempt, ms)
  }

  // Somebody looks, or the network is back: it waits no longer than the server wants. What was open when it went is likely dead.
  listen(life.signal, ['online', 'visibilitychange'], () => {
    if (timer) wait(Math.max(0, earliest - Date.now()))
  })
  listen(life.signal, ['offline'], () => {
    if (current) fail('offline', 'no network')
  })

  attempt()
  return {
    reconnect () {
      failures = 0
      retryMs = FIRST_RETRY_MS // that of a `stream-error` is for those who come back by themselves
      attempt()
    },
    close () {
      life.abort()
      drop()
    }
  }
}

/** What `Retry-After` says, in milliseconds: a number of seconds or a date (RFC 9110 10.2.3). */
function afterMs (value) {
  return Math.min(Math.max(0, value > 0 ? value * 1_000 : Date.parse(value) - Date.now()) || 0, MAX_TIMEOUT_MS)
}
