// Streams mounted in real frameworks: the same bytes whatever the framework and whatever drives them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { describe, test } from 'node:test'
import compression from 'compression'
import express5 from 'express5'
import { EventSource } from 'eventsource'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { Events, Forbidden } from 'evstream'
import { apps, bare, connections, listen, neverAdopting } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'
import { certificate } from './support/certificate.mjs'

for (const [name, start] of Object.entries(apps)) {
  for (const adopt of neverAdopting.has(name) ? [false] : [true, false]) {
    describe(`${name}, ${adopt ? 'adopted' : 'pulled'}`, () => {
      test('streams events, with the headers of middleware', async t => {
        const { events, port, server } = await app(t, start, undefined, { adopt })
        const client = await connect(port, '/events/?channel=a&channel=%C3%BC')
        await client.event('stream-open')
        assert.equal(client.status, 200)
        assert.equal(client.headers['content-type'], 'text/event-stream')
        assert.equal(client.headers['cache-control'], 'no-cache, no-transform')
        assert.equal(client.headers['x-accel-buffering'], 'no')
        assert.equal(client.headers['content-encoding'], undefined)
        if (!bare.has(name)) {
          assert.equal(client.headers['x-middleware'], 'yes')
          assert.match(client.headers['set-cookie'], /^seen=/)
        }
        await eventually(async () => await connections(server) === (adopt ? 0 : 1), 'the connection to be where it belongs')
        await events.publish('a', { event: 'greeting', data: { text: 'häl\nlo' } })
        await events.publish('b', { data: 'not for this client' })
        await events.publish('ü', { text: 'two\r\nlines', retryMs: 5_000, comment: 'a comment' })
        await client.event('message')
        const position = client.named('greeting')[0].id
        assert.deepEqual(client.events.map(({ event, data }) => [event, data]), [
          ['stream-open', '{"channels":["a","ü"]}'],
          ['greeting', '{"text":"häl\\nlo"}'],
          [undefined, 'two\nlines']
        ])
        assert.equal(client.retryMs, 5_000)
        client.close()
        await eventually(() => events.stats().open === 0)
        assert.equal(events.stats().closed.client, 1)

        const back = await connect(port, '/events/?channel=a&channel=%C3%BC', { headers: { 'Last-Event-ID': position } })
        await back.event('message')
        assert.deepEqual(back.named('greeting'), [])
        back.close()
      })

      test('carries a burst that is larger than every buffer', async t => {
        const { events, port } = await app(t, start, ['a'], { adopt })
        const client = await connect(port, '/events/')
        await client.event('stream-open')
        const padding = 'x'.repeat(10_000)
        for (let n = 0; n < 1_000; n++) events.publish('a', { data: { n, padding } })
        await client.event('message', 1_000)
        assert.deepEqual(client.named('message').map(({ data }) => JSON.parse(data).n), [...Array(1_000).keys()])
      })

      test('does not hold up closing the server', async t => {
        const { events, port, server, app: framework } = await app(t, start, ['a'], { adopt })
        const clients = await Promise.all([1, 2, 3].map(() => connect(port, '/events/')))
        await Promise.all(clients.map(client => client.event('stream-open')))
        if (framework) await framework.close()
        else await new Promise(resolve => server.close(resolve))
        if (!adopt) {
          await Promise.all(clients.map(client => client.until(() => client.ended, 'the end of the stream')))
          for (const client of clients) {
            assert.deepEqual(client.named('stream-close').map(({ data }) => data), ['{"reason":"shutdown"}'])
            assert.ok(client.retryMs >= 2_000 && client.retryMs <= 4_000, `retry ${client.retryMs}`)
          }
          await eventually(() => events.stats().open === 0)
          assert.equal(events.stats().closed.shutdown, 3)
        }
      })

      test('ends when the events are closed', async t => {
        const { events, port } = await app(t, start, ['a'], { adopt })
        const client = await connect(port, '/events/')
        await client.event('stream-open')
        await events.publish('a', { data: 1 })
        await events.close()
        await client.until(() => client.ended, 'the end of the stream')
        assert.ok(client.retryMs >= 2_000)
        assert.equal(client.named('message').length, 1)
        const late = await connect(port, '/events/', { headers: { 'Last-Event-ID': client.named('message')[0].id } })
        await late.event('stream-close')
        assert.equal(late.status, 200)
        assert.deepEqual(late.events.map(({ data, id }) => [data, id]), [['{"reason":"shutdown"}', client.named('message')[0].id]])
        late.close()
      })

      test('asks the application who may have which channels', async t => {
        const asked = []
        const { events, port } = await app(t, start, async source => {
          const url = new URL(source.url ?? source.req?.url ?? source.raw.url, 'http://localhost')
          asked.push(url.searchParams.get('as'))
          switch (url.searchParams.get('as')) {
            case 'list': return ['a', 'b']
            case 'one': return 'a'
            case 'user': return { channels: ['a'], user: 'bob' }
            case 'query': return true
            case 'no': return false
            case 'forbidden': throw new Forbidden('please log in')
            case 'bug': throw new Error('a secret of the application')
            default: return undefined
          }
        }, { adopt })
        const opened = async query => {
          const client = await connect(port, `/events/?as=${query}`)
          await client.until(() => client.events.length > 0, 'an event')
          client.close()
          const [{ event, data, id }] = client.events
          return { event, id, ...JSON.parse(data) }
        }
        assert.deepEqual((await opened('list')).channels, ['a', 'b'])
        assert.deepEqual((await opened('one')).channels, ['a'])
        assert.deepEqual((await opened('user')).channels, ['a'])
        assert.deepEqual((await opened('query&channel=mine')).channels, ['mine'])
        for (const [query, text] of [['no', 'the stream is not allowed'], ['forbidden', 'please log in']]) {
          const error = await opened(query)
          assert.equal(error.event, 'stream-error')
          assert.equal(error.id, 'error')
          assert.equal(error.condition, 'forbidden')
          assert.equal(error.text, text)
        }
        for (const query of ['bug', 'nothing']) {
          assert.deepEqual(await opened(query), { event: 'stream-close', id: undefined, reason: 'failed' })
        }
        const refused = await connect(port, '/events/?as=list', { headers: { 'Last-Event-ID': 'error' } })
        assert.equal(refused.status, 400)
        refused.close()
        const page = await connect(port, '/events/?as=list', { headers: { Accept: 'text/html' } })
        assert.equal(page.status, 406)
        page.close()
        assert.equal(asked.length, 8, 'a request that needs no decision was asked about')
        assert.equal(events.stats().opened, 4)
      })

      test('serves eventsource-parser over fetch', async t => {
        const { events, port } = await app(t, start, ['a'], { adopt })
        const response = await fetch(`http://127.0.0.1:${port}/events/`)
        const reading = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader()
        assert.equal((await reading.read()).value.event, 'stream-open')
        const { position } = await events.publish('a', { event: 'x', text: 'two\nlines' })
        const { id, event, data } = (await reading.read()).value
        assert.deepEqual([id, event, data], [position, 'x', 'two\nlines'])
        await reading.cancel()
        await eventually(() => events.stats().open === 0)
      })

      test('serves the eventsource package, which comes back with its position', async t => {
        const { events, port } = await app(t, start, ['a'], { adopt, events: { maxAgeMs: 1, retryMs: 0 } })
        const source = new EventSource(`http://127.0.0.1:${port}/events/`)
        t.after(() => source.close())
        const data = []
        source.addEventListener('message', event => data.push(event.data))
        await once(source, 'open')
        for (let n = 0; n < 20; n++) {
          await events.publish('a', { data: n })
          await eventually(() => data.length > n)
        }
        assert.deepEqual(data.map(Number), [...Array(20).keys()])
        assert.ok(events.stats().opened > 1, 'it never had to come back')
      })
    })
  }
}

