// What the application around a stream sees of it: sessions, loggers, hooks, errors, addresses.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { describe, test } from 'node:test'
import cookie from '@fastify/cookie'
import Router from '@koa/router'
import express4 from 'express4'
import express5 from 'express5'
import session from 'express-session'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import koaSession from 'koa-session'
import morgan from 'morgan'
import { Events, EvstreamError } from 'evstream'
import { connections, listen } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

const WAYS = [true, false]

for (const [name, express] of Object.entries({ 'Express 4': express4, 'Express 5': express5 })) {
  for (const adopt of WAYS) {
    describe(`${name}, ${adopt ? 'adopted' : 'pulled'}`, () => {
      test('a session that has ended stays so when the stream ends', async t => {
        const { events, get, open, store } = await withSessions(t, express, { adopt })
        const [, cookie] = await get('/login')
        const client = await open(cookie)
        await get('/logout', cookie)
        client.close()
        await eventually(() => events.stats().open === 0)
        // What the response would do at its end, it has done when the next request is answered.
        assert.equal((await get('/me', cookie))[0], 'null')
        assert.equal((await get('/me', cookie))[0], 'null')
        assert.deepEqual(Object.keys(store.sessions), [])
      })

      if (adopt) {
        test('a session that the request has changed is stored at once', async t => {
          const { get, open, store } = await withSessions(t, express, { adopt })
          const [, cookie] = await get('/login')
          await open(cookie)
          await eventually(() => Object.values(store.sessions).some(stored => stored.includes('lastSeen')))
          assert.equal((await get('/me', cookie))[0], '"bob"')
        })
      }

      test('loggers and listeners hear of one response that ends once', async t => {
        const lines = []
        const heard = []
        const events = eventsOf(t)
        const app = express()
        app.use(morgan(':method :status', { stream: { write: line => { lines.push(line.trim()) } } }))
        app.use((req, res, next) => {
          for (const name of ['finish', 'close']) res.on(name, () => { heard.push(`response ${name}`) })
          req.on('aborted', () => { heard.push('aborted') })
          next()
        })
        app.get('/', events.express(['a'], { adopt }))
        const { port, server } = await listening(t, http.createServer(app))
        const client = await connect(port, '/')
        await client.event('stream-open')
        if (adopt) {
          await eventually(() => heard.includes('response close'), 'the response to end')
          await eventually(async () => await connections(server) === 0)
          assert.deepEqual([lines, heard], [['GET 200'], ['response finish', 'response close']])
        }
        await events.publish('a', { data: 1 })
        await client.event('message')
        assert.ok(!client.ended)
        client.close()
        await eventually(() => events.stats().open === 0)
        if (!adopt) await eventually(() => heard.includes('response close'), 'the response to end')
        assert.equal(heard.filter(name => name === 'response close').length, 1)
        assert.equal(heard.includes('response finish'), adopt)
        assert.equal(lines.length, 1)
      })

      test('a response that was begun before is an error of the application', async t => {
        const events = eventsOf(t)
        const told = []
        const app = express()
        app.get('/', (req, res, next) => { res.write('too early'); next() }, events.express(['a'], { adopt }))
        app.use((error, req, res, next) => {
          told.push(error)
          next(error)
        })
        const { port } = await listening(t, http.createServer(app))
        const client = await connect(port, '/')
        await client.until(() => client.ended, 'the end of the connection')
        assert.ok(told[0] instanceof EvstreamError)
        assert.match(told[0].message, /response was begun before/)
        assert.equal(events.stats().open, 0)
      })

      test('addresses are those behind the proxies that it trusts', async t => {
        const events = eventsOf(t, { maxStreamsPerAddress: 1 })
        const app = express().set('trust proxy', true).get('/', events.express(['a'], { adopt }))
        const { port } = await listening(t, http.createServer(app))
        await addressesOf(t, events, port)
      })
    })
  }
}

