// A real evstream, core/examples/tabs.rs, which serves src/ too; and a server of odd answers.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const PROGRAM = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/examples/tabs')

/** Starts it with these settings, and ends it with the test `t`. */
export async function startServer (t, settings = {}) {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build -p evstream --example tabs`)
  const server = new Server({ retry_ms: 100, keep_alive_ms: 500, ...settings })
  t.after(() => server.process.kill('SIGKILL'))
  server.url = `${await server.line()}/`
  return server
}

class Server {
  constructor (settings) {
    const args = [path.join(ROOT, 'bindings/browser/src'), ...Object.entries(settings).map(([name, value]) => `${name}=${value}`)]
    this.process = spawn(PROGRAM, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.lines = createInterface(this.process.stdout)[Symbol.asyncIterator]()
  }

  async line () {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the server has ended')
    return value
  }

  command (line) {
    this.process.stdin.write(`${line}\n`)
  }

  publish (text, channel = 'a') {
    this.command(`publish ${channel} ${text}`)
  }

  async stats () {
    this.command('stats')
    const [open, opened] = (await this.line()).split(' ').map(Number)
    return { open, opened }
  }

  /** Closes it as a deployment does. */
  async close () {
    const ended = once(this.process, 'exit')
    this.process.stdin.end()
    await ended
  }
}

/** Starts a server whose `answer(req, res, n)` gets the number of the request. `requests` has their headers and URLs. */
export async function startOdd (t, answer) {
  const requests = []
  const server = http.createServer((req, res) => {
    requests.push({ url: req.url, headers: req.headers, at: performance.now() })
    answer(req, res, requests.length)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { requests, server, url: `http://127.0.0.1:${server.address().port}/` }
}

/** Begins a stream. */
export function stream (res, text = '') {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' })
  res.write(text)
  return res
}