describe('what cannot be adopted is pulled', () => {
  test('TLS', async t => {
    const events = eventsOf(t)
    const server = https.createServer(certificate(), events.express(['a']))
    const { port } = await listening(t, server)
    const request = https.get({ port, host: '127.0.0.1', rejectUnauthorized: false })
    const [response] = await once(request, 'response')
    await streams(events, response)
    assert.equal(await connections(server), 1)
    response.destroy()
  })

  test('HTTP/2', async t => {
    const events = eventsOf(t)
    const server = http2.createServer(events.express(['a']))
    const { port } = await listening(t, server)
    const session = http2.connect(`http://127.0.0.1:${port}`)
    t.after(() => session.destroy())
    const stream = session.request({ ':path': '/events/' })
    const [headers] = await once(stream, 'response')
    assert.equal(headers['content-type'], 'text/event-stream')
    await streams(events, stream)
  })

  test('compression that does not heed no-transform', async t => {
    const events = eventsOf(t)
    const app = express5()
    app.use((req, res, next) => {
      // As a careless proxy of the application's own would.
      const { setHeader } = res
      res.setHeader = function (name, value) {
        return setHeader.call(this, name, name === 'Cache-Control' ? 'no-cache' : value)
      }
      next()
    })
    app.use(compression({ filter: () => true, threshold: 0 }))
    app.get('/events/', events.express(['a']))
    const { port } = await listening(t, http.createServer(app))
    const response = await fetch(`http://127.0.0.1:${port}/events/`)
    assert.ok(response.headers.get('content-encoding'))
    await streams(events, response.body)
  })

  test('a response behind another on its connection', async t => {
    const events = eventsOf(t)
    const stream = events.express(['a'])
    let finish
    const { port } = await listening(t, http.createServer((req, res) => {
      if (req.url === '/slow') finish = () => res.end('slow')
      else stream(req, res)
    }))
    const socket = (await connectRaw(port))
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /events/ HTTP/1.1\r\nHost: x\r\n\r\n')
    let received = ''
    socket.on('data', data => { received += data })
    await eventually(() => events.stats().opened === 1)
    finish()
    await eventually(() => received.includes('stream-open'))
    await events.publish('a', { data: 'after' })
    await eventually(() => received.includes('"after"'))
    assert.ok(received.indexOf('slow') < received.indexOf('stream-open'))
    socket.destroy()
  })
})

