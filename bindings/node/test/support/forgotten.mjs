// Uses of an `Events` that the application keeps no reference to; prints what became of each.
import { once } from 'node:events'
import http from 'node:http'
import { Events } from 'evstream'
import { connect, eventually } from './client.mjs'

const uses = {
  async listener () {
    let heard = 0
    const server = (() => {
      const events = new Events({ logger: false })
      events.on('open', () => { heard++ })
      return http.createServer(events.express(['a'])).listen(0, '127.0.0.1')
    })()
    await once(server, 'listening')
    await collect()
    const client = await connect(server.address().port, '/')
    await eventually(() => heard === 1, 'the listener to hear')
    client.close()
    server.close()
  },
  async server () {
    const port = await (async () => (await new Events({ logger: false }).serve({ path: '/', channels: () => 'a' })).port)()
    await collect()
    const client = await connect(port, '/')
    await client.event('stream-open')
    client.close()
  },
  async close () {
    const closing = new Events({ logger: false }).close()
    await collect()
    await closing
  }
}

async function collect () {
  for (let round = 0; round < 3; round++) {
    global.gc()
    await new Promise(setImmediate)
  }
}

const use = uses[process.argv[2]]
await use()
console.log('done')
process.exit()
