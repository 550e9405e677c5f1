// What clients go through, in every framework and on every kind of connection: it is the same, adopted or pulled.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Events } from 'evstream'
import { apps, neverAdopting } from './support/apps.mjs'
import { eventually } from './support/client.mjs'
import { readSlowly, transports } from './support/transports.mjs'

const COUNT = 2_000
const MiB = 1024 * 1024
/** How many trials go on at a time: most wait for their clients, which live in this process, and have to read in time. */
const AT_ONCE = 6

/** The client reads all the time, but what the system keeps for it would take it longer than it may take nothing. */
async function readALargeEventSlowly (t, { open }) {
  const { events, client } = await open({ writeTimeoutMs: 2_500, maxEventBytes: 64 * MiB })
  readSlowly(client, 200)
  const text = 'ä'.repeat(2 * MiB)
  await events.publish('a', { text })
  await eventually(() => client.ended || client.named('message').length === 1, 'the event', 60_000)
  assert.equal(events.stats().closed['write-timeout'], 0)
  assert.ok(client.named('message')[0]?.data === text)
}

const trials = {
  async 'a client that reads nothing' (t, { open }) {
    const { events, client } = await open({ writeTimeoutMs: 300 })
    client.socket.pause()
    for (let n = 0; n < 40; n++) events.publish('a', { text: 'x'.repeat(MiB - 1) })
    await eventually(() => events.stats().open === 0, 'the stream to be closed')
    assert.equal(events.stats().closed['write-timeout'], 1)
    client.socket.resume()
    await client.until(() => client.ended, 'the end of the connection')
    assert.ok(client.named('message').length < 40)
  },

  async 'closing, and coming late' (t, { open, again }) {
    const { events, client } = await open({})
    for (let n = 0; n < COUNT; n++) events.publish('a', { data: n })
    assert.deepEqual(await events.close(), { ended: true, undelivered: 0 })
    await endsWell(client, COUNT)
    // Its connection may be kept.
    const late = await again()
    await late.event('stream-close')
    checkEnd(late, 0)
  },

  async 'closing while a client reads nothing' (t, { open }) {
    const { events, client } = await open({})
    client.socket.pause()
    for (let n = 0; n < 40; n++) events.publish('a', { text: 'x'.repeat(MiB - 1) })
    await events.close({ timeoutMs: 200 })
    assert.equal(events.stats().open, 0)
    client.socket.resume()
    await client.until(() => client.ended, 'the end of the connection')
  },

  async SIGTERM (t, { name, transport, adopt }) {
    const program = fileURLToPath(new URL('support/matrix.mjs', import.meta.url))
    const child = spawn(process.execPath, [program, JSON.stringify([name, transport, adopt, COUNT])], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => { child.kill('SIGKILL') })
    const exited = once(child, 'exit')
    const [port] = await once(child.stdout.setEncoding('utf8'), 'data')
    const client = await transports[transport].open(Number(port), '/events/')
    t.after(() => { client.close() })
    await client.event('stream-open')
    child.kill('SIGTERM')
    await endsWell(client, COUNT)
    assert.deepEqual(await exited, [0, null])
  }
}

describe('a large event for a slow client', { concurrency: true }, () => {
  for (const combination of combinations()) test(combination.title, { timeout: 120_000 }, t => run(t, combination, readALargeEventSlowly))
})

for (const [trial, body] of Object.entries(trials)) {
  describe(trial, { concurrency: AT_ONCE }, () => {
    for (const combination of combinations()) test(combination.title, { timeout: 60_000 }, t => run(t, combination, body))
  })
}

function * combinations () {
  for (const name of Object.keys(apps)) {
    for (const transport of Object.keys(transports)) {
      // Express has no HTTP/2.
      if (transport === 'HTTP/2' && name.startsWith('Express')) continue
      const title = `${name}, ${transport}`
      yield { name, transport, adopt: false, title }
      if (transport === 'HTTP' && !neverAdopting.has(name)) yield { name, transport, adopt: true, title: `${title}, adopted` }
    }
  }
}

async function run (t, { name, transport, adopt }, trial) {
  const { serve, open: connect } = transports[transport]
  let port
  const again = async () => {
    const client = await connect(port, '/events/')
    t.after(() => { client.close() })
    return client
  }
  const open = async options => {
    const events = new Events({ logger: false, ...options })
    const app = await apps[name](events, ['a'], { adopt }, serve)
    port = app.port
    t.after(() => {
      app.server.close()
      app.server.closeAllConnections?.()
      return events.close({ timeoutMs: 0 })
    })
    const client = await again()
    await client.event('stream-open')
    return { events, client }
  }
  await trial(t, { name, transport, adopt, open, again })
}

async function endsWell (client, count) {
  await client.until(() => client.ended, 'the end of the stream')
  checkEnd(client, count)
}

/** It has got all of so many events, and was asked to come back. */
function checkEnd (client, count) {
  assert.equal(client.status, 200)
  assert.equal(client.named('message').length, count)
  assert.deepEqual(client.named('stream-close').map(({ data }) => JSON.parse(data).reason), ['shutdown'])
  assert.ok(client.retryMs >= 2_000 && client.retryMs <= 4_000, `retry ${client.retryMs}`)
}