test('HTTP/1.0 clients get a body that ends with the connection', async t => {
  for (const adopt of [true, false]) {
    const { events, port } = await app(t, apps['Express 5'], ['a'], { adopt })
    const client = await connect(port, '/events/', { version: '1.0' })
    assert.equal(client.headers['transfer-encoding'], undefined)
    await client.event('stream-open')
    await events.publish('a', { data: 'x' })
    await client.event('message')
    assert.equal(client.raw, client.body)
    client.close()
  }
})

test('keep-alives and endings have the same bytes adopted and pulled', async t => {
  const raw = {}
  for (const adopt of [true, false]) {
    const { events, port } = await app(t, apps['Express 4'], ['a'], { adopt, events: { keepAliveMs: 20, retryMs: 0 } })
    const client = await connect(port, '/events/')
    await client.event('keep-alive', 2)
    await events.close()
    await client.until(() => client.ended)
    const position = client.events[0].id.split('-')[0]
    const [first, keepAlive] = client.raw.replaceAll(position, 'EPOCH').split('\r\n\r\n')[0].split(/(?=[0-9a-f]+\r\n)/)
    raw[adopt] = { first, keepAlive, end: client.raw.slice(-5) }
    assert.equal(client.retryMs, 0)
  }
  assert.deepEqual(raw.true, raw.false)
})

