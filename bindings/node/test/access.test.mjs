// Who gets which channels: what is not plainly allowed is refused, whoever reads the request.
import assert from 'node:assert/strict'
import http from 'node:http'
import { describe, test } from 'node:test'
import express5 from 'express5'
import { Events, Forbidden } from 'evstream'
import { apps, bare, listen } from './support/apps.mjs'
import { connect } from './support/client.mjs'

describe('a decision that is none opens nothing, and is logged', () => {
  const decisions = {
    'a typing error': () => ({ channel: ['a'] }),
    'a missing field': () => ({ channels: undefined, user: 'bob' }),
    'channels of a prototype': () => Object.create({ channels: ['a'] }),
    'nothing in an object': () => ({}),
    'a set': () => new Set(['a']),
    'a row of a database': () => ({ id: 1, name: 'room' }),
    'a query that a client made': () => ({ a: 'b' }),
    'more than there is': () => ({ channels: ['a'], admin: true }),
    'false channels': () => ({ channels: false }),
    'no channels': () => ({ channels: null }),
    'a user that is none': () => ({ channels: ['a'], user: 5 }),
    'a list with something else': () => ['a', 5],
    'nothing': () => undefined,
    'null': () => null,
    'a number': () => 5,
    'a symbol': () => Symbol('a'),
    'a promise of nothing': async () => undefined,
    'an error': () => { throw new Error('of the application') },
    'a rejection': async () => { throw new Error('of the application') }
  }
  for (const [what, decide] of Object.entries(decisions)) {
    test(what, async t => {
      const lines = []
      const events = eventsOf(t, { logger: { error: line => { lines.push(line) } } })
      const { port } = await listening(t, http.createServer(events.node(decide)))
      const client = await opened(t, port, '/?channel=user-42-private')
      assert.notEqual(client.events[0].event, 'stream-open')
      assert.ok(!client.raw.includes('of the application'))
      assert.equal(events.stats().opened, 0)
      assert.match(lines[0], /the function that chooses the channels of a stream has failed/)
    })
  }
})

describe('a function is told what the client asks for', () => {
  for (const [name, start] of [...Object.entries(apps), ['the own server', ownServer]]) {
    test(name, async t => {
      const events = eventsOf(t)
      const told = []
      const { port, server } = await start(events, (_source, requested) => {
        told.push(requested)
        return requested.every(channel => channel.startsWith('public')) && { channels: true, user: 'bob' }
      }, {})
      t.after(() => { server.close(); server.closeAllConnections?.() })
      const users = []
      events.on('open', ({ user }) => { users.push(user) })
      const queries = {
        'channel=public-1&channel=public-%C3%BC': ['public-1', 'public-ü'],
        'channel=public&channel=secret': 'forbidden',
        'channel=public&ch%61nnel=secret': 'forbidden',
        // Frameworks read no more than 1,000 parameters, and a function may look at theirs.
        [`channel=public&${'a&'.repeat(999)}channel=secret`]: 'bad-request',
        'channel=public#&channel=secret': ['public'],
        'channel=public&channel[]=secret&Channel=secret&channels=secret': ['public']
      }
      for (const [query, expected] of Object.entries(queries)) {
        const client = await opened(t, port, `/events/?${query}`)
        const [{ event, data }] = client.events
        if (Array.isArray(expected)) assert.deepEqual([event, JSON.parse(data).channels, told.at(-1)], ['stream-open', expected, expected], query)
        else assert.deepEqual([event, JSON.parse(data).condition], ['stream-error', expected], query)
      }
      assert.deepEqual([...new Set(users)], ['bob'])
    })
  }
})

