// Several servers that share a journal, core/examples/sharing.rs, and an nginx that gives each request to the next of them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { quietPort } from './demo.js'
import { until } from './until.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PROGRAM = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/examples/sharing')
const NGINX = '/usr/sbin/nginx'

/** Starts `count` servers with nginx in front, and ends all of it with the test `t`. */
export async function startSharing (t, count) {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build -p evstream --example sharing`)
  if (!existsSync(NGINX)) throw new Error(`${NGINX} is missing: scripts/need nginx`)
  const folder = mkdtempSync(path.join(tmpdir(), 'evstream-sharing-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const servers = await Promise.all(Array.from({ length: count }, () => Server.start(t, `file:${folder}/events`)))
  return { servers, url: await startNginx(t, folder, servers) }
}

class Server {
  static async start (t, journal) {
    const server = new Server()
    server.process = run(t, PROGRAM, [], { EVSTREAM_JOURNAL: journal })
    server.lines = createInterface(server.process.stdout)[Symbol.asyncIterator]()
    server.url = (await server.lines.next()).value
    return server
  }

  publish (text) {
    this.process.stdin.write(`${text}\n`)
  }

  /** Closes it. Gives back how many streams it has opened. */
  async close () {
    const ended = once(this.process, 'exit')
    this.process.stdin.end()
    const { value } = await this.lines.next()
    const [code] = await ended
    if (code !== 0) throw new Error(`the server ended with ${code}`)
    return Number(value)
  }
}

async function startNginx (t, folder, servers) {
  const port = await quietPort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi'].map(name => `${name}_temp_path ${folder}/${name};`)
  writeFileSync(path.join(folder, 'nginx.conf'), `
    ${process.getuid() === 0 ? 'user root;' : ''}
    daemon off;
    worker_processes 1;
    pid ${folder}/nginx.pid;
    error_log stderr emerg;
    events { worker_connections 256; }
    http {
      access_log off;
      ${temporary.join(' ')}
      upstream app { ${servers.map(({ url }) => `server ${new URL(url).host};`).join(' ')} }
      server {
        listen 127.0.0.1:${port};
        location = / { default_type text/html; return 200 '<!doctype html><title>nginx</title>'; }
        location /events/ {
          proxy_pass http://app;
          proxy_http_version 1.1;
          proxy_set_header Connection '';
          proxy_buffering off;
        }
      }
    }`)
  run(t, NGINX, ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'])
  const url = `http://127.0.0.1:${port}/`
  await until('nginx answers', () => fetch(url).then(response => response.ok, () => false))
  return url
}

function run (t, program, args, environment = {}) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } })
  const kill = () => child.kill('SIGTERM') // nginx takes its worker along
  process.once('exit', kill)
  t.after(() => { process.off('exit', kill); kill() })
  return child
}
