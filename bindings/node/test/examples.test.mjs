// The examples, as their users start them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
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

async function start (t, folder) {
  const cwd = fileURLToPath(new URL(`../../../examples/${folder}`, import.meta.url))
  const child = spawn(process.execPath, ['server.js'], { cwd, env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', data => { output += data })
  while (!/Listening on \S+\n/.test(output)) await once(child.stdout, 'data')
  const url = /Listening on (\S+)/.exec(output)[1]
  return { url, port: Number(new URL(url).port), child }
}
