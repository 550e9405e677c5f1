// Clients that come and go, in a process of its own; prints what is left after each round.
import { readdirSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { Events } from 'evstream'
import { listen } from './apps.mjs'
import { eventually } from './client.mjs'

const [adopt, rounds, count] = JSON.parse(process.argv[2])
const events = new Events({ logger: false })
const { port, server } = await listen(http.createServer(events.express(['a'], { adopt })))
for (let round = 0; round < rounds; round++) {
  for (let done = 0; done < count; done += 100) await Promise.all(Array.from({ length: 100 }, comeAndGo))
  await eventually(() => events.stats().open === 0)
  global.gc()
  await new Promise(setImmediate)
  global.gc()
  const { rss, heapUsed, external } = process.memoryUsage()
  console.log(JSON.stringify({
    opened: events.stats().opened,
    files: process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0,
    resources: process.getActiveResourcesInfo().length,
    heapBytes: heapUsed + external,
    residentBytes: rss
  }))
}
await events.close()
server.close()

function comeAndGo () {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    let received = ''
    socket.on('data', data => {
      received += data
      if (received.includes('stream-open')) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', resolve)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  })
}
