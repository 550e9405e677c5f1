// In a realm of its own, as test runners have it, and what is left open after closing.
import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { Events } from 'evstream'
import { listen } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))

test('errors have their classes in another realm', async t => {
  const { Events, ArgumentError, ConfigError, EvstreamError } = load('index.js')
  const events = new Events({ logger: false })
  t.after(() => events.close())
  await assert.rejects(events.publish('', { data: 1 }), error => {
    assert.ok(error instanceof ArgumentError && error instanceof EvstreamError)
    assert.deepEqual([error.name, error.code], ['ArgumentError', 'invalid-channel'])
    return true
  })
  assert.throws(() => new Events({ keepAliveMs: -1 }), error => error instanceof ConfigError)
})

test('streams of another realm', async t => {
  const { Events, Forbidden } = load('index.js')
  const events = new Events({ logger: false })
  t.after(() => events.close())
  for (const adopt of [true, false]) {
    const { port, server } = await listen(http.createServer(events.node(async (_req, [channel]) => {
      if (channel !== 'a') throw new Forbidden('not for you')
      return true
    }, { adopt })))
    t.after(() => { server.close(); server.closeAllConnections() })
    const client = await connect(port, '/?channel=a')
    await client.event('stream-open')
    await events.publish('a', { data: 1 })
    await client.event('message')
    client.close()
    const refused = await connect(port, '/?channel=b')
    await refused.event('stream-error')
  }
})

test('express-eventstream takes the events of another copy', async t => {
  const [{ events: makeEvents }, { express }] = [load('express-eventstream.js'), load('express-eventstream.js')]
  const events = makeEvents()
  t.after(() => events.evstream.close())
  const { port, server } = await listen(http.createServer((req, res) => {
    req.query = { channel: 'a' }
    handler(req, res)
  }))
  const handler = express({ events })
  t.after(() => { server.close(); server.closeAllConnections() })
  const client = await connect(port, '/?channel=a')
  await client.event('stream-open')
  events.channel('a').write({ event: 'message', data: 1 })
  await client.event('message')
  client.close()
})

test('nothing of it is open after closing', async () => {
  const open = new Map()
  const hook = createHook({
    init (id, type) { open.set(id, type) },
    destroy (id) { open.delete(id) }
  }).enable()
  const events = new Events({ logger: { warn () {} } })
  const { port, server } = await listen(http.createServer(events.node(['a'], { adopt: false })))
  const own = await events.serve({ path: '/', channels: () => 'a' })
  const clients = await Promise.all([port, own.port].map(port => connect(port, '/')))
  await Promise.all(clients.map(client => client.event('stream-open')))
  events.subscribe('a').next()
  await events.publish('a', { data: 1 })
  await events.close()
  server.close()
  await once(server, 'close')
  await eventually(() => ![...open.values()].some(type => /napi|threadsafe/i.test(type)), 'the way from native threads to be gone')
  hook.disable()
  // What comes after it is closed gets an answer all the same.
  await own.close()
  assert.deepEqual(await events.close(), { ended: true, undelivered: 0 })
})

/** A module of the package, with all that it needs of it, in a realm of its own. */
function load (entry) {
  const context = vm.createContext({
    process, console, Buffer, URL, URLSearchParams, Headers, Request, Response, ReadableStream, performance,
    setTimeout, clearTimeout, setInterval, clearInterval, setImmediate
  })
  const modules = new Map()
  const run = file => {
    if (modules.has(file)) return modules.get(file).exports
    const module = { exports: {} }
    modules.set(file, module)
    const wrapper = vm.runInContext(`(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`, context, { filename: file })
    const outside = createRequire(file)
    const require = name => name.startsWith('.') && !name.endsWith('.node') ? run(`${resolve(dirname(file), name)}.js`) : outside(name)
    wrapper(module.exports, require, module, file, dirname(file))
    return module.exports
  }
  return run(join(dist, entry))
}