describe('public channels', () => {
  const cases = [
    ['clock', 'channel=clock', ['clock']],
    ['clock', 'channel=clocks', undefined],
    [['clock', 'news-*'], 'channel=news-de&channel=clock', ['news-de', 'clock']],
    [['clock', 'news-*'], 'channel=news-', ['news-']],
    [['clock', 'news-*'], 'channel=news-de&channel=user-42', undefined],
    [['clock', 'news-*'], 'channel=news', undefined],
    ['*', 'channel=anything', ['anything']],
    [[], 'channel=clock', undefined]
  ]
  for (const [names, query, expected] of cases) {
    test(`${JSON.stringify(names)} for ?${query}`, async t => {
      const events = eventsOf(t)
      const { port } = await listening(t, http.createServer(events.node({ public: names })))
      const [{ event, data }] = (await opened(t, port, `/?${query}`)).events
      if (expected) assert.deepEqual([event, JSON.parse(data).channels], ['stream-open', expected])
      else assert.deepEqual([event, JSON.parse(data).condition], ['stream-error', 'forbidden'])
    })
  }

  test('of which none is named', async t => {
    const events = eventsOf(t)
    const { port } = await listening(t, http.createServer(events.node({ public: ['clock'] })))
    for (const path of ['/', '/?channel=', '/?channel=&channel=clock']) {
      assert.equal(JSON.parse((await opened(t, port, path)).events[0].data).condition, 'bad-request', path)
    }
  })

  test('are names, or how they begin', () => {
    const events = new Events({ logger: false })
    for (const names of ['a*b', '*a', 'a**', 5, [5], undefined, { clock: true }]) {
      assert.throws(() => events.node({ public: names }), { code: 'invalid-argument' }, String(names))
    }
  })
})

test('a mount for any channel beside one that guards its own is warned of, once', () => {
  const guarded = [() => true, 'user-42', ['user-42']]
  const open = [{ public: '*' }, { public: ['clock'] }]
  const warnings = mounts => {
    const lines = []
    const events = new Events({ logger: { warn: line => { lines.push(line) } } })
    for (const channels of mounts) events.express(channels)
    return lines
  }
  for (const channels of guarded) {
    assert.match(warnings([undefined, channels])[0], /mounted without channels/)
    assert.equal(warnings([channels, undefined, channels, undefined]).length, 1)
    for (const chosen of open) assert.deepEqual(warnings([chosen, channels]), [])
  }
  assert.deepEqual(warnings([undefined, undefined, { public: 'clock' }]), [])
})

test('a Forbidden of another copy of the package', async t => {
  const events = eventsOf(t)
  const other = Object.assign(new Error('please log in'), { [Symbol.for('evstream.Forbidden')]: true })
  const { port } = await listening(t, http.createServer(events.node(() => { throw other })))
  const { condition, text } = JSON.parse((await opened(t, port, '/')).events[0].data)
  assert.deepEqual([condition, text], ['forbidden', 'please log in'])
})

describe('errors of the function go to the framework, where it is asked for', () => {
  for (const [name, start] of Object.entries(apps)) {
    if (bare.has(name)) continue
    test(name, async t => {
      const lines = []
      const events = eventsOf(t, { logger: { error: line => { lines.push(line) } } })
      const failure = Object.assign(new Forbidden('log in'), { status: 401, statusCode: 401, getResponse: () => new Response('log in', { status: 401 }) })
      const { port, server } = await start(events, async () => { throw failure }, { passErrors: true })
      t.after(() => { server.close(); server.closeAllConnections?.() })
      const { status } = await fetch(`http://127.0.0.1:${port}/events/`)
      assert.equal(status, 401)
      assert.deepEqual(lines, [])
    })
  }
})

test('an application may answer instead of deciding', async t => {
  const events = eventsOf(t)
  const app = express5().get('/', events.express((req) => {
    req.res.status(302).set('Location', '/login').end()
    return false
  }))
  app.use((error, req, res, next) => { next(error) })
  const { port } = await listening(t, http.createServer(app))
  const { status } = await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' })
  assert.equal(status, 302)
})

function eventsOf (t, options) {
  const events = new Events({ logger: false, ...options })
  t.after(() => events.close())
  return events
}

async function ownServer (events, channels) {
  const server = await events.serve({ path: '/events/', channels })
  return { port: server.port, server }
}

async function listening (t, server) {
  const started = await listen(server)
  t.after(() => { server.close(); server.closeAllConnections() })
  return started
}

/** A client that has heard something. */
async function opened (t, port, path) {
  const client = await connect(port, path)
  t.after(() => { client.close() })
  await client.until(() => client.events.length > 0 || client.ended, 'an event')
  return client
}
