// The subject's side of the protocol in ../../README.md: obeys the lines on standard input.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Serves `app` and publishes with `publish(channel, data)` when told to. It reports the delay of the event loop beside
 * the events, which is what other requests of an application would feel.
 */
export async function run (app, publish) {
  const server = http.createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  await rest(server)
  console.log(`READY 127.0.0.1:${server.address().port} /events/?channel={channel}`)
  await obey({ publish })
}

/** Obeys until the end; `flush`, where there is one, waits until what was published is where it has to go. */
export async function obey ({ publish, flush = () => {} }) {
  const published = new Map()
  const next = (channel, bytes) => {
    const seq = published.get(channel) ?? 0
    published.set(channel, seq + 1)
    const head = `seq=${String(seq).padStart(10, '0')} ns=${String(process.hrtime.bigint()).padStart(19, '0')} `
    return head.padEnd(bytes, 'x').slice(0, Math.max(bytes, head.length - 1))
  }
  const one = (channel, bytes) => { publish(channel, next(channel, bytes)) }

  for await (const line of createInterface({ input: process.stdin })) {
    const [command, ...words] = line.trim().split(/\s+/)
    if (command === 'quit') break
    let figures
    if (command === 'publish') {
      const [channel, count, bytes] = [words[0], Number(words[1]), Number(words[2])]
      for (let n = 0; n < count; n++) one(channel, bytes)
      await flush()
      figures = { events: count }
    } else if (command === 'publish-each') {
      const [channel, count, bytes] = [words[0], Number(words[1]), Number(words[2])]
      for (let n = 0; n < count; n++) {
        one(channel, bytes)
        await flush()
      }
      figures = { events: count }
    } else if (command === 'pace') {
      const [channel, rate, seconds, bytes] = [words[0], ...words.slice(1).map(Number)]
      figures = await paced(rate, seconds, () => { one(channel, bytes) })
    } else if (command === 'random') {
      const [channels, rate, seconds, bytes] = words.map(Number)
      figures = await paced(rate, seconds, () => { one(`ch-${Math.floor(Math.random() * channels)}`, bytes) })
    } else if (command === 'time-publish') {
      const [channel, count, bytes] = [words[0], Number(words[1]), Number(words[2])]
      const times = Array.from({ length: count }, () => {
        const data = next(channel, bytes)
        const start = process.hrtime.bigint()
        publish(channel, data)
        return Number(process.hrtime.bigint() - start)
      }).sort((a, b) => a - b)
      figures = { events: count, ns_per_call: times[count >> 1] ?? 0 }
    } else {
      throw new Error(`there are: publish, publish-each, pace, random, time-publish, quit; not ${line}`)
    }
    console.log(`DONE ${Object.entries(figures).map(([name, value]) => `${name}=${value}`).join(' ')}`)
  }
  process.exit()
}

/**
 * Makes memory be what streams hold. V8's heap grows with the first thousands of requests, whatever they are, so those come
 * first; and what it has yet to collect, and holes in what it has collected, are a matter of luck, so there are none.
 */
async function rest (server) {
  const warmUp = spawn(process.execPath, [fileURLToPath(new URL('warm-up.js', import.meta.url)), server.address().port], { stdio: 'inherit' })
  const [status] = await once(warmUp, 'exit')
  if (status !== 0) throw new Error(`warming up failed with ${status}`)
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  const collect = () => {
    setFlagsFromString('--compact-on-every-full-gc')
    gc()
    setFlagsFromString('--no-compact-on-every-full-gc')
  }
  collect()
  const quiet = setTimeout(collect, QUIET_MS)
  server.on('connection', () => { quiet.refresh() })
}

/** Less than the bench waits for. */
const QUIET_MS = 30

/** Keeps the rate against the clock; those that are due together go together. Measures the delay of the event loop. */
async function paced (rate, seconds, publish) {
  const events = Math.round(rate * seconds)
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  const start = performance.now()
  for (let done = 0; done < events;) {
    const due = Math.min(events, Math.floor((performance.now() - start) * rate / 1_000) + 1)
    for (; done < due; done++) publish()
    const wait = start + done * 1_000 / rate - performance.now()
    await new Promise(resolve => setTimeout(resolve, Math.max(wait, 1)))
  }
  delay.disable()
  return { events, loop_p99_us: Math.max(0, Math.round(delay.percentile(99) / 1_000 - RESOLUTION_MS * 1_000)) }
}

/** Coarse, because each sample wakes the process, and the CPU time of all that it does is measured. */
const RESOLUTION_MS = 20
