// The demo server under test, as a process of its own.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const RUST_DEMO = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/evstream-demo')
const READY = /Listening on (http:\/\/\S+)/
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 10_000
const OUTPUT_KEPT = 4_000 // characters, for the message of a failure

/** Starts the demo (`DEMO_CMD`, a shell command run in the root of the repository) and ends it with the test `t`. */
export async function startDemo (t, { port = 0, command = demoCommand() } = {}) {
  const demo = new Demo(command, port)
  t.after(() => demo.kill())
  await demo.ready()
  return demo
}

function demoCommand () {
  if (process.env.DEMO_CMD) return process.env.DEMO_CMD
  if (!existsSync(RUST_DEMO)) throw new Error(`${RUST_DEMO} is missing: build it, or set DEMO_CMD to another demo`)
  return `'${RUST_DEMO}'`
}

class Demo {
  url = '' // with a slash at the end
  #output = ''
  #process
  #exit

  constructor (command, port) {
    // A group of its own, so that nothing that the command starts outlives the test.
    this.#process = spawn('/bin/sh', ['-c', `exec ${command}`], {
      cwd: ROOT,
      detached: true,
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#exit = new Promise(resolve => this.#process.once('exit', (code, signal) => resolve({ code, signal })))
    const killOnExit = () => this.#signal('SIGKILL')
    process.once('exit', killOnExit)
    this.#exit.then(() => process.off('exit', killOnExit))
  }

  /** Resolves once the demo has printed its address. */
  ready () {
    const { stdout, stderr } = this.#process
    return withDeadline(START_TIMEOUT_MS, () => this.#failure('did not say "Listening on http://..."'), (resolve, reject) => {
      this.#exit.then(({ code, signal }) => reject(this.#failure(`ended with ${signal ?? code} before it listened`)))
      const read = chunk => { this.#output = (this.#output + chunk).slice(-OUTPUT_KEPT) }
      stderr.setEncoding('utf8').on('data', read)
      stdout.setEncoding('utf8').on('data', chunk => {
        read(chunk)
        const found = this.url === '' && READY.exec(this.#output)
        if (!found) return
        this.url = new URL('/', found[1]).href
        resolve()
      })
    })
  }

  get port () {
    return Number(new URL(this.url).port)
  }

  /** Posts a message as the page does. */
  async post (text) {
    const response = await this.request({ text })
    if (!response.ok) throw new Error(`POST /messages/ answered ${response.status}: ${await response.text()}`)
    await response.arrayBuffer()
  }

  request (body) {
    return fetch(new URL('/messages/', this.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(STOP_TIMEOUT_MS)
    })
  }

  /** Ends the demo as Ctrl-C does, and returns its exit `code` or `signal`. */
  interrupt () {
    this.#signal('SIGINT')
    const late = () => this.#failure('did not end on SIGINT')
    return withDeadline(STOP_TIMEOUT_MS, late, resolve => this.#exit.then(resolve))
  }

  /** Ends the demo without a chance to close its streams. */
  kill () {
    this.#signal('SIGKILL')
    return this.#exit
  }

  #signal (signal) {
    try {
      process.kill(-this.#process.pid, signal)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error // it is gone already
    }
  }

  #failure (what) {
    return new Error(`the demo ${what}; the end of its output:\n${this.#output}`)
  }
}

function withDeadline (timeoutMs, failure, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(failure()), timeoutMs)
    const settle = finish => value => {
      clearTimeout(timer)
      finish(value)
    }
    start(settle(resolve), settle(reject))
  })
}

/** A port that stays free while a server restarts: below those that systems hand out by themselves. */
export async function quietPort () {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const probe = createServer()
    const free = await new Promise(resolve => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise(resolve => probe.close(resolve))
    return port
  }
}
