// Publishing, channels, subscribing, the own server, figures, errors and closing.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { ArgumentError, ClosedError, ConfigError, Events, EvstreamError, IoError } from 'evstream'
import { connect, eventually } from './support/client.mjs'

describe('publish', () => {
  test('gives a receipt', async t => {
    const events = eventsOf(t)
    events.subscribe('a')
    const first = await events.publish('a', { data: 1 })
    assert.equal(first.streams, 1)
    assert.deepEqual(first.proxies, [])
    assert.equal(first.localOnly, true)
    assert.equal(events.position(), first.position)
    const second = await events.publish('b', { data: 1 })
    assert.equal(second.streams, 0)
    assert.ok(second.position > first.position)
  })

  const rejected = {
    'an event that is none': ['a', undefined, 'invalid-event', /an event is an object/],
    'a function': ['a', { data () {} }, 'invalid-event', /a value of type function/],
    'no data': ['a', { event: 'x' }, 'invalid-event', /it is undefined/],
    'a big integer': ['a', { data: 1n }, 'invalid-event', /BigInt/],
    'a cycle': ['a', { data: cycle() }, 'invalid-event', /circular/],
    'data and text': ['a', { data: 1, text: 'x' }, 'invalid-event', /not both/],
    'a text that is none': ['a', { text: 5 }, 'invalid-event', /text of an event is a string, not 5/],
    'a line break in the type': ['a', { event: 'x\r\ndata: y', data: 1 }, 'invalid-event', /U\+000D/],
    'a type of our own': ['a', { event: 'stream-open', data: 1 }, 'invalid-event', /reserved/],
    'a type that is none': ['a', { event: 5, data: 1 }, 'invalid-event', /type of an event is a string, not 5/],
    'a retry that is none': ['a', { data: 1, retryMs: -1 }, 'invalid-event', /retryMs takes a whole number/],
    'too much': ['a', { data: 'x'.repeat(2 * 1024 * 1024) }, 'too-large', /2097154 bytes.*maxEventBytes/],
    'an empty name': ['', { data: 1 }, 'invalid-channel', /must not be empty/],
    'a control character in the name': ['a\n', { data: 1 }, 'invalid-channel', /U\+000A/],
    'a name that is none': [5, { data: 1 }, 'invalid-channel', /not 5/]
  }
  for (const [what, [channel, event, code, message]] of Object.entries(rejected)) {
    test(`refuses ${what}, and nothing else is disturbed`, async t => {
      const events = eventsOf(t)
      const subscription = events.subscribe('a')
      await assert.rejects(events.publish(channel, event), error => {
        assert.ok(error instanceof ArgumentError)
        assert.ok(error instanceof EvstreamError)
        assert.equal(error.code, code)
        assert.equal(error.retryable, false)
        assert.equal(error.name, 'ArgumentError')
        assert.match(error.message, message)
        return true
      })
      await events.publish('a', { data: 'next' })
      assert.equal((await subscription.next()).value.data, 'next')
    })
  }
})

describe('what fails without being heard', () => {
  test('is logged and counted, and does not end the process', async t => {
    const lines = []
    const events = eventsOf(t, { logger: { error: line => { lines.push(line) } } })
    events.publish('room-a\nb', { data: 1 })
    events.publish('a', { data: 'x'.repeat(2 * 1024 * 1024) })
    events.channel('a').write({ event: 'x\ny', data: 1 })
    Readable.from([{ data: 1n }]).pipe(events.channel('a'))
    await eventually(() => events.stats().unheardErrors === 4)
    assert.equal(lines.length, 4)
    for (const line of lines) assert.match(line, /^an event was not published: /)
  })

  test('but what is heard is not', async t => {
    const lines = []
    const events = eventsOf(t, { logger: { error: line => { lines.push(line) } } })
    await assert.rejects(events.publish('', { data: 1 }))
    await assert.rejects(Promise.all([events.publish('', { data: 1 })]))
    await events.publish('', { data: 1 }).catch(() => {})
    await assert.rejects(pipeline(Readable.from([{ data: 1n }]), events.channel('a')))
    const channel = events.channel('a')
    channel.on('error', () => {})
    const closed = new Promise(resolve => { channel.on('close', resolve) })
    channel.write({ event: 'x\ny', data: 1 })
    await closed
    await new Promise(setImmediate)
    assert.deepEqual([lines, events.stats().unheardErrors], [[], 0])
  })

  test('also while closing', async t => {
    const events = eventsOf(t)
    const channel = events.channel('a')
    const closing = events.close()
    events.publish('a', { data: 'too late' })
    channel.write({ data: 'too late' })
    assert.throws(() => events.subscribe('a'), ClosedError)
    assert.throws(() => events.channel('a'), ClosedError)
    await assert.rejects(events.serve(), ClosedError)
    await closing
    await eventually(() => events.stats().unheardErrors === 2)
    assert.equal(events.stats().published, 0)
  })
})

