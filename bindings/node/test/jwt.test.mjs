// Tokens that decide who may read what, in mounts and at the own server. The vectors have which are accepted.
import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { ArgumentError, ConfigError, Events, Jwt } from 'evstream'
import { apps } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'

const SECRET = 'a secret of some length'

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
  test(`${name}: a token opens a stream that ends with it, and nothing else does`, async t => {
    const events = new Events({ logger: false })
    t.after(() => events.close({ timeoutMs: 0 }))
    const { port, server } = await start(events, new Jwt({ key: ['another secret of that length', SECRET] }))
    t.after(() => { server.close(); server.closeAllConnections?.() })
    const open = async headers => {
      const client = await connect(port, '/events/', { headers })
      t.after(() => { client.close() })
      return client
    }
    const bearer = text => ({ Authorization: `Bearer ${text}` })
    const client = await open({ Cookie: `__Secure-evstream=${token({ exp: inSeconds(3) })}` })
    await client.event('stream-open')
    assert.deepEqual(JSON.parse(client.named('stream-open')[0].data), { channels: ['a'] })
    await events.publish('a', { data: 1 })
    await client.event('message')
    const other = await open(bearer(token()))
    await other.event('stream-open')
    await events.disconnect({ user: 'bob' }, 'enough')
    await other.until(() => other.ended, 'the end')
    await client.until(() => client.ended, 'the end')
    const again = await open({ Cookie: `__Secure-evstream=${token({ exp: inSeconds(2) })}` })
    await again.until(() => again.ended, 'the end')
    assert.deepEqual(again.named('stream-close').map(({ data }) => JSON.parse(data).reason), ['expired'])
    for (const headers of [{}, bearer(token({}, 'a third secret of that length')), bearer(`${token()}x`)]) {
      const refused = await open(headers)
      await refused.event('stream-error')
      assert.equal(JSON.parse(refused.named('stream-error')[0].data).condition, 'forbidden')
    }
    const plain = await open({ Accept: '*/*' })
    assert.deepEqual([plain.status, plain.headers['www-authenticate']], [401, 'Bearer'])
    await eventually(() => events.stats().tokensRefused === 4)
  })
}

for (const [name, start] of Object.entries(mounts)) {
  test(`${name}: keys at an address are fetched, and until then clients are told to come back`, async t => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }]
    const waiting = []
    const issuer = createServer((_req, res) => { waiting.push(() => res.end(JSON.stringify({ keys }))) })
    await once(issuer.listen(0, '127.0.0.1'), 'listening')
    t.after(() => { issuer.close(); issuer.closeAllConnections() })
    const events = new Events({ logger: false })
    t.after(() => events.close({ timeoutMs: 0 }))
    const { port, server } = await start(events, new Jwt({ key: `http://127.0.0.1:${issuer.address().port}/` }))
    t.after(() => { server.close(); server.closeAllConnections?.() })
    const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
    const message = `${part({ alg: 'ES256', kid: '1' })}.${part({ sub: 'bob', exp: inSeconds(60), evstream: { channels: ['a'] } })}`
    const signature = sign('sha256', Buffer.from(message), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
    const open = async () => {
      const client = await connect(port, '/events/', { headers: { Authorization: `Bearer ${message}.${signature}` } })
      t.after(() => { client.close() })
      await eventually(() => client.events.length > 0)
      return client.events[0]
    }
    const first = await open()
    assert.deepEqual([first.event, JSON.parse(first.data).reason], ['stream-close', 'failed'])
    await eventually(() => waiting.length > 0, 'the issuer to be asked')
    waiting.forEach(answer => { answer() })
    await eventually(async () => (await open()).event === 'stream-open', 'the keys to be known')
  })
}

describe('what cannot be safe is refused', () => {
  for (const key of ['changeme', 'short', '', [], ['-----BEGIN PUBLIC KEY-----'], Array(9).fill(SECRET), 'http://login.example.com/keys', 'https://a:b@example.com/', ['https://a/', 'https://b/']]) {
    test(`the key ${inspect(key)}`, () => { assert.throws(() => new Jwt({ key }), ConfigError) })
  }
  test('a cookie that others may set', () => { assert.throws(() => new Jwt({ key: SECRET, cookie: 'token' }), ConfigError) })
  for (const options of [{}, { key: 7 }, { key: [7] }, { key: SECRET, issuer: 7 }, { key: SECRET, audience: [7] }, { key: SECRET, isuer: 'x' }]) {
    test(inspect(options), () => { assert.throws(() => new Jwt(options), ArgumentError) })
  }
  test('a secret is not shown', () => {
    assert.ok(!inspect(new Jwt({ key: SECRET }), { depth: 5, showHidden: true }).includes(SECRET))
    assert.ok(!JSON.stringify(new Jwt({ key: SECRET })).includes(SECRET))
  })
})

function token (more = {}, secret = SECRET) {
  const claims = { sub: 'bob', exp: inSeconds(300), evstream: { channels: ['a'] }, ...more }
  const message = [{ alg: 'HS256' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`
}

function inSeconds (seconds) {
  return Math.floor(Date.now() / 1_000) + seconds
}
