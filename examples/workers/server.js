// A page, its stream and what publishes to it, as one process of several: see cluster.js and ecosystem.config.js.
//
// Nothing here knows of the others: the environment variable EVSTREAM_JOURNAL makes their events one. `PORT` chooses the
// port (default 8000, 0 takes a free one, the same for all workers).
const { readFileSync } = require('node:fs')
const http = require('node:http')
const { join } = require('node:path')
const { json } = require('node:stream/consumers')
const { Events, EvstreamError } = require('evstream')

const { pid } = process
const page = readFileSync(join(__dirname, 'page.html'), 'utf8').replace('{pid}', pid)
const events = new Events()
const stream = events.node('messages')

const server = http.createServer((req, res) => {
  res.setHeader('X-Pid', pid) // tells who has answered, of streams too
  switch (`${req.method} ${new URL(req.url, 'http://localhost').pathname}`) {
    case 'GET /': return res.setHeader('Content-Type', 'text/html; charset=utf-8').end(page)
    case 'GET /events/': return stream(req, res)
    case 'POST /messages': return publish(req, res)
    default: return answer(res, 404, { error: 'there is no such page' })
  }
})
server.listen(Number(process.env.PORT || 8000), '127.0.0.1')

// PM2 sends SIGINT, cluster.js SIGTERM, and Ctrl-C in a terminal reaches all processes.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)

async function publish (req, res) {
  const { text } = await json(req).then(Object, () => ({}))
  if (typeof text !== 'string' || text === '') return answer(res, 400, { error: 'a message is {"text": "..."}' })
  try {
    // Waits until it has its place in the order of all: what the client publishes next, by any worker, comes after it.
    const { position } = await events.publish('messages', { event: 'message', data: { text, pid } })
    answer(res, 201, { id: position, pid })
  } catch (error) {
    if (!(error instanceof EvstreamError)) throw error
    answer(res, error.retryable ? 503 : 400, { error: error.message })
  }
}

function answer (res, status, body) {
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

async function stop () {
  server.close()
  await events.close({ timeoutMs: 1_000 })
  server.closeAllConnections()
  process.exit()
}
