// The process around us: it ends when it should, however it is told to, and workers come and go.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect, eventually } from './support/client.mjs'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('.', import.meta.url))

/** An application with a stream of each kind, which waits for its client. */
const APPLICATION = `
  import http from 'node:http'
  import { Events } from 'evstream'
  const events = new Events({ logger: false })
  const adopted = http.createServer(events.express(['a'])).listen(0, '127.0.0.1')
  const pulled = http.createServer(events.express(['a'], { adopt: false })).listen(0, '127.0.0.1')
  for (const server of [adopted, pulled]) if (!server.listening) await new Promise(resolve => server.once('listening', resolve))
  const own = await events.serve({ path: '/', channels: ['a'] })
  const opened = new Promise(resolve => events.on('open', () => { if (events.stats().open === 3) resolve() }))
  console.log(JSON.stringify([adopted.address().port, pulled.address().port, own.port]))
  await opened
  const flood = setInterval(() => { for (let n = 0; n < 100; n++) events.publish('a', { data: n }) }, 1)
  events.subscribe('a').next()
`

const endings = {
  'process.exit': ['process.exit(7)', 7, null],
  'an uncaught error': ['throw new Error("of the application")', 1, null],
  SIGTERM: ['process.kill(process.pid, "SIGTERM")', null, 'SIGTERM'],
  'closing the servers': ['clearInterval(flood); adopted.close(); pulled.close(); own.close()', 0, null],
  'closing the events': ['clearInterval(flood); adopted.close(); pulled.close(); await events.close()', 0, null],
  'process.exit while closing': ['events.close(); process.exit(7)', 7, null],
  'nothing more to do': ['clearInterval(flood); adopted.unref(); pulled.close(); own.unref()', 0, null]
}

for (const [what, [code, status, signal]] of Object.entries(endings)) {
  test(`streams do not keep the process from ending: ${what}`, { timeout: 20_000 }, async () => {
    const child = start(APPLICATION + code)
    const ports = JSON.parse(await child.line())
    const clients = await Promise.all(ports.map(port => connect(port, '/')))
    assert.deepEqual(await child.exit(), { status, signal })
    await Promise.all(clients.map(client => client.until(() => client.ended, 'the end of the connection')))
  })
}

test('an application that does not await what it publishes outlives bad input and its own shutdown', { timeout: 20_000 }, async () => {
  const child = start(`
    import { Events } from 'evstream'
    const events = new Events({ logger: false })
    setInterval(() => events.publish('clock', { data: 1 }), 1)
    events.publish('a\\nb', { data: 1 })
    events.publish('a', { data: 'x'.repeat(2_000_000) })
    await events.close()
    setTimeout(() => { process.exit(events.stats().unheardErrors > 3 ? 7 : 8) }, 20)
  `)
  assert.deepEqual(await child.exit(), { status: 7, signal: null })
})

test('workers of a cluster say once that they are several', { timeout: 30_000 }, async () => {
  const child = start(`
    import cluster from 'node:cluster'
    import { rmSync, writeFileSync } from 'node:fs'
    import { Events } from 'evstream'
    const lines = []
    const events = new Events({ logger: { warn: line => { lines.push(line) } } })
    if (cluster.isPrimary) {
      await events.publish('a', { data: 1 })
      const code = ${JSON.stringify(`
        const { Events } = require('evstream')
        const logged = []
        const events = new Events({ logger: { warn: line => { logged.push(line) } } })
        const proxied = new Events({ grip: 'http://127.0.0.1:9/?verify-key=a-key-that-is-long-enough', logger: { warn: line => { logged.push(line) } } })
        events.publish('a', { data: 1 })
        events.publish('a', { data: 2 })
        const shared = new Events({ journal: 'file:' + process.argv[1] + '.journal', logger: { warn: line => { logged.push(line) } } })
        proxied.publish('a', { data: 1 })
        shared.publish('a', { data: 1 })
        process.send(logged.filter(line => /several/.test(line)).length, () => { process.exit() })
      `)}
      cluster.setupPrimary({ exec: process.execPath, execArgv: [], args: [] })
      const file = process.cwd() + '/cluster-' + process.pid + '.cjs'
      writeFileSync(file, code)
      cluster.setupPrimary({ exec: file, execArgv: [] })
      const worker = cluster.fork()
      const ended = new Promise(resolve => worker.once('exit', resolve))
      const warnings = await new Promise(resolve => worker.once('message', resolve))
      await ended
      for (const name of [file, file + '.journal']) rmSync(name, { force: true })
      console.log(JSON.stringify([lines.length, warnings]))
    }
  `)
  assert.deepEqual(JSON.parse(await child.line()), [0, 1])
  await child.exit()
})

test('an Events that was only made keeps nothing alive', { timeout: 20_000 }, async () => {
  const child = start(`
    import { Events } from 'evstream'
    const events = new Events()
    events.subscribe('a').next()
    events.channel('a').write({ data: 1 })
    await events.publish('a', { data: 1 })
  `)
  assert.deepEqual(await child.exit(), { status: 0, signal: null })
})

