// The code in the READMEs and in the documentation, as it stands there.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import express from 'express5'
import ts from 'typescript'
import { Events, Forbidden, Tickets } from 'evstream'
import { connect } from './support/client.mjs'
import { listen } from './support/apps.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const project = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
const docs = new URL('../../../docs/', import.meta.url)
const start = readFileSync(new URL('start/node.md', docs), 'utf8')
const pages = readdirSync(docs, { recursive: true }).filter(path => path.endsWith('.md')).map(path => readFileSync(new URL(path, docs), 'utf8'))

/** The one piece of code of a language that holds a text. */
function code (language, text, from = readme) {
  const found = [...from.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, lang, body]) => lang === language && body.includes(text))
  assert.equal(found.length, 1, `${found.length} pieces of ${language} with ${text}`)
  return found[0][2]
}

let folder
before(() => {
  // Here, so that it finds what the tests have installed.
  folder = mkdtempSync(join(here, 'readme-'))
  // Programs take a free port in place of theirs, and tell it.
  writeFileSync(join(folder, 'port.mjs'), `
    import http from 'node:http'
    const { listen } = http.Server.prototype
    http.Server.prototype.listen = function (port, ...more) {
      this.once('listening', () => { console.log('port', this.address().port) })
      return listen.call(this, 0, ...more)
    }
  `)
})
after(() => { rmSync(folder, { recursive: true }) })

test('the way in', { timeout: 20_000 }, async t => {
  const port = await run(t, 'express.mjs', code('js', "from 'express'"))
  const curl = /curl -N 'http:\/\/localhost:8000(.*?)'/.exec(readme)[1]
  const client = await connect(port, curl)
  await client.event('time')
  assert.ok(Date.parse(JSON.parse(client.named('time')[0].data).value) > 0)
  const room = await connect(port, '/rooms/7/events')
  await room.event('stream-open')
  assert.equal(room.events[0].data, '{"channels":["room-7"]}')
  client.close()
  room.close()
})

test('five minutes', { timeout: 20_000 }, async t => {
  const port = await run(t, 'start.mjs', code('js', "from 'express'", start))
  const client = await connect(port, '/events/?channel=messages')
  await client.event('stream-open')
  const posted = await fetch(`http://localhost:${port}/messages?text=hi`, { method: 'POST' })
  assert.deepEqual([posted.status, await posted.json()], [201, { streams: 1 }])
  await client.event('message')
  assert.equal(client.named('message')[0].data, '{"text":"hi"}')
  client.close()
})

test('Hono', { timeout: 20_000 }, async t => {
  const port = await run(t, 'hono.mjs', code('js', "from 'hono'"))
  const client = await connect(port, '/events/?channel=messages')
  await client.event('stream-open')
  const posted = await fetch(`http://localhost:${port}/messages/`, { method: 'POST', body: '{"text":"hi"}' })
  assert.deepEqual([posted.status, await posted.json()], [201, { streams: 1 }])
  await client.event('message')
  assert.equal(client.named('message')[0].data, '{"text":"hi"}')
  client.close()
})

test('Next.js', async t => {
  const [, lib, route] = code('js', 'route.js').split(/^\/\/ .*$/m)
  mkdirSync(join(folder, 'lib'))
  mkdirSync(join(folder, 'app', 'events'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'lib', 'events.js'), lib)
  // Node wants the name of a file where bundlers do not.
  writeFileSync(join(folder, 'app', 'events', 'route.js'), route.replace("lib/events'", "lib/events.js'"))
  const { GET, dynamic } = await import(join(folder, 'app', 'events', 'route.js'))
  t.after(() => globalThis.events.close())
  assert.equal(dynamic, 'force-dynamic')
  const reader = (await GET(new Request('http://localhost/events?channel=news-de'))).body.getReader()
  assert.match(new TextDecoder().decode((await reader.read()).value), /"channels":\["news-de"\]/)
  await reader.cancel()
})

