// The vectors in tests/vectors, which every language runs. `decode` asks something of a client's decoder, of which this
// package has none.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import http from 'node:http'
import { describe, test } from 'node:test'
import { createParser } from 'eventsource-parser'
import { ConfigError, Events, Jwt } from 'evstream'
import { apps, listen } from './support/apps.mjs'
import { answerReady, hasPushpin, startPushpin } from './support/pushpin.mjs'
import { play } from './support/scenario.mjs'

const require = createRequire(import.meta.url)
// What mounts call, so that a case may have what no server lets through.
const { Bridge } = require('../dist/bridge.js')
const { publish } = require('../dist/event.js')
const { answer } = require('../dist/mounts/mount.js')

const folder = new URL('../../../tests/vectors/', import.meta.url)
const load = name => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))

test('every file is run', () => {
  const files = readdirSync(folder).filter(name => name !== 'README.md').sort()
  assert.deepEqual(files, ['decode', 'encode', 'grip', 'open', 'position', 'proxies', 'publish', 'query', 'scenarios', 'tokens'].map(name => `${name}.json`))
})

each('encode', ['event', 'expected'], ({ event, expected }, app) => {
  const reply = app.open({ query: 'channel=a' })
  app.publish('a', eventOf(event))
  assert.equal(app.next(reply), app.fill(expected))
})

each('query', ['query', 'expected'], ({ query, expected }, app) => {
  only(expected, ['channels', 'resumes', 'error'])
  const events = parse(app.open({ query }).body)
  const data = JSON.parse(events[0].data)
  if (expected.error !== undefined) {
    assert.deepEqual(events.map(({ event }) => event), ['stream-error'])
    assert.deepEqual([data.condition, data.text], ['bad-request', expected.error])
    return
  }
  assert.deepEqual(data.channels, expected.channels)
  assert.deepEqual(events.map(({ event }) => event), expected.resumes ? ['stream-open', 'stream-reset'] : ['stream-open'])
  if (expected.resumes) assert.equal(JSON.parse(events[1].data).reason, 'epoch')
})

each('position', ['last_event_id', 'via', 'expected'], ({ last_event_id: id, via, expected }, app) => {
  only(expected, ['at', 'reset', 'open_id', 'stopped'])
  for (let n = 1; n <= 12; n++) app.publish('a', { text: String(n) })
  const text = app.fill(id)
  const reply = via === 'header'
    ? app.open({ query: 'channel=a', headers: [['Last-Event-ID', text]] })
    : app.open({ query: `channel=a&lastEventId=${encodeURIComponent(text)}` })
  if (expected.stopped !== undefined) {
    assert.equal(reply.status, 400)
    assert.equal(reply.stream, undefined)
    assert.match(reply.headers[reply.headers.indexOf('Content-Type') + 1], /^text\/plain/)
    return
  }
  const first = parse(reply.body).map(({ event, id }) => [event, id])
  if (expected.reset === undefined) {
    assert.deepEqual(first, [['stream-open', app.position(expected.at)]])
  } else {
    assert.deepEqual(first, [['stream-open', app.fill(expected.open_id)], ['stream-reset', app.position(12)]])
    assert.match(String(reply.body), new RegExp(`"reason":"${expected.reset}"}\nid: ${app.position(12)}\n\n$`))
  }
  const rest = parse(app.next(reply)).map(({ data }) => Number(data))
  assert.deepEqual(rest, numbers((expected.at ?? 12) + 1, 12))
})

each('publish', ['config', 'needs', 'channel', 'channel_hex', 'event', 'expected'], async ({ config, needs, channel, event, expected }) => {
  only(expected, ['position', 'code', 'text'])
  if (needs !== undefined) {
    assert.equal(needs, 'bytes') // which a string of JavaScript cannot hold
    return
  }
  const events = new Events({ logger: false, ...settings(config) })
  if (expected.position !== undefined) {
    const { position } = await events.publish(channel, eventOf(event))
    assert.equal(position.replace(/^[0-9a-f]{8}-/, '{{epoch}}-'), '{{epoch}}-000000000001')
    assert.equal(expected.position, '{{pos:1}}')
    return
  }
  await assert.rejects(events.publish(channel, eventOf(event)), error => {
    assert.equal(error.code, expected.code)
    assert.equal(error.message, camelCase(expected.text))
    return true
  })
  assert.match((await events.publish('a', { text: 'x' })).position, /-000000000001$/)
  await events.close()
})