for (const use of ['listener', 'server', 'close']) {
  test(`an Events in use is not collected as garbage: ${use}`, { timeout: 20_000 }, async () => {
    const forgotten = fileURLToPath(new URL('support/forgotten.mjs', import.meta.url))
    const { stdout } = await run(process.execPath, ['--expose-gc', forgotten, use], { timeout: 15_000 })
    assert.equal(stdout, 'done\n')
  })
}

test('workers load it, serve, and are terminated while threads flood them', { timeout: 60_000 }, async () => {
  const child = start(`
    import { once } from 'node:events'
    import http from 'node:http'
    import { Worker, isMainThread, parentPort } from 'node:worker_threads'
    import { Events } from 'evstream'
    const code = ${JSON.stringify(`
      const http = require('node:http')
      const { parentPort } = require('node:worker_threads')
      const { Events } = require('evstream')
      const events = new Events({ logger: false })
      const server = http.createServer(events.express(['a'])).listen(0, '127.0.0.1')
      const pulled = http.createServer(events.express(['a'], { adopt: false })).listen(0, '127.0.0.1')
      events.on('open', () => {})
      const subscription = events.subscribe('a')
      ;(async () => { for await (const _ of subscription); })()
      setInterval(() => { for (let n = 0; n < 100; n++) events.publish('a', { data: n }) }, 1)
      const open = port => new Promise(resolve => http.get({ port }, response => { response.once('data', resolve); response.on('error', () => {}) }).on('error', () => {}))
      Promise.all([server, pulled].map(async server => {
        if (!server.listening) await new Promise(resolve => server.once('listening', resolve))
        await open(server.address().port)
      })).then(() => parentPort.postMessage('open'))
    `)}
    const main = new Events()
    for (let round = 0; round < 3; round++) {
      const workers = [1, 2, 3].map(() => new Worker(code, { eval: true, execArgv: [] }))
      await Promise.all(workers.map(worker => once(worker, 'message')))
      await Promise.all(workers.map(worker => worker.terminate()))
    }
    const { streams } = await main.publish('a', { data: 'still here' })
    console.log(streams)
  `)
  assert.equal(await child.line(), '0')
  assert.deepEqual(await child.exit(), { status: 0, signal: null })
})

test('the same addon in several contexts of one process', { timeout: 20_000 }, async () => {
  const child = start(`
    import { createRequire } from 'node:module'
    import * as esm from 'evstream'
    const require = createRequire(import.meta.url)
    const cjs = require('evstream')
    if (cjs.Events !== esm.Events || cjs.EvstreamError !== esm.EvstreamError) throw new Error('two copies')
    for (const name of Object.keys(require.cache)) delete require.cache[name]
    const again = require('evstream')
    if (again.Events === cjs.Events) throw new Error('not loaded again')
    const events = new again.Events()
    console.log((await events.publish('a', { data: 1 })).streams)
  `)
  assert.equal(await child.line(), '0')
  assert.deepEqual(await child.exit(), { status: 0, signal: null })
})

test('node --watch restarts it while streams are open', { timeout: 30_000 }, async t => {
  const file = join(mkdtempSync(join(folder, 'watch-')), 'app.mjs')
  t.after(() => { rmSync(dirname(file), { recursive: true }) })
  const app = `
    import http from 'node:http'
    import { Events } from 'evstream'
    const events = new Events({ logger: false })
    const server = http.createServer(events.express(['a'])).listen(0, '127.0.0.1', () => { console.log('port', server.address().port) })
    setInterval(() => { for (let n = 0; n < 100; n++) events.publish('a', { data: n }) }, 1)
  `
  writeFileSync(file, app)
  const child = spawn(process.execPath, ['--watch', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => { child.kill('SIGKILL') })
  let out = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', data => { out += data })
  const ports = () => [...out.matchAll(/^port (\d+)\n/gm)].map(match => Number(match[1]))
  for (let round = 1; round <= 3; round++) {
    await eventually(() => ports().length === round, `start ${round}: ${out}`)
    const client = await connect(ports().at(-1), '/')
    await client.event('message')
    writeFileSync(file, `${app}// ${round}\n`)
    await client.until(() => client.ended, 'the end of the connection')
  }
  assert.doesNotMatch(out, /panick|fatal error|Segmentation|Failed running/i)
  child.kill('SIGTERM')
  await once(child, 'exit')
})

function start (code) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', data => { out += data })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', data => { errors += data })
  const exited = once(child, 'exit')
  return {
    async line () {
      while (!out.includes('\n')) {
        const result = await Promise.race([once(child.stdout, 'data'), exited.then(() => 'exit')])
        if (result === 'exit' && !out.includes('\n')) throw new Error(`it has ended: ${errors}`)
      }
      return out.split('\n')[0]
    },
    async exit () {
      const [status, signal] = await exited
      if (/panick|fatal error|Segmentation/i.test(errors)) throw new Error(errors)
      return { status, signal }
    }
  }
}
