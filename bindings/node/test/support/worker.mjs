// A worker of a cluster, which publishes what it is told to, and has a stream of the channel `a`.
import cluster from 'node:cluster'
import http from 'node:http'
import { Events } from 'evstream'

const events = new Events({ journal: process.argv[2], retryMs: 100 })
const server = http.createServer(events.node(req => ({ channels: 'a', user: req.headers['x-user'] })))
// Every worker has a port of its own, so that a client knows whom it meets.
server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => { process.send(server.address().port) })

let count = 0
process.on('message', ({ publish, disconnect, secret }) => {
  for (let n = 0; n < publish; n++) events.publish('a', { text: `${cluster.worker.id}:${count++}` })
  if (disconnect) events.disconnect({ user: disconnect }, 'no more')
  if (secret) events.publish('a', { text: 'secret' })
})