each('open', ['config', 'published', 'held', 'closed', 'request', 'access', 'published_after', 'expected'], async (
  { published = [], held = 0, closed = false, request, access, published_after: publishedAfter = [], expected }, app
) => {
  only(request, ['method', 'path', 'query', 'headers', 'peer'])
  only(expected, ['status', 'headers', 'body', 'next'])
  for (const [channel, text] of published) app.publish(channel, { text })
  const asked = { ...request, query: app.fill(request.query), headers: request.headers.map(([name, value]) => [name, app.fill(value)]) }
  const others = Array.from({ length: held }, () => app.open(asked, access))
  assert.ok(others.every(({ stream }) => stream))
  const body = app.fill(expected.body)
  if (closed) await app.close()
  const reply = app.open(asked, access)
  assert.equal(reply.status, expected.status)
  assert.deepEqual(reply.headers, expected.headers.flat())
  assert.equal(String(reply.body), body)
  assert.equal(reply.stream !== undefined, expected.next !== null)
  for (const [channel, text] of publishedAfter) app.publish(channel, { text })
  if (reply.stream) assert.equal(app.next(reply), app.fill(expected.next))
})

each('proxies', ['config', 'peer', 'headers', 'expected'], ({ peer, headers, expected }, app) => {
  assert.equal(app.screen({ query: 'channel=a', headers, peer: peer ?? undefined }).asked.address(), expected)
})

each('tokens', ['by', 'config', 'jwt', 'query', 'headers', 'expected'], ({ jwt, query, headers, expected }, app) => {
  only(jwt, ['keys', 'issuer', 'audience', 'cookie'])
  only(expected, ['channels', 'error', 'status', 'text', 'challenge'])
  const { keys, ...rest } = jwt
  const reply = app.openByToken({ query, headers }, new Jwt({ key: keys, ...rest }))
  const body = String(reply.body)
  reply.stream?.close('client')
  if (expected.status !== undefined) {
    assert.deepEqual([reply.status, body.trimEnd()], [expected.status, expected.text])
    assert.equal(reply.headers[reply.headers.indexOf('WWW-Authenticate') + 1], expected.challenge)
    return
  }
  const [{ event, data }] = parse(body)
  const told = JSON.parse(data)
  if (expected.channels) assert.deepEqual([event, told.channels], ['stream-open', expected.channels])
  else assert.deepEqual([event, told.text], ['stream-error', expected.error])
})