describe('channel', () => {
  test('takes what is piped to it', async t => {
    const events = eventsOf(t)
    const subscription = events.subscribe('clock')
    await pipeline(Readable.from(numbers(100)), events.channel('clock'))
    for (let n = 0; n < 100; n++) {
      const { value } = await subscription.next()
      assert.deepEqual([value.type, value.channel, value.event, value.data], ['event', 'clock', 'tick', n])
    }
    const channel = events.channel('clock')
    assert.equal(channel.channel, 'clock')
    assert.equal(channel.streams, 1)
  })

  test('fails with what is wrong', async t => {
    const events = eventsOf(t)
    const channel = events.channel('a')
    channel.write({ event: 'a\nb', data: 1 })
    const [error] = await once(channel, 'error')
    assert.equal(error.code, 'invalid-event')
    assert.ok(channel.destroyed)
    assert.throws(() => events.channel('\0'), { code: 'invalid-channel' })
  })
})

describe('subscribe', () => {
  test('reads several channels in order', async t => {
    const events = eventsOf(t)
    const subscription = events.subscribe(['a', 'b'])
    await events.publish('a', { event: 'x', text: 'not JSON' })
    await events.publish('c', { data: 0 })
    const { position } = await events.publish('b', { data: { n: 1 } })
    assert.equal((await subscription.next()).value.data, undefined)
    assert.deepEqual((await subscription.next()).value, {
      type: 'event', channel: 'b', event: 'message', data: { n: 1 }, text: '{"n":1}', position
    })
  })

  test('wakes those who wait, and ends with the loop', async t => {
    const events = eventsOf(t)
    const seen = []
    const reading = (async () => {
      for await (const message of events.subscribe('a')) {
        seen.push(message.data)
        if (seen.length === 3) break
      }
    })()
    for (const n of [1, 2, 3]) setImmediate(() => events.publish('a', { data: n }))
    await holding(reading)
    assert.deepEqual(seen, [1, 2, 3])
    const { streams } = await events.publish('a', { data: 4 })
    assert.equal(streams, 0)
  })

  test('ends by a signal, with its reason', async t => {
    const events = eventsOf(t)
    const abort = new AbortController()
    const next = events.subscribe('a', { signal: abort.signal }).next()
    abort.abort(new Error('enough'))
    await assert.rejects(next, /enough/)
    assert.throws(() => events.subscribe('a', { signal: abort.signal }), /enough/)
  })

  test('tells a reader that was too slow', async t => {
    const events = eventsOf(t, { historyEvents: 10, backlogEvents: 10 })
    const subscription = events.subscribe('a')
    for (let n = 0; n < 100; n++) events.publish('a', { data: n })
    const { value } = await subscription.next()
    assert.equal(value.type, 'reset')
    assert.deepEqual(value.channels, ['a'])
    await events.publish('a', { data: 'after' })
    assert.equal((await subscription.next()).value.data, 'after')
  })

  test('ends when the events are closed', async t => {
    const events = eventsOf(t)
    const subscription = events.subscribe('a')
    const next = subscription.next()
    await events.close()
    assert.deepEqual(await next, { done: true, value: undefined })
    assert.throws(() => events.subscribe('a'), ClosedError)
  })

  test('needs a channel', t => {
    const events = eventsOf(t)
    assert.throws(() => events.subscribe([]), { code: 'invalid-channel' })
    assert.throws(() => events.subscribe(7), { code: 'invalid-channel' })
  })
})

