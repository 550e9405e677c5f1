// A chat: a room is a channel, who is in it is told by the streams that open and close, and what was said while a
// client was away comes with its next connection.
//
// `PORT` chooses the port (default 8000, 0 takes a free one).
import express from 'express'
import { Events, EvstreamError, Forbidden } from 'evstream'

const events = new Events({ historyEvents: 200, historyAgeMs: 3_600_000 })
const app = express()

// Who is in which room: the streams of each user.
const rooms = new Map()
events.on('open', ({ channels, user }) => { count(channels[0], user, 1) })
events.on('close', ({ channels, user }) => { count(channels[0], user, -1) })

// Anybody may read a room under a name. A real application would take the name from its session.
app.get('/rooms/:room/events', events.express(req => {
  const user = String(req.query.user ?? '').trim()
  if (user === '') throw new Forbidden('say who you are')
  return { channels: channelOf(req.params.room), user: user.slice(0, 40) }
}))

app.post('/rooms/:room/messages', express.json(), async (req, res) => {
  const { user, text } = req.body ?? {}
  if (typeof user !== 'string' || typeof text !== 'string' || user === '' || text === '') {
    res.status(400).json({ error: 'a message has a user and a text' })
    return
  }
  const { position, streams } = await events.publish(channelOf(req.params.room), { event: 'said', data: { user, text, at: Date.now() } })
  res.status(201).json({ position, streams })
})

app.get('/rooms/:room/here', (req, res) => {
  res.json({ users: usersOf(channelOf(req.params.room)), streams: events.stats().open })
})

app.use(express.static(new URL('public/', import.meta.url).pathname))
app.use((error, req, res, next) => {
  res.status(error.status ?? (error instanceof EvstreamError ? 400 : 500)).json({ error: error.message })
})

const server = app.listen(Number(process.env.PORT || 8000), '127.0.0.1', error => {
  if (error) throw error
  console.log(`Listening on http://127.0.0.1:${server.address().port}/`)
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    await events.close({ timeoutMs: 2_000 })
    server.closeAllConnections()
  })
}

function channelOf (room) {
  return `room-${room}`
}

function usersOf (channel) {
  return [...rooms.get(channel)?.keys() ?? []].sort()
}

function count (channel, user, change) {
  const users = rooms.get(channel) ?? new Map()
  const before = users.size
  const streams = (users.get(user) ?? 0) + change
  if (streams > 0) users.set(user, streams)
  else users.delete(user)
  if (users.size > 0) rooms.set(channel, users)
  else rooms.delete(channel)
  // Refused once the events are closed, when nobody is left to be told.
  if (users.size !== before) events.publish(channel, { event: 'here', data: { users: usersOf(channel) } }).catch(() => {})
}
