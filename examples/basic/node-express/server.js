// The clock demo: a page, a stream mounted in Express at `/events/`, and a form that publishes messages.
//
// `PORT` chooses the port (default 8000, 0 takes a free one), `GRIP_URL` names a GRIP proxy in front, if there is one.
import express from 'express'
import { Events, EvstreamError } from 'evstream'

const events = new Events({ grip: process.env.GRIP_URL })
const app = express()

// The stream itself: clients choose among these channels with `?channel=`.
app.get('/events/', events.express({ public: ['clock', 'messages'] }))

app.post('/messages/', express.json(), express.urlencoded({ extended: false }), async (req, res) => {
  const { text } = req.body ?? {}
  if (typeof text !== 'string' || text === '') {
    res.status(400).json({ error: 'a message has a text, such as { "text": "hi" }' })
    return
  }
  const { position } = await events.publish('messages', { event: 'message', data: { text } })
  res.status(201).json({ id: position })
})

const page = new URL('../page/', import.meta.url).pathname
app.use(express.static(page, { setHeaders: res => { res.setHeader('Cache-Control', 'no-cache') } }))

// Bodies that are not JSON, and events that are too large, are the client's doing.
app.use((error, req, res, next) => {
  const status = error.status ?? (error instanceof EvstreamError ? 400 : 500)
  res.status(status).json({ error: error.message })
})

const server = app.listen(Number(process.env.PORT || 8000), '127.0.0.1', error => {
  if (error) throw error
  const url = `http://127.0.0.1:${server.address().port}/`
  console.log(`Listening on ${url}`)
  console.log(`Try: curl -N '${url}events/?channel=clock'`)
})

const clock = setInterval(() => {
  void events.publish('clock', { event: 'time', data: { time: new Date().toISOString() } })
}, 1_000)

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)

async function stop () {
  clearInterval(clock)
  server.close()
  await events.close({ timeoutMs: 2_000 })
  server.closeAllConnections()
}