describe('grip', () => {
  const { keys, bad_keys: badKeys, urls, bad_urls: badUrls, channels } = load('grip')
  const make = options => new Events({ logger: false, ...options })
  const refuses = (options, text) => {
    assert.throws(() => make(options), error => {
      assert.ok(error instanceof ConfigError, error.stack)
      assert.ok(error.message.includes(text), error.message)
      return true
    })
  }
  for (const { name, text } of keys) {
    test(`takes the key: ${name}`, () => { make({ grip: 'http://localhost', gripVerifyKey: text }) })
  }
  for (const { name, text, error } of badKeys) {
    if (text.trim() === '') continue // as if it was not set
    test(`refuses the key: ${name}`, () => { refuses({ grip: 'http://localhost', gripVerifyKey: text }, error) })
  }
  for (const { url, error } of badUrls) {
    if (url === '') continue // no proxy at all: an unset GRIP_URL
    test(`refuses ${url.slice(0, 80)}`, () => { refuses({ grip: url }, error) })
  }
  for (const { url, publish_url: publishUrl, authorization, grip_verify_key: gripVerifyKey, auth } of urls) {
    // Those with a host that a test can stand in for are published to.
    const local = /^ *http:\/\/(?:[^/?]*@)?h(?=[/?]|$)/
    if (!local.test(url)) {
      test(`takes ${url.slice(0, 80)}`, () => { make({ grip: url, gripVerifyKey }) })
      continue
    }
    test(`publishes to ${url.slice(0, 80)}`, async t => {
      const { port, published } = await proxy(t)
      const events = make({ grip: url.replace(local, found => found.replace(/h$/, `127.0.0.1:${port}`)), gripVerifyKey })
      t.after(() => events.close({ timeoutMs: 100 }))
      await events.publish('a', { text: 'x' })
      const [{ path, headers }] = published
      assert.equal(`http://h${path}`, publishUrl)
      if (authorization !== undefined) assert.equal(headers.authorization, authorization)
      assert.equal(headers.authorization?.split(' ')[0], { none: undefined, basic: 'Basic', bearer: 'Bearer', jwt: 'Bearer' }[auth])
    })
  }
  for (const { prefix, name, proxy_name: proxyName } of channels) {
    test(`${JSON.stringify(prefix + name)} on the proxy`, async t => {
      const { port, published } = await proxy(t)
      const events = make({ grip: `http://127.0.0.1:${port}`, gripPrefix: prefix })
      t.after(() => events.close({ timeoutMs: 100 }))
      await events.publish(name, { text: 'x' })
      assert.deepEqual(published.flatMap(({ items }) => items.map(({ channel }) => channel)), [proxyName])
    })
  }
})

describe('scenarios', () => {
  const { scenarios } = load('scenarios')
  const ways = {
    'an adopted socket': events => apps['Express 5'](events, undefined, { adopt: true }),
    'a pulled stream': events => apps['Express 5'](events, undefined, { adopt: false }),
    'a web response': events => apps.Hono(events),
    'the own server': async events => ({ port: (await events.serve({ path: '/events/' })).port })
  }
  for (const [way, start] of Object.entries(ways)) {
    for (const scenario of scenarios) {
      only(scenario, ['name', 'config', 'last_id', 'steps', 'sees'])
      test(`${way}: ${scenario.name}`, async t => {
        const events = new Events({ logger: false, ...settings(scenario.config) })
        t.after(() => events.close())
        const { port, server } = await start(events)
        t.after(() => { server?.close(); server?.closeAllConnections() })
        assert.deepEqual(await play(scenario, events, port), scenario.sees)
      })
    }
  }

  test('through Pushpin', { skip: hasPushpin ? false : 'pushpin and condure are not installed', timeout: 120_000 }, async t => {
    let mount
    const { port: origin, server } = await listen(http.createServer((req, res) => { if (!answerReady(req, res)) mount(req, res) }))
    const key = 'a-key-of-the-test-that-is-long-enough'
    t.after(() => { server.close(); server.closeAllConnections() })
    const pushpin = await startPushpin(origin, key)
    t.after(() => pushpin.stop())
    for (const [number, scenario] of scenarios.entries()) {
      const events = new Events({
        logger: false,
        grip: `http://127.0.0.1:${pushpin.controlPort}/?verify-key=${key}`,
        gripPrefix: `scenario-${number}-`,
        ...settings(scenario.config)
      })
      mount = events.express()
      const sees = await play(scenario, events, pushpin.port).catch(error => {
        throw new Error(`${scenario.name}: ${error.message}\n${pushpin.says()}`)
      })
      assert.deepEqual(sees, scenario.sees, scenario.name)
      assert.equal(events.stats().opened, 0, 'a stream did not go through Pushpin')
      await events.close()
    }
  })
})

/** A test per case of a file, each with an app of its own. */
function each (file, fields, run) {
  describe(file, () => {
    for (const { name, ...fieldsOf } of load(file).cases) {
      only(fieldsOf, fields)
      test(name, async () => { await run(fieldsOf, new App(fieldsOf.config)) })
    }
  })
}

/** What mounts do, without a server. */
class App {
  #bridge
  #epoch

