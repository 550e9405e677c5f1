// The client over fetch, in Node: against a real evstream, and against servers that answer oddly.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect as connectTo, eventsOf } from '../src/core.js'
import { startNginx } from './support/nginx.mjs'
import { startOdd, startServer, stream } from './support/server.mjs'
import { until } from './support/until.mjs'

const OPTIONS = { timeout: 30_000 }

test('events come with name, data, text and position', OPTIONS, async t => {
  const server = await startServer(t)
  const { client, seen, statuses } = connect(t, `${server.url}events/`, { channels: ['a', 'ä/b'] })
  await status(client, 'open')
  server.publish('{"n":1}')
  server.publish('no JSON', 'ä/b')
  await until('both', () => seen.length === 2)
  assert.deepEqual(seen.map(({ event, data, text }) => [event, data, text]), [['message', { n: 1 }, '{"n":1}'], ['message', undefined, 'no JSON']])
  assert.match(seen[1].position, /^[0-9a-f]{8}-[0-9a-f]{12}$/)
  assert.equal(client.position >= seen[1].position, true)
  assert.deepEqual(statuses, ['connecting', 'open'])
})

test('what was missed while the line was cut comes after it, once', OPTIONS, async t => {
  const server = await startServer(t, { max_age_ms: 60 })
  const { client, seen, statuses } = connect(t, `${server.url}events/`, { channels: ['a'] })
  await status(client, 'open')
  let published = 0
  await until('many streams', async () => {
    server.publish(String(published++))
    return (await server.stats()).opened > 8
  })
  await until('all events', () => seen.length >= published)
  assert.deepEqual(seen.map(({ data }) => data), Array.from({ length: published }, (_, n) => n))
  assert.ok(statuses.includes('waiting'), 'between two streams it waits')
})

test('a position that is no longer known is told by stream-reset', OPTIONS, async t => {
  const server = await startServer(t)
  const { client, seen } = connect(t, `${server.url}events/`, { channels: ['a'], since: 'deadbeef-000000000001' })
  const reset = await until('the reset', () => seen.find(({ event }) => event === 'stream-reset'))
  assert.equal(reset.data.reason, 'epoch')
  assert.equal(client.position.slice(0, 8) === 'deadbeef', false)
})

test('a stream-error ends it, with its words; reconnect begins again where it was', OPTIONS, async t => {
  const server = await startServer(t)
  const { client, seen } = connect(t, `${server.url}events/`, { channels: ['a'] })
  await status(client, 'open')
  server.publish('1')
  await until('the event', () => seen.length === 1)
  const { position } = client
  server.command('disconnect you are out')
  await status(client, 'closed')
  assert.deepEqual([client.error.code, client.error.message], ['forbidden', 'you are out'])
  assert.equal(client.position >= position && client.position !== 'error', true)
  server.publish('2')
  client.reconnect()
  await until('what was missed', () => seen.length === 2)
  assert.equal(client.error, undefined)
})

test('headers and tokens; a new token for each attempt, and once more after a 401', OPTIONS, async t => {
  const server = await startServer(t)
  const tokens = ['bad', 'good', 'good']
  const { client, seen } = connect(t, `${server.url}private/`, { token: async () => tokens.shift() })
  await status(client, 'closed')
  assert.equal(client.error.code, 'forbidden')
  client.reconnect()
  await status(client, 'open')
  server.publish('secret', 'private')
  await until('the event', () => seen.length === 1)
  server.command('reopen')
  await until('the third token is used', () => tokens.length === 0)

  const odd = await startOdd(t, (req, res) => res.writeHead(401).end())
  const refused = connect(t, odd.url, { token: () => `t${odd.requests.length}`, headers: { 'X-Tenant': '7' } })
  await status(refused.client, 'closed')
  assert.deepEqual(odd.requests.map(({ headers }) => [headers.authorization, headers['x-tenant']]), [['Bearer t0', '7'], ['Bearer t1', '7']])
  assert.equal(refused.client.error.status, 401)
})

test('a token that fails is asked for again', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res) => stream(res, 'retry: 100\ndata: 1\n\n'))
  let asked = 0
  const { client, errors } = connect(t, odd.url, {
    token: () => {
      if (asked++ === 0) throw new Error('the login server is away')
      return asked === 2 ? undefined : 'x'
    }
  })
  await status(client, 'open')
  assert.deepEqual(errors.map(({ code }) => code), ['token', 'token'])
  assert.match(errors[0].message, /login server is away/)
  assert.equal(asked, 3)
})

test('a token that does not come is waited for 10 s', OPTIONS, t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { client } = connect(t, 'http://127.0.0.1:9/', { token: () => new Promise(() => {}) })
  t.mock.timers.tick(9_999)
  assert.equal(client.status, 'connecting')
  t.mock.timers.tick(1)
  assert.deepEqual([client.status, client.error.code], ['waiting', 'token'])
})