test('use() leaves what is below the path to others', async t => {
  const events = eventsOf(t)
  const app = express5()
  app.use('/events', events.express(['a']))
  app.get('/events/list', (req, res) => { res.send('a list') })
  const { port } = await listening(t, http.createServer(app))
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/events/list`)).text(), 'a list')
  const client = await connect(port, '/events')
  await client.event('stream-open')
  client.close()
})

test('HEAD, other methods and preflight', async t => {
  const events = eventsOf(t, { corsOrigins: ['https://page.example'] })
  const { port } = await listening(t, http.createServer(events.express(['a'])))
  const ask = (method, headers) => fetch(`http://127.0.0.1:${port}/events/`, { method, headers })
  const head = await ask('HEAD')
  assert.equal(head.status, 200)
  assert.equal(head.headers.get('content-type'), 'text/event-stream')
  assert.equal((await ask('POST')).status, 405)
  const preflight = await ask('OPTIONS', { Origin: 'https://page.example', 'Access-Control-Request-Method': 'GET' })
  assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://page.example')
  assert.equal(events.stats().opened, 0)
})

test('a web handler answers a bare Request, and stops when its body is cancelled', async t => {
  const events = eventsOf(t)
  const GET = events.fetch(['a'])
  const alive = setInterval(() => {}, 1_000) // no server does it here
  t.after(() => clearInterval(alive))
  const response = await GET(new Request('http://localhost/events/'))
  const reader = response.body.getReader()
  assert.match(text(await reader.read()), /stream-open/)
  const pending = reader.read()
  await events.publish('a', { data: 1 })
  assert.match(text(await pending), /data: 1/)
  await reader.cancel()
  assert.equal(events.stats().open, 0)
  const abort = new AbortController()
  await GET({ request: new Request('http://localhost/', { signal: abort.signal }) })
  assert.equal(events.stats().open, 1)
  abort.abort()
  assert.equal(events.stats().open, 0)
  const error = await GET(new Request('http://localhost/?channel=', { headers: { Accept: 'text/html' } }))
  assert.equal(error.status, 406)
})

test('a promise of another library decides, too', async t => {
  const events = eventsOf(t)
  let settle
  const { port } = await listening(t, http.createServer(events.express(() => ({ then (_, reject) { settle = reject } }))))
  const opening = connect(port, '/?channel=secret')
  await eventually(() => settle)
  settle(new Forbidden('of another library'))
  const client = await opening
  await client.event('stream-error')
  assert.equal(JSON.parse(client.events[0].data).text, 'of another library')
})

test('who meets a cap on streams is asked to come back', async t => {
  const events = eventsOf(t, { maxStreams: 2, maxStreamsPerAddress: 1 })
  const { port } = await listening(t, http.createServer(events.express(['a'])))
  const first = await connect(port, '/')
  await first.event('stream-open')
  const second = await connect(port, '/', { headers: { Accept: '*/*' } })
  assert.equal(second.status, 429)
  assert.ok(Number(second.headers['retry-after']) > 0)
  const source = await connect(port, '/')
  await source.event('stream-close')
  assert.deepEqual([source.status, source.events[0].data], [200, '{"reason":"full"}'])
  assert.ok(source.retryMs >= 2_000)
  source.close()
  first.close()
  await eventually(() => events.stats().open === 0)
  const third = await connect(port, '/')
  await third.event('stream-open')
  third.close()
  second.close()
})

function eventsOf (t, options) {
  const events = new Events({ logger: false, ...options })
  t.after(() => events.close())
  return events
}

async function app (t, start, channels, { events: options, ...mount } = {}) {
  const events = eventsOf(t, options)
  const started = await start(events, channels, mount)
  t.after(() => stop(started.server))
  return { events, ...started }
}

async function listening (t, server) {
  const started = await listen(server)
  t.after(() => stop(server))
  return started
}

function stop (server) {
  server.close()
  server.closeAllConnections?.()
}

async function connectRaw (port) {
  const { connect } = await import('node:net')
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** An event that is published reaches the body. */
async function streams (events, body) {
  let received = ''
  const decoder = new TextDecoder()
  const reading = (async () => {
    for await (const chunk of body) {
      received += decoder.decode(chunk, { stream: true })
      if (received.includes('"arrived"')) return
    }
  })()
  await eventually(() => received.includes('stream-open'))
  await events.publish('a', { data: 'arrived' })
  await reading
}

function text ({ value }) {
  return new TextDecoder().decode(value)
}