test('a private stream', async t => {
  const { client, text } = await mounted(t, code('js', 'Forbidden'), '/private', {
    userOf: async req => req.headers['x-user'] ? { id: 7, name: 'ann' } : undefined
  })
  assert.equal(text((await client()).events[0]), 'please log in')
  assert.deepEqual(JSON.parse((await client({ 'X-User': 'ann' })).events[0].data).channels, ['user-7'])
})

test('all mounts pasted into one application guard what they guard', async t => {
  const lines = []
  const events = new Events({ logger: { warn: line => { lines.push(line) } } })
  const app = express()
  const pieces = [readme, project, ...pages].flatMap(text => [...text.matchAll(/^```js\n(.*?)^```$/gms)]).map(([, piece]) => piece)
  const mounts = pieces.filter(piece => /app\.get\(.*events\.express/.test(piece)).flatMap(piece => piece.match(/^app\.get\(.*?\)(?: *\/\/[^\n]*)?$(?:\n  [^\n]*)*(?:\n^\}\)\))?/gms))
  assert.ok(mounts.length >= 5, mounts)
  const names = { app, events, Forbidden, userOf: async () => ({ id: 42, name: 'ann' }), readRows: () => [], tickets: new Tickets('live') }
  new Function(...Object.keys(names), mounts.join('\n'))(...Object.values(names))
  const { server, port } = await listen(http.createServer(app))
  t.after(() => { server.close(); server.closeAllConnections(); return events.close() })
  const paths = mounts.map(mount => /app\.get\('([^']*)'/.exec(mount)[1].replace(':id', '7'))
  for (const path of paths) {
    const client = await connect(port, `${path}?channel=user-41`)
    t.after(() => { client.close() })
    await client.until(() => client.events.length > 0, 'an event')
    assert.ok(!/"channels":.*user-41/.test(client.events[0].data) || client.events[0].event === 'stream-error', path)
  }
  assert.deepEqual(lines.filter(line => !line.startsWith('requests were refused for their tickets')), [])
})

test('the chapter of the project', async t => {
  const chapter = code('js', "require('evstream')", project).replace(/^const \{ Events \} = require\('evstream'\)$/m, '')
  const { client } = await mounted(t, chapter, '/rooms/7', {})
  assert.deepEqual(JSON.parse((await client()).events[0].data).channels, ['room-7'])
})

test('publishing and reading', { timeout: 120_000 }, async t => {
  const snippet = code('ts', 'events.subscribe(')
  const typed = `import { Events } from 'evstream'\nimport { Readable } from 'node:stream'\ndeclare const source: Readable\ndeclare const signal: AbortSignal\n${snippet}`
  const file = join(folder, 'reading.mts')
  writeFileSync(file, typed)
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom,esnext.disposable', '--types', 'node', '--skipLibCheck']
  await promisify(execFile)(process.execPath, [join(here, 'node_modules', 'typescript', 'bin', 'tsc'), ...options, file])
    .catch(({ stdout }) => assert.fail(stdout))

  const { outputText } = ts.transpileModule(snippet, { compilerOptions: { target: 'es2022', module: 'esnext' } })
  const seen = []
  const abort = new AbortController()
  t.after(() => { abort.abort() })
  const source = { pipe (channel) { setImmediate(() => { channel.write({ event: 'time', data: { value: 'noon' } }) }) } }
  const console = { log (value) { seen.push(value); abort.abort(new Error('seen enough')) } }
  const running = new AsyncFunction('Events', 'source', 'signal', 'console', outputText)(Events, source, abort.signal, console)
  const alive = setInterval(() => {}, 1_000) // nothing else does it here
  t.after(() => { clearInterval(alive) })
  await assert.rejects(running, /seen enough/)
  assert.deepEqual(seen, ['noon'])
})

