// A real Pushpin in front of an application, started afresh; undefined where it is not installed.
import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './client.mjs'

export const hasPushpin = ['pushpin', 'condure'].every(program => spawnSync('which', [program]).status === 0)

/** Starts one whose only route leads to `origin`; gives `{ port, controlPort, says, stop }`. */
export async function startPushpin (origin, key) {
  for (let tries = 1; ; tries++) {
    try {
      return await tryToStart(origin, key)
    } catch (error) {
      if (tries === 3) throw error // others may have been faster to take a port
    }
  }
}

async function tryToStart (origin, key) {
  // Short, because sockets are in it and their paths are limited.
  const folder = mkdtempSync(join(tmpdir(), 'pp-'))
  const [run, logs] = [join(folder, 'r'), join(folder, 'l')]
  mkdirSync(run)
  mkdirSync(logs)
  const [port, controlPort] = [await freePort(), await freePort()]
  writeFileSync(join(folder, 'routes'), `* 127.0.0.1:${origin}\n`)
  writeFileSync(join(folder, 'pushpin.conf'), `[global]
rundir=${run}
ipc_prefix=p-
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:${port}
logdir=${logs}
log_level=2
client_buffer_size=8192
client_maxconn=1000
[proxy]
routesfile=${folder}/routes
debug=true
set_x_forwarded_protocol=proto-only
sig_iss=pushpin
sig_key=${key}
updates_check=off
condure_in_specs=ipc://${run}/p-condure-out
condure_in_stream_specs=ipc://${run}/p-condure-out-stream
condure_out_specs=ipc://${run}/p-condure-in
zurl_out_specs=ipc://${run}/p-zurl-in
zurl_out_stream_specs=ipc://${run}/p-zurl-in-stream
zurl_in_specs=ipc://${run}/p-zurl-out
handler_inspect_spec=ipc://${run}/p-inspect
handler_accept_spec=ipc://${run}/p-accept
handler_retry_in_spec=ipc://${run}/p-retry
handler_ws_control_in_spec=ipc://${run}/p-wsc-in
handler_ws_control_out_spec=ipc://${run}/p-wsc-out
stats_spec=ipc://${run}/p-proxy-stats
command_spec=ipc://${run}/p-proxy-command
intreq_in_specs=ipc://${run}/p-intreq-in
intreq_in_stream_specs=ipc://${run}/p-intreq-in-stream
intreq_out_specs=ipc://${run}/p-intreq-out
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port=${controlPort}
command_spec=ipc://${run}/p-command
stats_spec=ipc://${run}/p-stats
message_rate=2500
message_hwm=25000
message_wait=500
id_cache_ttl=60
connection_subscription_max=20
proxy_inspect_spec=ipc://${run}/p-inspect
proxy_accept_spec=ipc://${run}/p-accept
proxy_retry_out_spec=ipc://${run}/p-retry
proxy_ws_control_in_spec=ipc://${run}/p-wsc-out
proxy_ws_control_out_spec=ipc://${run}/p-wsc-in
proxy_stats_spec=ipc://${run}/p-proxy-stats
proxy_command_spec=ipc://${run}/p-proxy-command
condure_in_stream_specs=ipc://${run}/p-condure-out-stream
condure_out_specs=ipc://${run}/p-condure-in
m2a_in_stream_specs=ipc://${run}/p-unused1
m2a_out_specs=ipc://${run}/p-unused2
proxy_intreq_out_specs=ipc://${run}/p-intreq-in
proxy_intreq_out_stream_specs=ipc://${run}/p-intreq-in-stream
proxy_intreq_in_specs=ipc://${run}/p-intreq-out
`)
  const child = spawn('pushpin', [`--config=${folder}/pushpin.conf`], { stdio: 'ignore', cwd: folder })
  const says = () => readdirSync(logs).map(name => `--- ${name}\n${readFileSync(join(logs, name), 'utf8')}`).join('\n')
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGTERM')
      await exited
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    // It is ready when it holds a stream: its handler, which answers those itself, may be found later than the rest.
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error('it has ended')
      return await status(controlPort, '/') !== undefined && await status(port, '/ready') === 200
    }, 'pushpin to be ready')
  } catch (error) {
    const said = says()
    await stop()
    throw new Error(`pushpin did not start: ${error.message}\n${said}`)
  }
  return { port, controlPort, says, stop }
}

/** What the application answers on `/ready`. */
export function answerReady (req, res) {
  if (req.url !== '/ready') return false
  res.setHeader('Content-Type', 'text/event-stream')
  res.setHeader('Grip-Hold', 'stream')
  res.setHeader('Grip-Channel', 'ready')
  res.end(':ready\n\n')
  return true
}

async function status (port, path) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(1_000) })
    await response.body?.cancel()
    return response.status
  } catch {
    return undefined
  }
}

/** One that the system gives nobody who does not ask for it. */
export async function freePort () {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = randomInt(10_000, 32_000)
    if (await canListen(port)) return port
  }
  throw new Error('there is no free port')
}

function canListen (port) {
  return new Promise(resolve => {
    const server = net.createServer().once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
