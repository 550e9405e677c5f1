// Behind GRIP proxies: one of the test's own, and a real Pushpin.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { describe, test } from 'node:test'
import express5 from 'express5'
import { Events } from 'evstream'
import { apps, listen } from './support/apps.mjs'
import { connect, eventually } from './support/client.mjs'
import { answerReady, freePort, hasPushpin, startPushpin } from './support/pushpin.mjs'

const KEY = 'a-key-of-the-test-that-is-long-enough'

for (const [name, start] of Object.entries(apps)) {
  test(`${name}: requests of a proxy get a hold, and its links an answer`, async t => {
    const events = eventsOf(t, 'http://127.0.0.1:9/')
    const { port, server } = await start(events, ['a'], {})
    t.after(() => { server.close(); server.closeAllConnections() })
    const held = await ask(port, '/events/')
    assert.equal(held.status, 200)
    assert.equal(held.headers.get('grip-hold'), 'stream')
    assert.match(held.headers.get('grip-channel'), /^events-a; prev-id=/)
    assert.match(await held.text(), /event: stream-open/)
    assert.equal(events.stats().held, 1)
    assert.equal(events.stats().open, 0)

    const link = /^<([^>]+)>; rel=next/.exec(held.headers.get('grip-link'))[1]
    const position = /prev-id=([^;,]+)/.exec(held.headers.get('grip-channel'))[1]
    void events.publish('a', { data: 'missed' })
    const repaired = await ask(port, link, { 'Grip-Last': `events-a; last-id=${position}` })
    assert.equal(repaired.status, 200)
    assert.equal(repaired.headers.get('grip-hold'), 'stream')
    assert.match(await repaired.text(), /data: "missed"/)
    assert.equal(events.stats().repairs, 1)

    const unsigned = await fetch(`http://127.0.0.1:${port}${link}`)
    assert.notEqual(unsigned.status, 200)
    await unsigned.text()
    const direct = await connect(port, '/events/')
    await direct.event('stream-open')
    direct.close()
  })
}

test('links are answered though middleware asks for a session', async t => {
  const events = eventsOf(t, 'http://127.0.0.1:9/')
  const app = express5()
  app.use((req, res, next) => { req.headers.cookie ? next() : res.status(401).end() })
  app.get('/events/', events.express(['a']))
  const { port, server } = await listen(http.createServer(app))
  t.after(() => server.close())
  const held = await ask(port, '/events/', { Cookie: 'session=1' })
  const link = /^<([^>]+)>/.exec(held.headers.get('grip-link'))[1]
  assert.equal((await ask(port, link, { 'Grip-Last': 'events-a; last-id=none' })).status, 200)
  assert.equal((await ask(port, '/events/')).status, 401)
})

test('publishing waits for the proxies, and tells who failed', async t => {
  const requests = []
  const { port, server } = await listen(http.createServer((req, res) => {
    let body = ''
    req.on('data', data => { body += data })
    req.on('end', () => {
      requests.push({ url: req.url, authorization: req.headers.authorization, items: JSON.parse(body).items })
      res.end('Published\n')
    })
  }))
  t.after(() => server.close())
  const dead = `http://127.0.0.1:${await freePort()}/`
  const events = eventsOf(t, [`http://127.0.0.1:${port}/?key=${KEY}&iss=app`, dead], { gripDeadlineMs: 300 })
  const failures = []
  events.on('publishError', failure => failures.push(failure))
  const receipt = await events.publish('a', { event: 'x', data: { n: 1 } })
  const failed = receipt.proxies.filter(({ error }) => error)
  assert.equal(receipt.proxies.length, 2)
  assert.equal(failed.length, 1)
  assert.equal(failed[0].error.code, 'proxy-unavailable')
  assert.equal(failed[0].error.retryable, true)
  assert.ok(dead.startsWith(failed[0].proxy) || failed[0].proxy.startsWith(dead.slice(0, -1)))
  const [{ url, authorization, items }] = requests
  assert.equal(url, '/publish/')
  assert.match(authorization, /^Bearer /)
  assert.equal(items[0].channel, 'events-a')
  assert.equal(items[0].id, receipt.position)
  assert.match(items[0].formats['http-stream'].content, /^event: x\ndata: {"n":1}\nid: \S+\n\n$/)
  await eventually(() => failures.length === 1)
  assert.deepEqual([failures[0].channel, failures[0].position, failures[0].error.code], ['events-a', receipt.position, 'proxy-unavailable'])
})

