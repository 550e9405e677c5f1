// What a page is served from: the page itself, the client libraries, and the streams, each request for which is noted.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createParser } from 'eventsource-parser'

const FOLDER = fileURLToPath(new URL('../', import.meta.url))
const KINDS = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' }

/** An origin in front of the servers of each situation; it ends with the test `t`. */
export async function startOrigin (t, servers) {
  const origin = new Origin(servers)
  await origin.listen()
  t.after(() => origin.close())
  return origin
}

class Origin {
  /**
   * Requests for streams by situation, in the order they came: `{ atMs, lastEventId, status, events, endedMs }`, with the
   * events of the answer as the client can read them, and their `retry`.
   */
  requests = { refused: [], changing: [], busy: [] }
  #servers
  #server = http.createServer((req, res) => { this.#answer(req, res) })

  constructor (servers) {
    this.#servers = servers
  }

  async listen () {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get url () {
    return `http://127.0.0.1:${this.#server.address().port}`
  }

  close () {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #answer (req, res) {
    const { pathname, searchParams } = new URL(req.url, this.url)
    const situation = pathname.split('/')[1]
    if (situation in this.requests) this.#pass(req, res, situation, searchParams)
    else void this.#file(pathname, res)
  }

  #pass (req, res, situation, query) {
    const noted = {
      atMs: performance.now(),
      lastEventId: req.headers['last-event-id'] ?? query.get('lastEventId') ?? '',
      events: []
    }
    this.requests[situation].push(noted)
    const { method, headers } = req
    const upstream = http.request(this.#servers[situation].urls[situation] + req.url, { method, headers, agent: false })
    // To a client it is one connection: whatever breaks behind us breaks before us.
    upstream.on('error', () => { res.destroy() })
    res.on('close', () => { upstream.destroy() })
    upstream.on('response', answer => {
      noted.status = answer.statusCode
      const { connection, 'transfer-encoding': encoding, ...others } = answer.headers
      res.writeHead(answer.statusCode, others)
      res.flushHeaders()
      let retryMs
      const parser = createParser({
        onRetry: told => { retryMs = told },
        onEvent: event => {
          noted.events.push({ ...event, retryMs })
          retryMs = undefined
        }
      })
      answer.setEncoding('utf8')
      answer.on('data', text => {
        parser.feed(text)
        res.write(text)
      })
      answer.on('end', () => {
        noted.endedMs = performance.now()
        res.end()
      })
      answer.on('error', () => { res.destroy() })
    })
    req.pipe(upstream)
  }

  async #file (pathname, res) {
    const file = pathname === '/' ? '/page/index.html' : decodeURIComponent(pathname)
    // Some libraries leave out the ending, as bundlers allow.
    for (const name of [file, `${file}.js`]) {
      try {
        const text = await readFile(path.join(FOLDER, path.normalize(name)))
        res.writeHead(200, { 'Content-Type': KINDS[path.extname(name)] ?? 'text/plain' })
        res.end(text)
        return
      } catch {}
    }
    res.writeHead(404)
    res.end()
  }
}
