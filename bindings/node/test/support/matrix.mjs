// An application in a process of its own, which publishes a lot when it is told to end, closes its events and leaves.
import { Events } from 'evstream'
import { apps } from './apps.mjs'
import { transports } from './transports.mjs'

const [framework, transport, adopt, count] = JSON.parse(process.argv[2])
const events = new Events({ logger: false })
const { port } = await apps[framework](events, ['a'], { adopt }, transports[transport].serve)
process.once('SIGTERM', async () => {
  for (let n = 0; n < count; n++) events.publish('a', { data: { n, padding: 'x'.repeat(500) } })
  const { ended } = await events.close()
  process.exit(ended ? 0 : 1)
})
console.log(port)