describe('serve', () => {
  test('serves several paths, and asks functions', async t => {
    const events = eventsOf(t)
    const server = await events.serve({
      mounts: [
        { path: '/open/' },
        { path: '/clock', channels: 'clock' },
        { path: '/mine', channels: async request => {
          if (request.headers.get('x-user') === null) return false
          return { channels: [`user-${request.headers.get('x-user')}`, request.query.get('also')], user: 'bob' }
        } }
      ]
    })
    assert.equal(server.url, `http://127.0.0.1:${server.port}`)
    const first = async (path, headers) => {
      const client = await connect(server.port, path, { headers })
      await client.until(() => client.events.length > 0)
      client.close()
      return client.events[0].data
    }
    assert.equal(await first('/open?channel=q'), '{"channels":["q"]}')
    assert.equal(await first('/clock'), '{"channels":["clock"]}')
    assert.equal(await first('/mine?also=%C3%BC', { 'X-User': 'bob' }), '{"channels":["user-bob","ü"]}')
    assert.match(await first('/mine'), /forbidden/)
    assert.equal((await fetch(`${server.url}/other`)).status, 404)
    await server.close()
    await assert.rejects(fetch(`${server.url}/clock`))
    await events.publish('clock', { data: 'the events go on' })
  })

  test('listens on a Unix socket', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'evstream-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const events = eventsOf(t)
    const socket = join(folder, 'events.sock')
    const server = await events.serve({ socket, channels: ['a'] })
    assert.equal(server.host, `unix:${socket}`)
    assert.equal(server.url, undefined)
    const request = http.get({ socketPath: socket, path: '/' })
    const [response] = await once(request, 'response')
    assert.equal(response.statusCode, 200)
    response.destroy()
    await server[Symbol.asyncDispose]()
  })

  test('refuses what it cannot bind', async t => {
    const events = eventsOf(t)
    const server = await events.serve({ path: '/' })
    await assert.rejects(events.serve({ port: server.port }), IoError)
    await assert.rejects(events.serve({ port: 70_000 }), { code: 'invalid-argument' })
    await assert.rejects(events.serve({ path: 'events' }), ConfigError)
    await assert.rejects(eventsOf(t, { proxyProtocol: true }).serve(), ConfigError)
  })

  test('takes from a proxy that passes connections on whom they come from', async t => {
    const events = eventsOf(t, { proxyProtocol: true, trustedProxies: ['127.0.0.1'] })
    const server = await events.serve({ path: '/', channels: request => [`of-${request.address}`] })
    const ask = header => {
      const socket = net.connect(server.port, '127.0.0.1', () => { socket.write(`${header}GET / HTTP/1.1\r\nHost: a\r\n\r\n`) })
      t.after(() => { socket.destroy() })
      const asked = { received: '', over: false }
      socket.setEncoding('utf8').on('data', text => { asked.received += text }).on('error', () => {}).on('close', () => { asked.over = true })
      return asked
    }
    const client = ask('PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n')
    await eventually(() => client.received.includes('"of-192.0.2.1"'))
    const other = ask('')
    await eventually(() => other.over)
    assert.equal(other.received, '')
    assert.equal(events.stats().connectionsRefused, 1)
  })
})

test('tells of streams that open and close', async t => {
  const events = eventsOf(t)
  const told = []
  events.on('open', stream => told.push(['open', stream]))
  events.on('close', stream => told.push(['close', stream]))
  const server = await events.serve({ path: '/', channels: () => ({ channels: ['a'], user: 'bob' }) })
  const client = await connect(server.port, '/')
  await client.event('stream-open')
  client.close()
  await eventually(() => told.length === 2)
  const { id } = told[0][1]
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]+$/)
  const stream = { id, channels: ['a'], user: 'bob', address: '127.0.0.1' }
  assert.deepEqual(told, [['open', stream], ['close', { ...stream, reason: 'client' }]])
})

test('removing all listeners does not make it deaf', async t => {
  const events = eventsOf(t)
  const server = await events.serve({ path: '/', channels: 'a' })
  const told = []
  for (const remove of [() => events.removeAllListeners(), () => events.removeAllListeners('open'), () => events.removeAllListeners('newListener')]) {
    events.on('open', () => { told.push('before') })
    events.on('newListener', () => {})
    remove()
    events.removeAllListeners('open')
    events.once('open', () => { told.push('once') })
    events.on('open', () => { told.push('on') })
    const client = await connect(server.port, '/')
    await eventually(() => told.length === 2)
    client.close()
    assert.deepEqual(told.splice(0), ['once', 'on'])
  }
})

