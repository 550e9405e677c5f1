// Rights that change while streams are open, and snapshots that join them.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArgumentError, ClosedError, Events } from 'evstream'
import { apps } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

/** Every way in which a stream is mounted, by what starts the application. */
const mounts = {
  adopted: (events, channels) => apps['Express 5'](events, channels, {}),
  pulled: (events, channels) => apps['Express 5'](events, channels, { adopt: false }),
  'a web response': (events, channels) => apps.Hono(events, channels, {}),
  async 'the own server' (events, channels) {
    const server = await events.serve({ path: '/events/', channels })
    return { port: server.port, server }
  }
}

for (const [name, start] of Object.entries(mounts)) {
  describe(name, () => {
    test('only those meant are ended, and hear nothing more', async t => {
      const { events, open } = await served(t, start, source => ({ channels: ['room'], user: userOf(source) }))
      const [bob, eve] = [await open('bob'), await open('eve')]
      assert.deepEqual(await events.disconnect({ user: 'bob', channel: 'room' }, 'you have left'), { localOnly: true })
      await events.disconnect({ user: 'eve', channel: 'another' }, 'not meant')
      await events.publish('room', { text: 'secret' })
      await bob.until(() => bob.ended, 'the end')
      assert.deepEqual(JSON.parse(bob.named('stream-error')[0].data), { condition: 'forbidden', text: 'you have left', channels: ['room'] })
      assert.ok(!bob.raw.includes('secret'))
      await eve.event('message')
      await events.reopen({ everyone: true })
      await eve.until(() => eve.ended, 'the end')
      assert.deepEqual(eve.named('stream-close').map(({ data }) => JSON.parse(data).reason), ['reauthorize'])
      // Counted once the socket is let go, which is after the client has read the end.
      await eventually(() => events.stats().open === 0)
      const { closed } = events.stats()
      assert.deepEqual([closed.disconnected, closed.reauthorize], [1, 1])
    })

    test('those who are there are listed', async t => {
      const { events, open } = await served(t, start, source => ({ channels: ['room', userOf(source)], user: userOf(source) }))
      const [bob, eve] = [await open('bob'), await open('eve')]
      // What has come through says that the engine has them.
      await events.publish('room', { data: 1 })
      await Promise.all([bob, eve].map(client => client.event('message')))
      assert.deepEqual(events.users('room'), ['bob', 'eve'])
      assert.deepEqual(events.users('bob'), ['bob'])
      const [found, ...others] = events.streams({ user: 'bob', channel: 'room' })
      assert.deepEqual(others, [])
      const { id, ageMs, behind, position, ...rest } = found
      assert.deepEqual(rest, { channels: ['room', 'bob'], user: 'bob', address: '127.0.0.1' })
      assert.ok(ageMs >= 0 && behind <= 1 && position.includes('-'))
      assert.equal(events.streams({ everyone: true }).length, 2)
      await events.disconnect({ stream: id }, 'you')
      await bob.until(() => bob.ended, 'the end')
      await eventually(() => events.streams({ user: 'bob' }).length === 0)
      for (const who of [{}, { user: '' }, { user: undefined }, null, { all: true }]) assert.throws(() => events.streams(who), ArgumentError)
      assert.throws(() => events.users(''), ArgumentError)
      await events.close()
      assert.throws(() => events.streams({ everyone: true }), ClosedError)
      assert.throws(() => events.users('room'), ClosedError)
    })

    test('one stream of several', async t => {
      const { events, open } = await served(t, start, () => 'room')
      const ids = []
      events.on('open', ({ id }) => { ids.push(id) })
      const first = await open('bob')
      await eventually(() => ids.length === 1)
      const second = await open('bob')
      await events.disconnect({ stream: ids[0] }, 'this one')
      await first.until(() => first.ended, 'the end')
      await events.publish('room', { data: 1 })
      await second.event('message')
      assert.equal(second.ended, false)
    })

    test('a snapshot joins the stream', async t => {
      const { open } = await served(t, start, async (_source, _requested, events) => {
        const since = events.position()
        await events.publish('room', { data: 'meanwhile' })
        return { channels: ['room'], since, greet: [{ event: 'rows', data: [1, 'ü'] }, { text: 'two\nlines' }] }
      })
      const client = await open('bob')
      await client.event('message', 2)
      assert.deepEqual(client.events.map(({ event = 'message', data }) => [event, event === 'stream-open' ? '' : data]), [
        ['stream-open', ''], ['rows', '[1,"ü"]'], ['message', 'two\nlines'], ['message', '"meanwhile"']
      ])
      assert.equal(client.named('rows')[0].id, undefined)
    })

    test('what is published to a user reaches that user alone', async t => {
      const { events, open } = await served(t, start, source => ({ channels: ['room'], user: userOf(source) }), { userChannel: true })
      const [bob, eve] = [await open('bob'), await open('eve')]
      assert.equal((await events.publishToUser('bob', { event: 'mail', data: { for: 'bob' } })).streams, 1)
      await events.publish('room', { text: 'for all' })
      await bob.event('message')
      await eve.event('message')
      assert.equal(bob.named('mail')[0].data, '{"for":"bob"}')
      assert.ok(!eve.raw.includes('"for":'))
    })

    test('a right ends with its time', async t => {
      let end = new Date(Date.now() + 2_000)
      const { open } = await served(t, start, () => ({ channels: ['room'], expiresAt: end }))
      const client = await open('bob')
      await client.until(() => client.ended, 'the end')
      assert.deepEqual(client.named('stream-close').map(({ data }) => JSON.parse(data).reason), ['expired'])
      end = Math.floor(Date.now() / 1_000) - 1
      const late = await open('bob', 'stream-error')
      assert.equal(JSON.parse(late.named('stream-error')[0].data).condition, 'forbidden')
    })
  })
}

