// @fanoutio/grip publishing to a Pushpin, as its documentation has it: `evstream-bench with-pushpin node grip.js`.
import { Publisher, parseGripUri } from '@fanoutio/grip'
import { obey } from './subject.js'

const publisher = new Publisher(parseGripUri(process.env.GRIP_URL))
let sent = []
console.log(`READY ${process.env.GRIP_CONTROL} / pids=${process.pid}`)
await obey({
  publish (channel, data) {
    sent.push(publisher.publishHttpStream(channel, `event: message\ndata: ${data}\n\n`))
  },
  async flush () {
    await Promise.all(sent)
    sent = []
  }
})
