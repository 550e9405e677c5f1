// `evstream/express-eventstream` beside express-eventstream 2.0.2 itself.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import express4 from 'express4'
import { listen } from './support/apps.mjs'
import { connect } from './support/client.mjs'

const require = createRequire(import.meta.url)
const libraries = { seed: require('express-eventstream'), ours: require('evstream/express-eventstream') }
const modules = fileURLToPath(new URL('node_modules', import.meta.url))

test('the published code does the same with both', async t => {
  const seen = {}
  letGoOfTimers(t)
  for (const [name, library] of Object.entries(libraries)) {
    const events = library.events()
    const { port, server } = await listen(http.createServer(express4().get('/events/', library.express({ events }))))
    t.after(() => { server.close(); server.closeAllConnections(); return events.evstream?.close() })
    const copies = events.createAddressedEventsReadable()
    copies.on('data', () => {})
    const copied = once(copies, 'data')
    const client = await connect(port, '/events/?channel=a&channel=b')
    await client.event('stream-open')
    const a = events.channel('a')
    a.write({ event: 'message', data: { text: 'hi' } })
    events.channel('c').write({ event: 'message', data: 'not for this client' })
    Readable.from([{ event: 'time', data: 'now' }, { event: 'time', data: [1, null] }, { event: 'none' }]).pipe(events.channel('b'))
    await client.event('none')
    const refused = await connect(port, '/events/')
    await refused.event('stream-error')
    const error = JSON.parse(refused.named('stream-error')[0].data)
    const statuses = {}
    for (const [what, headers] of Object.entries({ error: { 'Last-Event-ID': 'error' }, html: { Accept: 'text/html' } })) {
      statuses[what] = (await fetch(`http://127.0.0.1:${port}/events/?channel=a`, { headers })).status
    }
    seen[name] = {
      type: client.headers['content-type'].split(';')[0],
      events: client.events.filter(({ event }) => event !== 'stream-open').map(({ event, data }) => [event, data]),
      copied: (await copied)[0],
      refused: [refused.named('stream-error')[0].id, error.condition],
      statuses,
      prefix: events.prefix
    }
    client.close()
    refused.close()
    copies.destroy()
  }
  assert.deepEqual(seen.ours, seen.seed)
})

test('arguments are taken and refused alike', () => {
  for (const library of Object.values(libraries)) {
    assert.equal(library.events({ prefix: 'x-' }).prefix, 'x-')
    assert.throws(() => library.express({ events: {} }), /Unexpected value of options.events/)
    assert.equal(typeof library.express(), 'function')
  }
})

test('applications use what they are given in all ways that the original allows', async t => {
  const seen = {}
  letGoOfTimers(t)
  for (const [name, library] of Object.entries(libraries)) {
    const { channel, ...others } = library.events()
    const own = { createAddressedEventsReadable: () => others.createAddressedEventsReadable() }
    const app = express4()
    app.get('/copied/', library.express({ events: { channel, ...others } }))
    app.get('/own/', library.express({ events: own }))
    app.get('/refused/', library.express({
      events: own,
      createEventRequestFromHttp () { throw Object.assign(new Error('log in'), { status: 401 }) }
    }))
    app.use((error, req, res, next) => { res.status(error.status).send(error.message) })
    const { port, server } = await listen(http.createServer(app))
    t.after(() => { server.close(); server.closeAllConnections() })
    const clients = await Promise.all(['copied', 'own'].map(path => connect(port, `/${path}/?channel=a`)))
    await Promise.all(clients.map(client => client.event('stream-open')))
    const writable = channel('a')
    for (const event of [5, true, null, 'last']) writable.write({ event, data: 1 })
    await Promise.all(clients.map(client => client.event('last')))
    const refused = await fetch(`http://127.0.0.1:${port}/refused/?channel=a`)
    seen[name] = [clients.map(({ events }) => events.map(({ event }) => event)), refused.status, await refused.text()]
    for (const client of clients) client.close()
  }
  assert.deepEqual(seen.ours, seen.seed)
})

test('an event that cannot be published does not end its channel', async () => {
  const events = libraries.ours.events()
  const channel = events.channel('a')
  const failed = once(channel, 'grip:failedToPublish')
  channel.write({ event: 'stream-open', data: 1 })
  const [{ event, error }] = await failed
  assert.equal(event.event, 'stream-open')
  assert.equal(error.code, 'invalid-event')
  channel.write({ event: 'message', data: 1 })
  channel.end()
  await once(channel, 'finish')
  assert.equal(events.evstream.stats().published, 1)
  await events.evstream.close()
})

