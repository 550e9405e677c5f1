// The examples, as their users start them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Events } from 'evstream'
import { connect, eventually } from './support/client.mjs'

test('the clock demo', { timeout: 30_000 }, async t => {
  const { url, port, child } = await start(t, 'basic/node-express')
  for (const [path, type] of [['', 'text/html'], ['style.css', 'text/css'], ['app.js', 'text/javascript'], ['log.js', 'text/javascript'], ['stream.js', 'text/javascript']]) {
    const response = await fetch(url + path)
    assert.equal(response.status, 200, path)
    assert.equal(response.headers.get('content-type'), `${type}; charset=utf-8`)
    await response.text()
  }
  const client = await connect(port, '/events/?channel=clock&channel=messages')
  await client.event('time')
  assert.match(JSON.parse(client.named('time')[0].data).time, /^\d{4}-\d\d-\d\dT/)
  const post = (body, type = 'application/json') => fetch(`${url}messages/`, { method: 'POST', body, headers: { 'Content-Type': type } })
  assert.equal((await post('{"text":"hi"}')).status, 201)
  assert.equal((await post('text=you', 'application/x-www-form-urlencoded')).status, 201)
  for (const body of ['{}', '{"text":""}', '{"text":5}', '{']) {
    const refused = await post(body)
    assert.equal(refused.status, 400, body)
    assert.equal(typeof (await refused.json()).error, 'string')
  }
  await client.event('message', 2)
  assert.deepEqual(client.named('message').map(({ data }) => JSON.parse(data).text), ['hi', 'you'])
  child.kill('SIGINT')
  assert.deepEqual(await once(child, 'exit'), [0, null])
  await client.until(() => client.ended)
})

test('the chat', { timeout: 30_000 }, async t => {
  const { url, port, child } = await start(t, 'chat-node')
  const say = (user, text) => fetch(`${url}rooms/lobby/messages`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user, text })
  })
  const here = client => JSON.parse(client.named('here').at(-1).data).users
  const ann = await connect(port, '/rooms/lobby/events?user=ann')
  await ann.event('here')
  const bob = await connect(port, '/rooms/lobby/events?user=bob')
  await ann.until(() => here(ann).length === 2)
  assert.deepEqual(here(ann), ['ann', 'bob'])
  await say('ann', 'hi bob')
  await bob.event('said')
  const { id } = bob.named('said')[0]
  bob.close()
  await ann.until(() => here(ann).length === 1)
  await say('ann', 'are you there?')
  const back = await connect(port, `/rooms/lobby/events?user=bob&lastEventId=${id}`)
  await back.event('said')
  assert.deepEqual(JSON.parse(back.named('said')[0].data).text, 'are you there?')
  await eventually(async () => (await (await fetch(`${url}rooms/lobby/here`)).json()).users.length === 2)
  const nobody = await connect(port, '/rooms/lobby/events')
  await nobody.event('stream-error')
  assert.equal(JSON.parse(nobody.named('stream-error')[0].data).text, 'say who you are')
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('workers that share a journal', { timeout: 60_000 }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'evstream-workers-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const journal = `file:${folder}/events`
  const { url, port, child, errors } = await start(t, 'workers', 'cluster.js', { EVSTREAM_JOURNAL: journal, WORKERS: '4' })
  assert.match(await (await fetch(url)).text(), /Process \d+ has sent this page/)
  const streams = await openAtEveryWorker(port, 4)

  // One message after the other on each of four ways, by any of the workers: places are in one order for all.
  const post = async text => {
    const answer = await fetch(`${url}messages`, { method: 'POST', body: JSON.stringify({ text }), headers: { Connection: 'close' } })
    assert.equal(answer.status, 201)
    return { ...await answer.json(), text }
  }
  const ways = await Promise.all(['a', 'b', 'c', 'd'].map(async way => {
    const posted = []
    for (let number = 0; number < 10; number++) posted.push(await post(`${way}${number}`))
    return posted
  }))
  for (const posted of ways) assert.deepEqual(posted.map(({ id }) => id), posted.map(({ id }) => id).sort())
  assert.equal(new Set(ways.flat().map(({ pid }) => pid)).size, 4)
  // This process serves nobody, and publishes too.
  const publisher = new Events({ journal })
  const { position } = await publisher.publish('messages', { event: 'message', data: { text: 'from outside' } })
  const expected = [...ways.flat(), { id: position, text: 'from outside' }]
    .map(({ id, text }) => [id, text]).sort(([a], [b]) => a < b ? -1 : 1)
  assert.equal(expected.at(-1)[1], 'from outside')
  for (const client of streams) assert.deepEqual(await messages(client, expected.length), expected)
  for (const client of await openAtEveryWorker(port, 4, { 'Last-Event-ID': expected[20][0] })) {
    assert.deepEqual(await messages(client, 20), expected.slice(21))
  }

  // A worker that is killed is replaced, and its client goes on with another.
  const [lost] = streams
  const pid = Number(lost.headers['x-pid'])
  process.kill(pid, 'SIGKILL')
  await lost.until(() => lost.ended, 'the end of the connection')
  // Node's primary gives connections to a worker until it knows of its end, and those are lost.
  await eventually(() => {
    const pids = childrenOf(child.pid)
    return pids.length === 4 && !pids.includes(pid)
  }, 'the worker that replaces it')
  await publisher.publish('messages', { event: 'message', data: { text: 'meanwhile' } })
  const back = await openAtEveryWorker(port, 4, { 'Last-Event-ID': expected.at(-1)[0] })
  for (const client of back) assert.deepEqual((await messages(client, 1)).map(([, text]) => text), ['meanwhile'])
  await publisher.close()
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'close'), [0, null])
  await Promise.all(back.map(client => client.until(() => client.ended, 'the end of the connection')))
  assert.equal(errors(), '', 'there is nothing to warn of')
})

