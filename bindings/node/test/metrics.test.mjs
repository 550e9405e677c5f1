// Metrics and health: as text, on the own server, and in registries of prom-client.
import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ArgumentError, ConfigError, Events } from 'evstream'
import { install } from 'evstream/prom-client'
import { connect, eventually } from './support/client.mjs'

const prom = createRequire(import.meta.url)('prom-client')

test('metrics are a text in either format', async t => {
  const events = eventsOf(t)
  await events.publish('a', { text: 'x' })
  for (const openMetrics of [false, true]) {
    const text = events.metrics({ openMetrics })
    assert.match(text, /\nevstream_events_published_total 1\n/)
    assert.equal(text.endsWith('# EOF\n'), openMetrics)
  }
})

test('health says what is wrong', async () => {
  const events = new Events()
  assert.deepEqual(events.health(), { ready: true, live: true, problems: [] })
  await events.close()
  assert.deepEqual(events.health(), { ready: false, live: true, problems: ['the events are closed, or about to be'] })
})

test('the own server has paths for both', async t => {
  const events = eventsOf(t)
  const allow = request => request.headers.get('authorization') === 'Bearer secret'
  const server = await events.serve({ path: '/events/', metrics: '/metrics', health: { path: '/healthz', allow } })
  const metrics = await fetch(`${server.url}/metrics`, { headers: { accept: 'application/openmetrics-text' } })
  assert.match(await metrics.text(), /\nevstream_streams 0\n[^]*\n# EOF\n$/)
  assert.equal((await fetch(`${server.url}/healthz`)).status, 403)
  const health = await fetch(`${server.url}/healthz`, { headers: { authorization: 'Bearer secret' } })
  assert.deepEqual([health.status, await health.json()], [200, { ready: true, live: true, problems: [] }])
  await assert.rejects(events.serve({ host: '0.0.0.0', metrics: '/metrics' }), error => {
    assert.ok(error instanceof ConfigError)
    assert.match(error.message, /needs an authorize function/)
    return true
  })
  await (await events.serve({ host: '0.0.0.0', metrics: { path: '/metrics', allow } })).close()
  for (const wrong of [1, null, {}, { path: '/metrics', allow: true }]) {
    await assert.rejects(events.serve({ metrics: wrong }), ArgumentError)
  }
})

for (const kind of ['PROMETHEUS_CONTENT_TYPE', 'OPENMETRICS_CONTENT_TYPE']) {
  test(`a registry tells what the events tell, as ${kind}`, async t => {
    const events = eventsOf(t)
    const server = await events.serve({ path: '/events/' })
    const client = await connect(server.port, '/events/?channel=a')
    t.after(() => { client.close() })
    await eventually(() => events.stats().open === 1)
    for (let n = 0; n < 5; n++) await events.publish('a', { text: 'x' })
    await eventually(() => events.stats().deliveries === 5)
    const registry = new prom.Registry(prom.Registry[kind])
    const uninstall = install(events, registry)
    const openMetrics = kind.startsWith('OPEN')
    assert.deepEqual(parse(await registry.metrics()), parse(events.metrics({ openMetrics })))
    assert.throws(() => install(events, registry), /has metrics of evstream already/)
    await events.publish('a', { text: 'x' })
    assert.equal(parse(await registry.metrics()).evstream_events_published_total, 6, 'each time anew')
    uninstall()
    assert.deepEqual(parse(await registry.metrics()), {})
    install(events, registry)
  })
}

test('workers of a cluster are added up', { timeout: 60_000 }, async t => {
  const aggregator = new prom.AggregatorRegistry()
  cluster.setupPrimary({ exec: fileURLToPath(new URL('support/metrics-worker.mjs', import.meta.url)) })
  const workers = [cluster.fork(), cluster.fork()]
  t.after(() => { for (const worker of workers) worker.kill('SIGKILL') })
  const heard = await Promise.all(workers.map(worker => once(worker, 'message')))
  const clients = await Promise.all(heard.map(([{ port }]) => connect(port, '/events/?channel=a')))
  t.after(() => { for (const client of clients) client.close() })
  const told = workers.map(worker => new Promise(resolve => worker.on('message', ({ published }) => { if (published) resolve() })))
  workers.forEach((worker, index) => { worker.send({ publish: index + 1 }) })
  await Promise.all(told)
  let all
  await eventually(async () => {
    all = parse(await aggregator.clusterMetrics())
    return all.evstream_events_delivered_total === 3
  })
  assert.equal(all.evstream_events_published_total, 3)
  assert.equal(all.evstream_streams, 2)
  assert.equal(Object.keys(all).filter(series => series.startsWith('evstream_delivery_seconds_bucket')).length, 15)
  const infos = Object.entries(all).filter(([series]) => series.startsWith('evstream_info'))
  assert.deepEqual(infos.map(([, value]) => value), [1, 1], 'one of each epoch')
})

/** Values by series. */
function parse (text) {
  const lines = text.split('\n').filter(line => line && !line.startsWith('#'))
  const all = lines.map(line => /^(\S+?(?:\{.*\})?) (\S+)$/.exec(line).slice(1))
  assert.equal(new Set(all.map(([series]) => series)).size, all.length, 'no series comes twice')
  return Object.fromEntries(all.map(([series, value]) => [series, Number(value)]))
}

function eventsOf (t) {
  const events = new Events()
  t.after(() => events.close())
  return events
}
