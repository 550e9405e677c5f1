// Tickets, for clients that send no headers, in mounts and at the own server.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { ArgumentError, ConfigError, Events, Tickets } from 'evstream'
import { apps } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

const ticketSecret = 'a secret of some length'

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
  test(`${name}: a ticket of another process opens a stream that ends with it, one at a time`, async t => {
    const events = new Events({ logger: false, ticketSecret })
    const other = new Events({ logger: false, ticketSecret })
    t.after(() => Promise.all([events, other].map(one => one.close({ timeoutMs: 0 }))))
    const { port, server } = await start(events, new Tickets('live'))
    t.after(() => { server.close(); server.closeAllConnections?.() })
    const open = async (ticket, headers = {}) => {
      const client = await connect(port, `/events/?ticket=${ticket}`, { headers })
      t.after(() => { client.close() })
      return client
    }
    const reasons = client => client.named('stream-close').map(({ data }) => JSON.parse(data).reason)
    const ticket = other.ticket(new Tickets('live', { lastsS: 4 }), { channels: ['a'], user: 'bob' })
    const first = await open(ticket)
    await first.event('stream-open')
    assert.deepEqual(JSON.parse(first.named('stream-open')[0].data), { channels: ['a'] })
    const second = await open(ticket)
    await second.event('stream-open')
    await first.until(() => first.ended, 'the end')
    assert.deepEqual(reasons(first), ['replaced'])
    await events.publish('a', { data: 1 })
    await second.event('message')
    await second.until(() => second.ended, 'the end')
    assert.deepEqual(reasons(second), ['expired'])
    for (const wrong of ['', `${ticket}x`, events.ticket(new Tickets('other'), { channels: ['a'] })]) {
      const refused = await open(wrong)
      await refused.event('stream-error')
      assert.equal(JSON.parse(refused.named('stream-error')[0].data).condition, 'forbidden')
    }
    const plain = await open('', { Accept: '*/*' })
    assert.deepEqual([plain.status, plain.headers['www-authenticate']], [401, 'evstream-ticket'])
    await eventually(() => events.stats().tokensRefused === 4)
  })
}

describe('what cannot be is refused', () => {
  for (const options of [{ openWithinS: 0 }, { lastsS: 604_801 }, { lastsS: 1.5 }, { lastsS: '60' }, { lasts: 60 }]) {
    test(inspect(options), () => { assert.throws(() => new Tickets('live', options), ArgumentError) })
  }
  for (const name of ['', undefined, 7, 'x'.repeat(201)]) {
    test(`the name ${inspect(name)}`, () => { assert.throws(() => new Tickets(name), ArgumentError) })
  }
  const grants = [
    undefined, true, false, ['a'], {}, { channels: true }, { channels: [] }, { channels: ['a'], greet: [{ data: 1 }] },
    { channels: ['a'], expiresAt: 1 }, { channels: ['a'], usr: 'bob' }
  ]
  for (const grant of grants) {
    test(`a ticket for ${inspect(grant)}`, async () => {
      const events = new Events({ logger: false })
      assert.throws(() => events.ticket(new Tickets('live'), grant), ArgumentError)
      await events.close()
    })
  }
  test('a secret that can be guessed', () => { assert.throws(() => new Events({ ticketSecret: 'changeme' }), ConfigError) })
})