for (const code of [204, 400, 401, 403, 404, 410]) {
  test(`an answer of ${code} ends it`, OPTIONS, async t => {
    const odd = await startOdd(t, (req, res) => res.writeHead(code).end())
    const { client } = connect(t, odd.url)
    await status(client, 'closed')
    assert.deepEqual([client.error.code, client.error.status], [code === 204 ? 'ended' : 'http', code])
    assert.equal(odd.requests.length, 1)
  })
}

for (const code of [429, 500, 502, 503]) {
  test(`an answer of ${code} passes`, OPTIONS, async t => {
    t.mock.method(Math, 'random', () => 0.05)
    const odd = await startOdd(t, (req, res, n) => n < 3 ? res.writeHead(code).end() : stream(res))
    const { client, statuses } = connect(t, odd.url)
    await status(client, 'open')
    assert.deepEqual(statuses, ['connecting', 'waiting', 'connecting', 'waiting', 'connecting', 'open'])
  })
}

test('Retry-After is the least it waits', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res, n) => n === 1 ? res.writeHead(503, { 'Retry-After': '1' }).end() : stream(res))
  const { client } = connect(t, odd.url)
  await status(client, 'open')
  const [first, second] = odd.requests
  assert.ok(second.at - first.at >= 990, `${second.at - first.at} ms`)
})

test('waits grow with each failure, from what retry says, and differ', OPTIONS, async t => {
  t.mock.method(Math, 'random', () => 0.999)
  const odd = await startOdd(t, (req, res, n) => n === 1 ? stream(res, 'retry: 200\n\n').end() : res.writeHead(500).end())
  const { client } = connect(t, odd.url, {}, false)
  await until('five requests', () => odd.requests.length === 5)
  client.close()
  const waits = odd.requests.slice(1).map(({ at }, n) => at - odd.requests[n].at)
  for (const [n, wait] of waits.entries()) assert.ok(wait >= 199 * 2 ** n - 5, `wait ${n} of ${waits}`)
})

test('what is no stream ends it: a page of a login, a redirect to one, a wrong type', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res) => {
    if (req.url === '/events') return res.writeHead(302, { Location: '/login' }).end()
    res.writeHead(200, { 'Content-Type': 'text/html' }).end('<form>')
  })
  const { client } = connect(t, `${odd.url}events`)
  await status(client, 'closed')
  assert.equal(client.error.code, 'not-a-stream')
  assert.match(client.error.message, /\/login gives text\/html/)
})

test('silence makes it stale, until bytes come again', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res, n) => {
    if (n < 3) return stream(res, n === 1 ? 'retry: 100\ndata: 1\nid: 7\n\n' : '')
    stream(res)
    const beat = setInterval(() => res.write(':\n'), 50)
    res.on('close', () => clearInterval(beat))
  })
  const { client, statuses, errors } = connect(t, odd.url, { silentMs: 200 })
  await until('it is open again', () => odd.requests.length === 3 && client.status === 'open')
  assert.deepEqual(odd.requests.map(({ headers }) => headers['last-event-id']), [undefined, '7', '7'])
  assert.deepEqual(statuses.filter(value => value !== 'stale'), ['connecting', 'open', 'open'], 'comments are enough')
  assert.deepEqual(errors.map(({ code }) => code), ['silent', 'silent'])
  const beats = odd.requests.length
  await until('more than silentMs of comments', () => performance.now() - odd.requests[2].at > 700)
  assert.equal(odd.requests.length, beats)
})

test('behind an nginx that buffers it is stale', OPTIONS, async t => {
  const server = await startServer(t)
  const proxy = await startNginx(t, server.url, 'proxy_ignore_headers X-Accel-Buffering;')
  const { client, statuses } = connect(t, `${proxy}events/`, { channels: ['a'], silentMs: 500 })
  await status(client, 'stale')
  await until('it has tried again', async () => (await server.stats()).opened > 1)
  assert.equal(statuses.at(-1), 'stale')
  const heeding = connect(t, `${await startNginx(t, server.url)}events/`, { channels: ['a'], silentMs: 2_000 })
  await status(heeding.client, 'open')
  assert.deepEqual(heeding.statuses, ['connecting', 'open'])
})

test('an event that is too large ends it', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res) => stream(res, `data: ${'x'.repeat(70_000)}`))
  const { client } = connect(t, odd.url, { maxLength: 65_536 })
  await status(client, 'closed')
  assert.deepEqual([client.error.code, odd.requests.length], ['too-large', 1])
})

test('ids of any text go back as browsers send them', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res, n) => n === 1 ? stream(res, 'retry: 100\ndata\nid: ü日\n\n').end() : stream(res))
  connect(t, odd.url)
  await until('the second request', () => odd.requests.length === 2)
  assert.equal(Buffer.from(odd.requests[1].headers['last-event-id'], 'latin1').toString(), 'ü日')
})

test('a server that is closed is waited for', OPTIONS, async t => {
  const server = await startServer(t)
  const { client, statuses } = connect(t, `${server.url}events/`, { channels: ['a'] })
  await status(client, 'open')
  await server.close()
  await until('it waits', () => statuses.includes('waiting'))
  assert.deepEqual(statuses.slice(0, 3), ['connecting', 'open', 'waiting'])
})

