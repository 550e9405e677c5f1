// Processes that share a journal: an event of any of them reaches the clients of all, and nothing is lost at the end of one.
import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Events, JournalError } from 'evstream'
import { listen } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))

test('workers of a cluster are one application', { timeout: 60_000 }, async t => {
  const { workers, ports } = await clusterOf(t, 3, journalOf(t))
  const clients = await Promise.all(ports.map(port => opened(t, port)))
  const EACH = 300
  for (const worker of workers) worker.send({ publish: EACH })
  await Promise.all(clients.map(client => eventually(() => client.named('message').length >= 3 * EACH, 'all events', 20_000)))
  const [first, ...others] = clients.map(seen)
  assert.equal(new Set(first).size, 3 * EACH)
  for (const other of others) assert.deepEqual(other, first)

  // It goes on wherever it comes back to.
  const { id } = clients[0].named('message')[EACH]
  for (const port of ports) {
    const again = await opened(t, port, { 'Last-Event-ID': id })
    await eventually(() => again.named('message').length >= 2 * EACH - 1, 'the rest', 20_000)
    assert.deepEqual(seen(again), first.slice(EACH + 1))
    assert.equal(again.named('stream-reset').length, 0)
  }

  // One is killed, and another takes its place: nobody else notices, and its client misses nothing.
  const died = once(workers[0], 'exit')
  workers[0].process.kill('SIGKILL')
  await died
  workers[1].send({ publish: EACH })
  const place = clients[0].named('message').at(-1).id
  const [{ port }] = await startWorkers(t, 1)
  const back = await opened(t, port, { 'Last-Event-ID': place })
  for (const client of [back, clients[1], clients[2]]) await eventually(() => seen(client).includes(`${workers[1].id}:${2 * EACH - 1}`), 'the last event', 20_000)
  assert.deepEqual(seen(back), seen(clients[1]).slice(3 * EACH))
  for (const client of [back, ...clients]) assert.equal(client.named('stream-reset').length, 0)
})

test('a user is disconnected in every process, before what is published then', { timeout: 30_000 }, async t => {
  const { workers, ports } = await clusterOf(t, 2, journalOf(t))
  const clients = await Promise.all(ports.map(port => opened(t, port, { 'X-User': 'bob' })))
  const eve = await opened(t, ports[1], { 'X-User': 'eve' })
  workers[0].send({ publish: 5, disconnect: 'bob', secret: true })
  for (const client of clients) {
    await eventually(() => client.ended, 'the end')
    assert.ok(!client.raw.includes('secret'))
    assert.equal(client.named('stream-error').length, 1)
  }
  await eventually(() => eve.named('message').length === 6)
})

for (const [how, ending] of Object.entries({
  'when there is nothing more to do': '',
  'by process.exit': 'process.exit(0)',
  'by process.exit in a worker thread\'s parent': "new (require('node:worker_threads').Worker)('setInterval(() => {}, 1000)', { eval: true }).once('online', () => process.exit(0))",
  'by closing': 'events.close()',
  'by an error': "process.on('uncaughtException', () => process.exit(0)); throw new Error('of the application')"
})) {
  test(`a process that only publishes ends ${how}, and all of it is there`, { timeout: 30_000 }, async t => {
    const journal = journalOf(t)
    const events = eventsOf(t, { journal })
    const got = []
    const messages = events.subscribe('a')
    const reading = (async () => { for await (const { data } of messages) got.push(data) })()
    // It is following when it has seen its own.
    await events.publish('a', { data: 'begin' })
    await eventually(() => got.length === 1)
    const code = `
      const { Events } = require('evstream')
      const events = new Events({ logger: false })
      for (let n = 0; n < 2000; n++) events.publish('a', { data: n })
      ${ending}
    `
    const child = spawn(process.execPath, ['-e', code], { cwd: folder, env: { ...process.env, EVSTREAM_JOURNAL: journal }, stdio: 'inherit' })
    t.after(() => { child.kill('SIGKILL') })
    assert.deepEqual(await once(child, 'exit'), [0, null])
    await eventually(() => got.length > 2_000, 'all events')
    assert.deepEqual(got.slice(1), Array.from({ length: 2_000 }, (_, n) => n))
    await events.close()
    await reading
  })
}

describe('a journal that is not there', () => {
  test('refuses what cannot be', () => {
    for (const journal of ['memory', 'file:', 'http://127.0.0.1', 5]) {
      assert.throws(() => new Events({ journal, logger: false }), { code: 'invalid-config' }, String(journal))
    }
  })

  test('rejects what is awaited, and ends nobody who awaits nothing', { timeout: 30_000 }, async t => {
    // A port that nobody listens on.
    const { port, server } = await listen(http.createServer())
    await new Promise(resolve => server.close(resolve))
    const lines = []
    const note = line => { lines.push(line) }
    const events = eventsOf(t, { journal: `redis://127.0.0.1:${port}/0`, journalDeadlineMs: 200, logger: { warn: note, error: note, info: note } })
    const failed = once(events, 'publishError')
    events.publish('a', { data: 1 })
    await assert.rejects(events.publish('a', { data: 2 }), error => error instanceof JournalError && error.code === 'journal-unavailable' && error.retryable)
    const [{ channel, error, proxy }] = await failed
    assert.deepEqual([channel, error.code, proxy], ['a', 'journal-unavailable', undefined])
    await assert.rejects(events.reopen({ user: 'bob' }), { code: 'journal-unavailable' })
    events.disconnect({ user: 'bob' }, 'nobody awaits it')
    await eventually(() => events.stats().journal.failed >= 4)
    assert.equal(events.stats().journal.connected, false)
    assert.ok(lines.some(line => /journal/.test(line)), lines.join('\n'))
    await events.close({ timeoutMs: 1_000 })
  })
})

/** Workers that share a journal, each with a stream of the channel `a` at a port of its own. */
async function clusterOf (t, count, journal) {
  cluster.setupPrimary({ exec: join(folder, 'support', 'worker.mjs'), args: [journal], execArgv: [], silent: false })
  const started = await startWorkers(t, count)
  return { workers: started.map(({ worker }) => worker), ports: started.map(({ port }) => port) }
}

function startWorkers (t, count) {
  return Promise.all(Array.from({ length: count }, async () => {
    const worker = cluster.fork()
    t.after(() => { worker.process.kill('SIGKILL') })
    const [port] = await once(worker, 'message')
    return { worker, port }
  }))
}

async function opened (t, port, headers) {
  const client = await connect(port, '/', { headers })
  t.after(() => { client.close() })
  await client.event('stream-open')
  return client
}

function seen (client) {
  return client.named('message').map(({ data }) => data)
}

function journalOf (t) {
  const directory = mkdtempSync(join(tmpdir(), 'evstream-'))
  t.after(() => { rmSync(directory, { recursive: true }) })
  return `file:${join(directory, 'events')}`
}

function eventsOf (t, options) {
  const events = new Events({ logger: false, ...options })
  t.after(() => events.close({ timeoutMs: 0 }))
  return events
}