test('a channel is only as fast as the proxies', async t => {
  const answers = []
  const { port, server } = await listen(http.createServer((req, res) => {
    req.resume().on('end', () => answers.push(() => res.end('Published\n')))
  }))
  t.after(() => { server.close(); server.closeAllConnections() })
  const events = eventsOf(t, `http://127.0.0.1:${port}/`)
  const channel = events.channel('a')
  let taken = 0
  for (let n = 0; n < 100; n++) channel.write({ data: n }, () => { taken++ })
  await eventually(() => answers.length > 0)
  assert.ok(taken <= 16, `${taken} were taken without an answer`)
  const answering = setInterval(() => { for (const answer of answers.splice(0)) answer() }, 1)
  t.after(() => clearInterval(answering))
  channel.end()
  await once(channel, 'finish')
  assert.equal(taken, 100)
})

describe('through Pushpin', { skip: hasPushpin ? false : 'pushpin and condure are not installed' }, () => {
  test('a client gets what is published, in order, also over a reconnect', { timeout: 60_000 }, async t => {
    const app = express5()
    app.use((req, res, next) => { if (!answerReady(req, res)) next() })
    const { port: origin, server } = await listen(http.createServer(app))
    t.after(() => { server.close(); server.closeAllConnections() })
    const pushpin = await startPushpin(origin, KEY)
    t.after(() => pushpin.stop())
    const events = eventsOf(t, `http://127.0.0.1:${pushpin.controlPort}/`)
    app.get('/events/', events.express())

    const client = await connect(pushpin.port, '/events/?channel=a&channel=b')
    await client.event('stream-open')
    for (let n = 0; n < 50; n++) {
      const { proxies } = await events.publish(n % 2 ? 'a' : 'b', { data: n })
      assert.equal(proxies[0].error, undefined)
    }
    await client.event('message', 50)
    assert.deepEqual(client.named('message').map(({ data }) => Number(data)), [...Array(50).keys()])
    client.close()
    await events.publish('a', { data: 50 })
    const back = await connect(pushpin.port, '/events/?channel=a&channel=b', { headers: { 'Last-Event-ID': client.events.at(-1).id } })
    await back.event('message')
    await events.publish('b', { data: 51 })
    await back.event('message', 2)
    assert.deepEqual(back.named('message').map(({ data }) => Number(data)), [50, 51])
    assert.equal(back.named('stream-reset').length, 0)
    // Soon after the first subscription of a channel the proxy asks by its link.
    await eventually(() => events.stats().repairs > 0, 'a link to be asked for')
    assert.equal(events.stats().gripRefused, 0)
    assert.equal(events.stats().open, 0)
    back.close()
  })
})

function eventsOf (t, grip, options) {
  const given = [grip].flat()
  given[0] += `${given[0].includes('?') ? '&' : '?'}verify-key=${KEY}`
  const events = new Events({ grip: given, gripSolePublisher: true, logger: false, gripTrustUnverified: false, ...options })
  t.after(() => events.close({ timeoutMs: 100 }))
  return events
}

/** Asks as a proxy does. */
function ask (port, path, headers) {
  const encode = value => Buffer.from(value).toString('base64url')
  const claims = `${encode('{"alg":"HS256","typ":"JWT"}')}.${encode(JSON.stringify({ iss: 'pushpin', exp: Math.floor(Date.now() / 1_000) + 60 }))}`
  const signature = createHmac('sha256', KEY).update(claims).digest('base64url')
  return fetch(`http://127.0.0.1:${port}${path}`, { headers: { Accept: 'text/event-stream', 'Grip-Sig': `${claims}.${signature}`, ...headers } })
}
