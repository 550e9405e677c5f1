// A worker of a cluster whose metrics the primary adds up. It publishes as often as it is told to.
import { createRequire } from 'node:module'
import { Events } from 'evstream'
import { install } from 'evstream/prom-client'

// The same module as the primary's, which answers it by messages.
const prom = createRequire(import.meta.url)('prom-client')
const events = new Events()
install(events, prom.register)
new prom.AggregatorRegistry() // which answers the primary's
const server = await events.serve({ path: '/events/' })
process.on('message', ({ publish }) => {
  for (let n = 0; n < publish; n++) events.publish('a', { text: `${n}` })
  if (publish) process.send({ published: publish })
})
process.send({ port: server.port })