test('listeners: an error stops nothing, a closed client tells nothing, one can leave', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res) => stream(res, 'data: 1\n\nevent: constructor\ndata: 1.5\n\nevent: x\ndata: 2\n\ndata: 3\n\nevent: keep-alive\ndata\n\n'))
  const thrown = []
  const uncaught = error => thrown.push(error.message)
  process.setUncaughtExceptionCaptureCallback(uncaught)
  t.after(() => process.setUncaughtExceptionCaptureCallback(null))
  const client = connectTo(odd.url)
  t.after(() => client.close())
  const seen = []
  const off = client.on('message', () => { off(); throw new Error('oh') })
  client.on('x', ({ data }) => seen.push(['x', data]))
  client.on('*', ({ data }) => {
    seen.push(['*', data])
    if (data === 2) client.close()
  })
  await status(client, 'closed')
  assert.deepEqual([seen, thrown], [[['*', 1], ['*', 1.5], ['x', 2], ['*', 2]], ['oh']])
  assert.equal(client.error, undefined)
  client.reconnect()
  assert.equal(client.status, 'closed', 'close is for good')
})

test('who is told of the status may close', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res) => res.writeHead(500).end())
  const client = connectTo(odd.url, { silentMs: 50 })
  await status(client, 'waiting')
  client.subscribe(() => client.close())
  client.reconnect()
  assert.equal(client.status, 'closed')
  const begun = performance.now()
  await until('more than silentMs', () => performance.now() - begun > 200)
  assert.equal(odd.requests.length, 1)
})

test('a loop reads events, ends with close, throws what ended it, and is told where it is too slow', OPTIONS, async t => {
  const many = Array.from({ length: 1_500 }, (_, n) => `data: ${n}\n\n`).join('')
  const odd = await startOdd(t, (req, res, n) => n === 1 ? stream(res, many) : res.writeHead(404).end())
  const client = connectTo(odd.url)
  t.after(() => client.close())
  let last
  client.on('message', ({ data }) => { last = data })
  const names = []
  const values = []
  for await (const { event, data } of eventsOf(client)) {
    names.push(event)
    values.push(data)
    await until('all have come', () => last === 1_499)
    if (data === 1_499) break
  }
  assert.deepEqual([...new Set(names)].sort(), ['message', 'stream-reset'])
  assert.equal(values.length < 1_500, true)
  const reading = (async () => { for await (const event of eventsOf(client)) assert.fail(event) })()
  client.reconnect()
  await assert.rejects(reading, error => error.code === 'http' && error.status === 404)
})

test('a snapshot stays the same until it changes, and its watchers are told', OPTIONS, async t => {
  const odd = await startOdd(t, (req, res) => stream(res))
  const client = connectTo(odd.url)
  t.after(() => client.close())
  const first = client.getSnapshot()
  assert.equal(first, client.getSnapshot())
  const seen = []
  const off = client.subscribe(() => seen.push(client.getSnapshot()))
  await status(client, 'open')
  off()
  client.close()
  assert.deepEqual(seen, [{ status: 'open', error: undefined, leader: true }])
  assert.equal(first.status, 'connecting')
})

test('what cannot be right is refused at once', () => {
  for (const [url, options, message] of [
    ['/events/', {}, /URL/],
    ['ftp://a/', {}, /http\(s\) URL/],
    ['http://user:word@a/', {}, /credentials/],
    ['http://a/', { channels: [] }, /channels must be names/],
    ['http://a/', { channels: 'a' }, /channels/],
    ['http://a/', { channels: [''] }, /channels/],
    ['http://a/', { channels: [7] }, /trim/],
    ['http://a/', { headers: { 'a b': '1' } }, /header/i],
    ['http://a/', { credentials: 'some' }, /./],
    ['http://a/', { token: 'x' }, /token must be a function/],
    ['http://a/', { fetch: 7 }, /fetch must be a function/],
    ['http://a/', { since: 7 }, /since/],
    ['http://a/', { share: 'auto' }, /share must be a boolean/],
    ['http://a/', { identity: 7 }, /identity/],
    ['http://a/', { silentMs: -1 }, /silentMs/],
    ['http://a/', { silentMs: NaN }, /silentMs/],
    ['http://a/', { chanels: ['a'] }, /no option chanels, only channels,/]
  ]) {
    assert.throws(() => connectTo(url, options), error => error instanceof TypeError && message.test(error.message), JSON.stringify([url, options]))
  }
})

function connect (t, url, options) {
  const client = connectTo(url, options)
  t.after(() => client.close())
  const seen = []
  const statuses = [client.status]
  const errors = client.error ? [client.error] : []
  client.on('*', event => seen.push(event))
  client.subscribe(() => {
    statuses.push(client.status)
    if (client.error) errors.push(client.error)
  })
  return { client, seen, statuses, errors }
}

function status (client, wanted) {
  return until(`the client is ${wanted}`, () => client.status === wanted, { timeoutMs: 10_000 })
}