test('GRIP as a URL and in parts, to events() or to express()', async t => {
  const requests = []
  const { port, server } = await listen(http.createServer((req, res) => {
    let body = ''
    req.on('data', data => { body += data }).on('end', () => {
      requests.push([req.headers.authorization, JSON.parse(body).items[0].channel])
      res.end()
    })
  }))
  t.after(() => server.close())
  const key = 'a-key-that-is-long-enough'
  const uri = `http://127.0.0.1:${port}/`
  for (const grip of [`${uri}?key=${key}`, { controlUri: uri, key }, { control_uri: uri, control_iss: 'app', key: Buffer.from(key) }]) {
    const events = libraries.ours.events({ grip, prefix: 'pre-' })
    libraries.ours.express({ events, grip })
    const channel = events.channel('a')
    channel.write({ data: 1 })
    channel.end()
    await once(channel, 'finish')
    await events.evstream.close()
  }
  assert.deepEqual(requests.map(([authorization, channel]) => [authorization?.split(' ')[0], channel]),
    [[undefined, 'pre-a'], [undefined, 'pre-a'], ['Bearer', 'pre-a']])
})

describe('the published examples run with one line changed', () => {
  const messages = {
    basic: ['/messages/', '/events/?channel=messages'],
    pubsub: ['/send/room/', '/events/?channel=room']
  }
  for (const [example, [post, stream]] of Object.entries(messages)) {
    test(example, { timeout: 20_000 }, async t => {
      const folder = mkdtempSync(join(tmpdir(), 'evstream-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const published = join(dirname(require.resolve('express-eventstream')), 'examples', example)
      cpSync(published, folder, { recursive: true })
      symlinkSync(modules, join(folder, 'node_modules'))
      const code = readFileSync(join(folder, 'index.js'), 'utf8')
      writeFileSync(join(folder, 'index.js'), code.replace("require('express-eventstream')", "require('evstream/express-eventstream')"))
      const child = spawn(process.execPath, ['index.js'], { cwd: folder, env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'ignore', 'pipe'] })
      t.after(() => child.kill('SIGKILL'))
      let output = ''
      child.stderr.setEncoding('utf8').on('data', data => { output += data })
      while (!/listening on port \d+/.test(output)) await once(child.stderr, 'data')
      const port = Number(/listening on port (\d+)/.exec(output)[1])
      const client = await connect(port, stream, { host: 'localhost' })
      await client.event('stream-open')
      const response = await fetch(`http://localhost:${port}${post}`, { method: 'POST', body: 'hi' })
      assert.equal(response.status, 201)
      await client.event('message')
      assert.equal(client.named('message')[0].data, '{"text":"hi"}')
      client.close()
    })
  }
})

test('the code of its README runs with one line changed', { timeout: 20_000 }, async t => {
  const readme = readFileSync(join(dirname(require.resolve('express-eventstream')), 'README.md'), 'utf8')
  const [setUp, mount, publish] = [...readme.matchAll(/^ {4}```\s*?\n(.*?)^ {4}```/gms)].map(match => match[1])
  const code = [
    setUp.replace("require('express-eventstream')", "require('evstream/express-eventstream')"),
    mount.replace(/\{ events, grip \}\)$/m, '$&)'), // a parenthesis is missing there
    publish,
    "const server = yourApp.listen(0, () => { console.log('port', server.address().port) })"
  ].join('\n')
  assert.match(code, /evstream\/express-eventstream.*yourApp\.get\('\/events\/'.*yourApp\.post\('\/messages\/'/s)
  const folder = mkdtempSync(join(tmpdir(), 'evstream-'))
  t.after(() => rmSync(folder, { recursive: true }))
  symlinkSync(modules, join(folder, 'node_modules'))
  writeFileSync(join(folder, 'server.js'), code)
  const child = spawn(process.execPath, ['server.js'], { cwd: folder, env: { ...process.env, GRIP_URL: '' }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  const port = Number(/port (\d+)/.exec(line)[1])
  const client = await connect(port, '/events/?channel=messages')
  await client.event('stream-open')
  assert.equal((await fetch(`http://localhost:${port}/messages/`, { method: 'POST', body: 'hi' })).status, 201)
  await client.event('message')
  assert.equal(client.named('message')[0].data, '{"text":"hi"}')
  client.close()
})

/** The keep-alive timers of the original are never cleared, and would keep this process alive. */
function letGoOfTimers (t) {
  const { setInterval } = globalThis
  globalThis.setInterval = (...args) => setInterval(...args).unref()
  t.after(() => { globalThis.setInterval = setInterval })
}