for (const adopt of WAYS) {
  describe(`Koa, ${adopt ? 'adopted' : 'pulled'}`, () => {
    test('sessions, and headers after `await next()`', async t => {
      const events = eventsOf(t)
      const errors = []
      const app = new Koa()
      app.keys = ['a key']
      app.on('error', error => { errors.push(error) })
      app.use(async (ctx, next) => {
        await next()
        ctx.set('X-After', 'yes')
      })
      app.use(koaSession({}, app))
      const router = new Router()
      router.get('/', async (ctx, next) => {
        ctx.session.seen = true
        await next()
      }, events.koa(['a'], { adopt }))
      app.use(router.routes())
      const { port } = await listening(t, http.createServer(app.callback()))
      const client = await connect(port, '/')
      await client.event('stream-open')
      assert.equal(client.headers['x-after'], 'yes')
      assert.match(client.headers['set-cookie'], /koa\.sess/)
      await events.publish('a', { data: 1 })
      await client.event('message')
      client.close()
      await eventually(() => events.stats().open === 0)
      assert.deepEqual(errors, [])
    })

    test('addresses are those behind the proxies that it trusts', async t => {
      const events = eventsOf(t, { maxStreamsPerAddress: 1 })
      const app = new Koa({ proxy: true })
      app.use(events.koa(['a'], { adopt }))
      const { port } = await listening(t, http.createServer(app.callback()))
      await addressesOf(t, events, port)
    })

    test('a response that was begun before is an error of the application', async t => {
      const events = eventsOf(t)
      const app = new Koa()
      const told = once(app, 'error')
      app.use(async (ctx, next) => {
        ctx.res.write('too early')
        await next()
      })
      app.use(events.koa(['a'], { adopt }))
      const { port } = await listening(t, http.createServer(app.callback()))
      const client = await connect(port, '/')
      await client.until(() => client.ended, 'the end of the connection')
      assert.match((await told)[0].message, /response was begun before/)
    })
  })

  describe(`Fastify, ${adopt ? 'adopted' : 'pulled'}`, () => {
    test('hooks hear of one response', async t => {
      const events = eventsOf(t)
      const heard = []
      const app = Fastify({ trustProxy: true })
      await app.register(cookie)
      for (const hook of ['onSend', 'onResponse', 'onError', 'onRequestAbort']) app.addHook(hook, async _request => { heard.push(hook) })
      app.get('/', events.fastify(['a'], { adopt }))
      await app.listen({ port: 0, host: '127.0.0.1' })
      t.after(() => app.close())
      const { port } = app.server.address()
      const client = await connect(port, '/')
      await client.event('stream-open')
      if (adopt) {
        await eventually(() => heard.includes('onResponse'))
        await eventually(async () => await connections(app.server) === 0)
        assert.deepEqual(heard, ['onSend', 'onResponse'])
      }
      await events.publish('a', { data: 1 })
      await client.event('message')
      client.close()
      await eventually(() => events.stats().open === 0)
      if (!adopt) await eventually(() => heard.includes('onRequestAbort') || heard.includes('onResponse'))
      assert.ok(!heard.includes('onError'))
    })

    test('addresses are those behind the proxies that it trusts', async t => {
      const events = eventsOf(t, { maxStreamsPerAddress: 1 })
      const app = Fastify({ trustProxy: true })
      app.get('/', events.fastify(['a'], { adopt }))
      await app.listen({ port: 0, host: '127.0.0.1' })
      t.after(() => app.close())
      await addressesOf(t, events, app.server.address().port)
    })
  })
}

test('an address that the application gives, and what is none', async t => {
  const events = eventsOf(t)
  const seen = []
  events.on('open', ({ address }) => { seen.push(address) })
  const address = req => req.headers['x-address']
  const { port } = await listening(t, http.createServer(events.node(['a'], { address })))
  for (const given of ['10.0.0.1', 'fe80::1%eth0', 'garbage', undefined]) {
    const client = await connect(port, '/', { headers: given ? { 'X-Address': given } : {} })
    await client.event('stream-open')
    client.close()
  }
  await eventually(() => seen.length === 4)
  assert.deepEqual(seen, ['10.0.0.1', 'fe80::1', '127.0.0.1', '127.0.0.1'])
})

test('without anyone to tell, a response that was begun before is logged and ended', async t => {
  const lines = []
  const events = eventsOf(t, { logger: { error: line => { lines.push(line) } } })
  const stream = events.node(['a'])
  const { port } = await listening(t, http.createServer((req, res) => {
    stream(req, res)
    stream(req, res)
  }))
  await assert.rejects(once(http.get({ port }), 'response'), { code: 'ECONNRESET' })
  assert.match(lines[0], /response was begun before/)
})

test('a client that leaves while the application decides is no error', async t => {
  const lines = []
  const events = eventsOf(t, { logger: { warn: line => { lines.push(line) }, error: line => { lines.push(line) } } })
  let decide
  const decision = new Promise(resolve => { decide = resolve })
  const app = express5()
  app.get('/', events.express(() => decision))
  app.use((error, req, res, next) => { lines.push(error.message) })
  const { port, server } = await listening(t, http.createServer(app))
  const request = http.get({ port, path: '/' }).on('error', () => {})
  await eventually(async () => await connections(server) === 1)
  request.destroy()
  await eventually(async () => await connections(server) === 0)
  decide(['a'])
  await eventually(() => events.stats().opened === 1 && events.stats().open === 0)
  assert.deepEqual(lines, [])
})