  constructor (config) {
    this.#bridge = new Bridge({ settings: Object.entries(settings(config)), logger: {}, onNews () {} })
    const { body, stream } = this.open({ query: 'channel=epoch' })
    stream.close('client')
    this.#epoch = parse(body)[0].id.slice(0, 8)
  }

  screen ({ method = 'GET', path = '/events/', query, headers = [], peer }) {
    // As Node has them: each character of a value is a byte.
    const rawHeaders = headers.flatMap(([name, value]) => [name, Buffer.from(value).toString('latin1')])
    const request = { method, target: query === '' ? path : `${path}?${query}`, headers: rawHeaders, address: peer }
    return this.#bridge.native.screen(request)
  }

  openByToken ({ query, headers }, jwt) {
    const target = query === '' ? '/events/' : `/events/?${query}`
    return answer({ bridge: this.#bridge }, { method: 'GET', target, headers: headers.flat() }, { jwt }, undefined)
  }

  open (request, access = {}) {
    only(access, ['channels', 'user', 'forbid', 'fail'])
    const { channels, user, forbid, fail } = access
    const decision = forbid !== undefined
      ? { type: 'forbidden', text: forbid }
      : fail !== undefined ? { type: 'failed', text: fail } : { type: 'granted', channels, user }
    const { reply, asked } = this.screen(request)
    return reply ?? this.#bridge.native.open(asked, decision)
  }

  async close () {
    this.#bridge.hold()
    await new Promise(resolve => { this.#bridge.native.close(0, this.#bridge.register(resolve)) })
    this.#bridge.release()
  }

  publish (channel, event) {
    void publish(this.#bridge, channel, event)
  }

  /** What a stream has to say at this moment. */
  next ({ stream }) {
    const pull = stream.pull(0)
    let said = ''
    for (let text = pull.take(); text; text = pull.take()) said += text
    pull.close('client')
    return said
  }

  position (n) {
    return `${this.#epoch}-${n.toString(16).padStart(12, '0')}`
  }

  /** Puts positions in the place of templates. */
  fill (text) {
    const other = this.#epoch.slice(0, 7) + (this.#epoch.endsWith('0') ? '1' : '0')
    return text
      .replaceAll('{{epoch}}', this.#epoch)
      .replaceAll('{{head}}', () => this.position(this.#bridge.native.stats().published))
      .replaceAll(/\{\{pos:(\d+)\}\}/g, (_, n) => this.position(Number(n)))
      .replaceAll(/\{\{other:(\d+)\}\}/g, (_, n) => this.position(Number(n)).replace(this.#epoch, other))
  }
}

/** Stands in for a GRIP proxy; notes what is published to it. */
async function proxy (t) {
  const published = []
  const { port, server } = await listen(http.createServer((req, res) => {
    let body = ''
    req.on('data', data => { body += data }).on('end', () => {
      published.push({ path: req.url, headers: req.headers, ...JSON.parse(body) })
      res.end()
    })
  }))
  t.after(() => { server.close(); server.closeAllConnections() })
  return { port, published }
}

function eventOf (event) {
  only(event, ['data', 'data_repeat', 'json', 'name', 'retry_ms', 'comment'])
  const { data, data_repeat: repeated = [data, 1], json, name, retry_ms: retryMs, comment } = event
  const content = json === undefined ? { text: repeated[0].repeat(repeated[1]) } : { data: json }
  return { event: name, retryMs, comment, ...content }
}

function settings (config = {}) {
  return Object.fromEntries(Object.entries(config).map(([name, value]) => [camelCase(name), value]))
}

function camelCase (text) {
  return text.replaceAll(/(?<=[a-z])_([a-z])/g, (_, letter) => letter.toUpperCase())
}

function parse (text) {
  const events = []
  createParser({ onEvent: event => { events.push(event) } }).feed(String(text))
  return events
}

function only (value, names) {
  const unknown = Object.keys(value).filter(name => !names.includes(name))
  assert.deepEqual(unknown, [], 'fields that this test does not know')
}

function numbers (first, last) {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