test('a listener that throws is reported as Node does, and others still hear', async t => {
  const events = eventsOf(t)
  let heard = 0
  events.on('open', () => { heard++; throw new Error('of the listener') })
  const server = await events.serve({ path: '/', channels: 'a' })
  const uncaught = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', error => uncaught.push(error.message))
  t.after(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  const clients = await Promise.all([1, 2, 3].map(() => connect(server.port, '/')))
  await eventually(() => uncaught.length === 3 && heard === 3)
  assert.deepEqual([...new Set(uncaught)], ['of the listener'])
  for (const client of clients) client.close()
})

describe('settings', () => {
  const refused = {
    unknown: [{ keepAlive: 1 }, /there is no setting 'keepAlive'; there are .*keepAliveMs/],
    'in snake case': [{ max_streams: 5 }, /there is no setting 'max_streams'; there are .*maxStreams/],
    range: [{ channelLimit: 0 }, /channelLimit takes a whole number from 1 to 1000, not 0/],
    fraction: [{ keepAliveMs: 1.5 }, /keepAliveMs takes a whole number.*not 1.5/],
    negative: [{ keepAliveMs: -1 }, /not -1/],
    word: [{ slowClient: 'drop' }, /slowClient takes reset or close/],
    type: [{ keepAliveMs: {} }, /keepAliveMs takes .*not a value of type object/],
    flag: [{ keepAliveComment: 1 }, /keepAliveComment takes true or false|keepAliveComment takes no number/],
    adopt: [{ adopt: 'no' }, /adopt takes true or false/],
    grip: [{ grip: 'not a URL' }, /control URI must begin with http/]
  }
  for (const [what, [options, message]] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => new Events(options), error => {
        assert.ok(error instanceof ConfigError, error.stack)
        assert.equal(error.code, 'invalid-config')
        assert.match(error.message, message)
        return true
      })
    })
  }

  test('absent values are defaults, and secrets are not shown', () => {
    new Events({ grip: undefined, keepAliveMs: undefined })
    new Events({ grip: '' }) // as from an environment that sets GRIP_URL to nothing
    assert.throws(() => new Events({ grip: 'http://localhost:5561?key=hunter2&key=hunter2', gripLinkSecret: 'hunter2' }),
      error => !error.message.includes('hunter2'))
  })
})

describe('close', () => {
  test('refuses what comes after, more than once', async () => {
    const events = new Events()
    const channel = events.channel('a')
    assert.deepEqual(await events.close(), { ended: true, undelivered: 0 })
    assert.deepEqual(await events.close(), { ended: true, undelivered: 0 })
    await assert.rejects(events.publish('a', { data: 1 }), ClosedError)
    await assert.rejects(events.serve(), ClosedError)
    assert.throws(() => events.channel('a'), ClosedError)
    channel.write({ data: 1 })
    const [error] = await once(channel, 'error')
    assert.ok(error instanceof ClosedError)
  })

  test('takes a time, and no nonsense', async () => {
    const events = new Events()
    for (const options of [{ timeoutMs: -1 }, { timeoutMs: NaN }, { timeoutMs: Infinity }, { timeoutMs: '5' }, { timeout: 1 }]) {
      await assert.rejects(events.close(options), { name: 'ArgumentError', code: 'invalid-argument', message: /timeout/ })
    }
    await events.publish('a', { data: 'still open' })
    await events.close({ timeoutMs: 1_000 })
    await assert.rejects(events.publish('a', { data: 1 }), ClosedError)
    const other = new Events()
    const server = await other.serve()
    await server.close({ timeoutMs: 1_000 })
    await other.close({ timeoutMs: 1_000 })
  })

  test('is what disposing does', async () => {
    const events = new Events()
    await events[Symbol.asyncDispose]()
    await assert.rejects(events.publish('a', { data: 1 }), ClosedError)
  })
})

test('figures', async t => {
  const events = eventsOf(t)
  const server = await events.serve({ path: '/', channels: 'a' })
  const client = await connect(server.port, '/')
  await client.event('stream-open')
  await events.publish('a', { data: 'x' })
  await client.event('message')
  const stats = events.stats()
  assert.equal(stats.open, 1)
  assert.equal(stats.opened, 1)
  assert.equal(stats.published, 1)
  assert.equal(stats.deliveries, 1)
  assert.equal(stats.channels, 1)
  assert.ok(stats.bytes > 0 && stats.historyBytes > 0)
  const declared = readFileSync(new URL('../dist/native.d.ts', import.meta.url), 'utf8')
  const reasons = /^export type CloseReason = ([^;]*)/m.exec(declared)[1].split('|').map(reason => reason.trim().slice(1, -1))
  assert.deepEqual(Object.keys(stats.closed), reasons.sort())
  client.close()
})

test('the log goes to the logger', async t => {
  const lines = []
  const logger = { lines, info (line) { this.lines.push(line) } }
  const events = eventsOf(t, { logger })
  await events.serve({ path: '/' })
  await eventually(() => lines.some(line => /^listening address=127\.0\.0\.1:\d+/.test(line)))
})

function eventsOf (t, options) {
  const events = new Events({ logger: false, ...options })
  t.after(() => events.close())
  return events
}

function * numbers (count) {
  for (let n = 0; n < count; n++) yield { event: 'tick', data: n }
}

function cycle () {
  const value = {}
  value.self = value
  return value
}

/** Keeps the process alive while waiting for what does not do so itself. */
async function holding (promise) {
  const alive = setInterval(() => {}, 1_000)
  try {
    return await promise
  } finally {
    clearInterval(alive)
  }
}
