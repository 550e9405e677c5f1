// The server that puts clients into situations, as a process of its own that can be restarted: core/examples/clients.rs.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PROGRAM = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/examples/clients')

/** Starts the server, and ends it with the test `t`. */
export async function startSituations (t) {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build -p evstream --example clients`)
  const situations = new Situations()
  await situations.start()
  t.after(() => situations.process.kill('SIGKILL'))
  return situations
}

class Situations {
  /** Where each situation is served, by the first segment of its path. */
  urls = {}

  async start () {
    this.process = spawn(PROGRAM, { stdio: ['pipe', 'pipe', 'inherit'] })
    const [line] = await once(createInterface(this.process.stdout), 'line')
    const [first, second] = line.split(' ')
    this.urls = { refused: first, changing: first, busy: second }
  }

  /** Closes it as a server closes, and starts another. */
  async restart () {
    const ended = once(this.process, 'exit')
    this.process.stdin.end()
    const [code] = await ended
    if (code !== 0) throw new Error(`the server ended with ${code}`)
    await this.start()
  }
}
