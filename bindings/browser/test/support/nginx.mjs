// An nginx in front of a server.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { until } from './until.mjs'

const NGINX = '/usr/sbin/nginx'

/** Starts it as it comes, but for these directives, and ends it with the test `t`. Gives its URL. */
export async function startNginx (t, target, directives = '') {
  if (!existsSync(NGINX)) throw new Error(`${NGINX} is missing: scripts/need nginx`)
  const folder = mkdtempSync(path.join(tmpdir(), 'evstream-nginx-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
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
      server {
        listen 127.0.0.1:${port};
        location = /here { return 204; }
        location / {
          proxy_pass ${target};
          ${directives}
        }
      }
    }`)
  const child = spawn(NGINX, ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'inherit'] })
  const kill = () => child.kill('SIGTERM') // it takes its worker along
  process.once('exit', kill)
  t.after(() => { process.off('exit', kill); kill() })
  const url = `http://127.0.0.1:${port}/`
  await until('nginx answers', () => fetch(`${url}here`).then(({ status }) => status === 204, () => false))
  return url
}

// nginx cannot be given port 0: one below those that systems hand out by themselves.
async function freePort () {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const probe = createServer()
    const isFree = await new Promise(resolve => probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)))
    if (!isFree) continue
    await new Promise(resolve => probe.close(resolve))
    return port
  }
}