test('a cluster whose workers cannot start ends', { timeout: 30_000 }, async t => {
  const { child, errors } = launch(t, 'workers', 'cluster.js', { EVSTREAM_JOURNAL: 'nonsense:' })
  assert.deepEqual(await once(child, 'close'), [1, null])
  assert.match(errors(), /journal takes 'none', or an address/)
})

test('what PM2 is told of the workers', () => {
  const { apps: [app] } = createRequire(import.meta.url)('../../../examples/workers/ecosystem.config.js')
  assert.equal(app.exec_mode, 'cluster')
  assert.ok(app.instances > 1)
  createRequire(import.meta.url).resolve(join(app.cwd, app.script))
})

/** Opens streams until each of so many workers has one. */
async function openAtEveryWorker (port, workers, headers = {}) {
  const streams = []
  await eventually(async () => {
    streams.push(await connect(port, '/events/', { headers }))
    return new Set(streams.map(client => client.headers['x-pid'])).size === workers
  }, `streams of ${workers} workers`)
  return streams
}

function childrenOf (pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
}

/** The places and texts of so many messages, which are all that has come. */
async function messages (client, count) {
  await client.event('message', count)
  assert.deepEqual(client.named('stream-reset'), [])
  return client.named('message').map(({ id, data }) => [id, JSON.parse(data).text])
}

async function start (t, folder, file = 'server.js', env = {}) {
  const { child, errors } = launch(t, folder, file, env)
  child.stderr.pipe(process.stderr)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', data => { output += data })
  while (!/Listening on \S+\n/.test(output)) await once(child.stdout, 'data')
  const url = /Listening on (\S+)/.exec(output)[1]
  return { url, port: Number(new URL(url).port), child, errors }
}

function launch (t, folder, file, env) {
  const cwd = fileURLToPath(new URL(`../../../examples/${folder}`, import.meta.url))
  const child = spawn(process.execPath, [file], { cwd, env: { ...process.env, PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let text = ''
  child.stderr.setEncoding('utf8').on('data', data => { text += data })
  return { child, errors: () => text }
}
