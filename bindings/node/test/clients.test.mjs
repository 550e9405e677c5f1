// Clients that read slowly, or not at all, or come and go.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Events } from 'evstream'
import { listen } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

const run = promisify(execFile)

for (const adopt of [true, false]) {
  describe(adopt ? 'adopted' : 'pulled', () => {
    test('a healthy client gets everything beside a slow and a dead one', async t => {
      const { events, port } = await serve(t, { adopt, events: { writeTimeoutMs: 1_000, backlogEvents: 100, historyEvents: 100 } })
      const healthy = await connect(port, '/')
      const dead = await connect(port, '/')
      const slow = await connect(port, '/')
      for (const client of [healthy, dead, slow]) await client.event('stream-open')
      dead.socket.pause()
      slow.socket.pause()
      const trickle = setInterval(() => slow.socket.read(), 20)
      t.after(() => clearInterval(trickle))
      const padding = 'x'.repeat(10_000)
      let position
      for (let n = 0; n < 2_000; n++) {
        ({ position } = await events.publish('a', { data: { n, padding } }))
        await healthy.event('message', n + 1)
      }
      assert.deepEqual(healthy.named('message').map(({ data }) => JSON.parse(data).n), [...Array(2_000).keys()])
      assert.equal(healthy.named('stream-reset').length, 0)
      // By us or, where the kernel was first to give it up, as a connection that broke.
      await eventually(() => events.stats().closed['write-timeout'] + events.stats().closed.client === 1, 'the dead client to be closed')
      // It was slow enough to lose events, and is told so in their place.
      clearInterval(trickle)
      slow.socket.resume()
      await slow.event('stream-reset')
      // It may be told so more than once, until it has caught up.
      await slow.until(() => slow.events.at(-1).id === position, 'the slow client to catch up')
      assert.ok(slow.named('message').length < 2_000)
      await events.publish('a', { data: 'last' })
      await slow.until(() => slow.named('message').some(({ data }) => data === '"last"'), 'the last event')
    })

    test('10,000 clients that come and go leave nothing behind', { timeout: 120_000 }, async () => {
      const cycles = fileURLToPath(new URL('support/cycles.mjs', import.meta.url))
      const { stdout } = await run(process.execPath, ['--expose-gc', cycles, JSON.stringify([adopt, 2, 10_000])])
      const [before, after] = stdout.trim().split('\n').map(line => JSON.parse(line))
      assert.equal(after.opened, 20_000)
      assert.ok(after.files <= before.files + 5, `${before.files} descriptors have become ${after.files}`)
      assert.ok(after.resources <= before.resources + 5, `${before.resources} handles and timers have become ${after.resources}`)
      assert.ok(after.heapBytes - before.heapBytes < 1024 * 1024, `${before.heapBytes} bytes of heap have become ${after.heapBytes}`)
      assert.ok(after.residentBytes - before.residentBytes < 32 * 1024 * 1024, `${before.residentBytes} bytes have become ${after.residentBytes}`)
    })
  })
}

test('a client that leaves while the application decides is not kept', async t => {
  let decide
  const decided = new Promise(resolve => { decide = resolve })
  const { events, port } = await serve(t, {}, () => decided)
  const socket = net.connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'connect')
  await eventually(async () => await requests.get(port) === 1)
  socket.destroy()
  await once(socket, 'close')
  await eventually(() => closed.get(port) === 1)
  decide(['a'])
  await eventually(() => events.stats().opened === 1 && events.stats().open === 0)
  assert.equal(events.stats().closed.client, 1)
})

const requests = new Map()
const closed = new Map()

async function serve (t, { events: options, ...mount }, channels = ['a']) {
  const events = new Events({ logger: false, ...options })
  t.after(() => events.close())
  const handler = events.express(channels, mount)
  const { port, server } = await listen(http.createServer((req, res) => {
    requests.set(port, (requests.get(port) ?? 0) + 1)
    res.once('close', () => closed.set(port, (closed.get(port) ?? 0) + 1))
    handler(req, res)
  }))
  t.after(() => { server.close(); server.closeAllConnections() })
  return { events, port }
}