test('streams are asked to come back from time to time', async t => {
  const { open } = await served(t, mounts.adopted, () => 'room', { reauthorizeMs: 300 })
  const client = await open('bob')
  await client.until(() => client.ended, 'the end')
  assert.deepEqual(client.named('stream-close').map(({ data }) => JSON.parse(data).reason), ['reauthorize'])
})

test('somebody is named, and nobody by mistake', async t => {
  const { events, open } = await served(t, mounts.adopted, () => ({ channels: 'room', user: 'bob' }), { logger: false })
  const client = await open('bob')
  const wrong = [
    undefined, null, 'bob', {}, { user: '' }, { user: undefined }, { channel: 'room', user: undefined }, { user: null }, { user: 5 },
    { users: 'bob' }, { everyone: false }, { everyone: 1 }, { user: 'bob', chanel: 'room' }, ['bob']
  ]
  for (const who of wrong) {
    await assert.rejects(events.reopen(who), ArgumentError, JSON.stringify(who))
    await assert.rejects(events.disconnect(who, 'x'), ArgumentError, JSON.stringify(who))
  }
  await assert.rejects(events.disconnect({ user: 'bob' }), ArgumentError)
  await assert.rejects(events.disconnect({ user: 'bob' }, 'x'.repeat(1_025)), ArgumentError)
  await events.publish('room', { data: 1 })
  await client.event('message')
  assert.equal(events.stats().open, 1)
  // Nobody awaits it, and nothing ends.
  events.reopen({})
  await eventually(() => events.stats().unheardErrors === 1)
  await events.close()
  await assert.rejects(events.reopen({ user: 'bob' }), ClosedError)
})

test('nobody opens the channel of another user, and nothing is published to nobody', async t => {
  const { events, open } = await served(t, mounts.adopted, () => ({ channels: ['@user/bob'], user: 'eve' }), { userChannel: true, logger: false })
  const refused = await open('eve', 'stream-error')
  assert.match(refused.named('stream-error')[0].data, /belong to one user each/)
  for (const user of ['', 'a\nb', 'x'.repeat(251), undefined, 5]) {
    await assert.rejects(events.publishToUser(user, { data: 1 }), ArgumentError, String(user))
  }
  const off = new Events({ logger: false })
  t.after(() => off.close())
  await assert.rejects(off.publishToUser('bob', { data: 1 }), { message: /userChannel|user_channel/ })
})

describe('what cannot be granted opens nothing, and is logged', () => {
  const grants = {
    'milliseconds': [{ expiresAt: Date.now() + 60_000 }, /looks like milliseconds/],
    'no date': [{ expiresAt: new Date('tomorrow') }, /expiresAt takes a Date/],
    'a text': [{ expiresAt: '2030-01-01' }, /expiresAt takes a Date/],
    'nothing for a time': [{ expiresAt: null }, /expiresAt takes a Date/],
    'not a number': [{ expiresAt: NaN }, /expiresAt takes a Date/],
    'no position': [{ since: 'yesterday' }, /since is a position/],
    'a position that is a number': [{ since: 5 }, /since is a position/],
    'one event': [{ greet: { data: 1 } }, /greet takes a list/],
    'no event': [{ greet: [5] }, /an event is an object/],
    'a name of ours': [{ greet: [{ event: 'stream-open', data: 1 }] }, /stream-/],
    'too many events': [{ greet: Array(101).fill({ data: 1 }) }, /100 events at most/],
    'a typing error': [{ expires: 5 }, /an object with expires/]
  }
  for (const [what, [grant, says]] of Object.entries(grants)) {
    test(what, async t => {
      const lines = []
      const { events, open } = await served(t, mounts.pulled, () => ({ channels: 'room', ...grant }), { logger: { error: line => { lines.push(line) } } })
      const client = await open('bob', 'stream-close')
      assert.equal(JSON.parse(client.named('stream-close')[0].data).reason, 'failed')
      assert.match(lines[0], says)
      assert.equal(events.stats().opened, 0)
    })
  }
})

async function served (t, start, decide, options) {
  const events = new Events({ retryMs: 100, logger: false, ...options })
  t.after(() => events.close({ timeoutMs: 0 }))
  const { port, server } = await start(events, (source, requested) => decide(source, requested, events))
  t.after(() => { server.close(); server.closeAllConnections?.() })
  const open = async (user, event = 'stream-open') => {
    const client = await connect(port, '/events/', { headers: { 'X-User': user } })
    t.after(() => { client.close() })
    await client.event(event)
    return client
  }
  return { events, open }
}

/** Of a request of any framework. */
function userOf (source) {
  const { headers } = source.req?.raw ?? source
  return headers.get?.('x-user') ?? headers['x-user']
}