describe('headers of the application beside ours', () => {
  const cases = {
    'Vary: Origin': ['Vary', 'Origin', 'vary', 'Origin'],
    'Vary: accept, origin': ['Vary', 'accept, origin', 'vary', 'accept, origin'],
    'a cache that may store nothing': ['Cache-Control', 'private, no-store', 'cache-control', 'private, no-store, no-cache, no-transform'],
    'a cache that would keep the stream': ['Cache-Control', 'public, max-age=600', 'cache-control', 'no-cache, no-transform']
  }
  for (const [what, [name, value, header, expected]] of Object.entries(cases)) {
    test(what, async t => {
      const events = eventsOf(t, { corsOrigins: ['https://page.example'] })
      const stream = events.node(['a'])
      const servers = {
        node: http.createServer((req, res) => {
          res.setHeader(name, value)
          stream(req, res)
        }),
        koa: http.createServer(new Koa().use(async (ctx, next) => {
          ctx.set(name, value)
          await next()
        }).use(events.koa(['a'])).callback())
      }
      for (const [, server] of Object.entries(servers)) {
        const { port } = await listening(t, server)
        const client = await connect(port, '/', { headers: { Origin: 'https://page.example' } })
        assert.equal(client.headers[header], expected)
        client.close()
      }
      const app = new Hono()
      app.use(async (c, next) => {
        c.header(name, value)
        await next()
      })
      app.get('/', events.fetch(['a']))
      const response = await app.request('/', { headers: { Origin: 'https://page.example' } })
      assert.equal(response.headers.get(header), expected)
      await response.body.cancel()
    })
  }
})

function eventsOf (t, options) {
  const events = new Events({ logger: false, ...options })
  t.after(() => events.close())
  return events
}

async function listening (t, server) {
  const started = await listen(server)
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return started
}

/** An application with sessions in memory; what it answers to `get`, and a stream whose request changes its session. */
async function withSessions (t, express, options) {
  const events = eventsOf(t)
  const store = new session.MemoryStore()
  const app = express()
  app.use(session({ store, secret: 'test', resave: false, saveUninitialized: false }))
  app.get('/login', (req, res) => { req.session.user = 'bob'; res.send('in') })
  app.get('/logout', (req, res) => { req.session.destroy(() => { res.send('out') }) })
  app.get('/me', (req, res) => { res.send(JSON.stringify(req.session.user ?? null)) })
  app.get('/events', (req, res, next) => { req.session.lastSeen = Date.now(); next() }, events.express(['a'], options))
  const { port } = await listening(t, http.createServer(app))
  const get = async (path, cookie) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: cookie ? { cookie } : {} })
    return [await response.text(), response.headers.get('set-cookie')?.split(';')[0]]
  }
  const open = async cookie => {
    const client = await connect(port, '/events', { headers: { Cookie: cookie } })
    t.after(() => { client.close() })
    await client.event('stream-open')
    return client
  }
  return { events, get, open, store }
}

/** Two clients of one proxy are two, and one of them is one. */
async function addressesOf (t, events, port) {
  const seen = []
  events.on('open', ({ address }) => { seen.push(address) })
  const open = async address => {
    const client = await connect(port, '/', { headers: { 'X-Forwarded-For': address } })
    t.after(() => { client.close() })
    await client.until(() => client.events.length > 0, 'an event')
    return client
  }
  await open('10.0.0.1')
  await open('10.0.0.2')
  await eventually(() => seen.length === 2)
  assert.deepEqual(seen, ['10.0.0.1', '10.0.0.2'])
  await connect(port, '/', { headers: { 'X-Forwarded-For': '10.0.0.1' } })
  await eventually(() => events.stats().refused === 1)
}

describe('a server that is closed while a stream begins asks its client to come back', () => {
  const moments = {
    'before the decision': server => { server.close() },
    'before the first bytes are out': server => { process.nextTick(() => server.close()) },
    'while the application decides': async server => { await new Promise(resolve => { server.close(); setImmediate(resolve) }) }
  }
  for (const [moment, close] of Object.entries(moments)) {
    for (const adopt of WAYS) {
      test(`${moment}, ${adopt ? 'adopted' : 'pulled'}`, { timeout: 20_000 }, async t => {
        const events = new Events({ logger: false })
        t.after(() => events.close())
        const server = http.createServer(events.node(() => {
          const closing = close(server)
          return closing ? closing.then(() => ['a']) : ['a']
        }, { adopt }))
        const { port } = await listen(server)
        const closed = once(server, 'close')
        const client = await connect(port, '/')
        await client.event('stream-close')
        await client.until(() => client.ended, 'the end of the connection')
        await closed
      })
    }
  }
})