test('rights that change', async t => {
  const exp = Math.floor(Date.now() / 1_000) + 3_600
  const { events, client } = await mounted(t, code('js', 'events.reopen').replace(/^await events\..*$/gm, ''), '/rows', {
    userOf: async () => ({ name: 'bob', exp }), readRows: async () => [1]
  })
  const calls = new Function('events', `return [${[...code('js', 'events.reopen').matchAll(/^await (events\..*\))/gm)].map(([, call]) => `() => ${call}`)}]`)(events)
  const reader = await client()
  await reader.event('rows')
  assert.equal(reader.named('rows')[0].data, '[1]')
  for (const [call, end] of calls.map((call, index) => [call, ['stream-close', 'stream-error'][index]])) {
    const ended = await client()
    await call()
    await ended.event(end)
  }
})

test('to one user', async t => {
  const snippet = code('js', 'publishToUser')
  const [, call] = /^await (events\.publishToUser\(.*?\))  /m.exec(snippet)
  let publish
  const keep = it => { publish = it }
  const piece = snippet.replace(/^await .*$/m, '') + `keep(() => ${call})`
  const { client, text } = await mounted(t, piece, '/mail', { keep, userOf: async () => ({ name: 'bob' }) })
  const reader = await client()
  await publish()
  await reader.event('message')
  assert.equal(text(reader.named('message')[0]), 'you have mail')
})

test('by a ticket', async t => {
  let urlFor
  const keep = it => { urlFor = it }
  const process = { env: { TICKET_SECRET: 'a secret of some length' } }
  const { client } = await mounted(t, `${code('js', 'new Tickets')}\nkeep(urlFor)`, undefined, { keep, Tickets, process })
  const reader = await client({}, urlFor('bob'))
  assert.deepEqual(reader.events.map(({ event, data }) => [event, data]), [['stream-open', '{"channels":["room-1"]}']])
})

test('behind a proxy', async t => {
  const { server, port } = await listen(http.createServer((req, res) => { res.statusCode = 500; req.resume().on('end', () => { res.end() }) }))
  t.after(() => { server.close() })
  let told
  const failed = new Promise(resolve => { told = resolve })
  const console = { error: (...words) => { told(words) } }
  const events = new Function('Events', 'process', 'console', `${code('js', 'publishError')}; return events`)(
    class extends Events { constructor (options) { super({ ...options, gripDeadlineMs: 200 }) } }, { env: { GRIP_URL: `http://127.0.0.1:${port}` } }, console
  )
  t.after(() => events.close({ timeoutMs: 0 }))
  await events.publish('a', { data: 1 })
  const [proxy, reason] = await failed
  assert.match(proxy, new RegExp(`127.0.0.1:${port}`))
  assert.match(reason, /^proxy-/)
})

/** Starts a program of its own; gives its port. */
async function run (t, name, program) {
  writeFileSync(join(folder, name), program)
  const child = spawn(process.execPath, ['--import', join(folder, 'port.mjs'), join(folder, name)], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => { child.kill('SIGKILL') })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', data => { out += data })
  while (!/^port \d+\n/m.test(out)) await once(child.stdout, 'data')
  return Number(/^port (\d+)/m.exec(out)[1])
}

/** Runs a piece in an application of Express; `client` opens what is mounted at a path. */
async function mounted (t, snippet, path, names) {
  const app = express()
  const events = new Events({ logger: false })
  const scope = { app, Events, Forbidden, ...names }
  // Those pieces that make no events of their own are given some.
  const body = /const events =/.test(snippet) ? snippet : `const events = given\n${snippet}`
  await new AsyncFunction('given', ...Object.keys(scope), body)(events, ...Object.values(scope))
  const { server, port } = await listen(http.createServer(app))
  t.after(() => { server.close(); server.closeAllConnections(); return events.close() })
  const client = async (headers, at = path) => {
    const client = await connect(port, at, { headers })
    t.after(() => { client.close() })
    await client.until(() => client.events.length > 0, 'an event')
    return client
  }
  return { events, client, text: ({ data }) => JSON.parse(data).text }
}

const AsyncFunction = (async () => {}).constructor
