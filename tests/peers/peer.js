// What the Node library `@fanoutio/grip` does: `publish GRIP_URL CHANNEL CONTENT` or `verify TOKEN KEY ISSUER`.

import { Publisher, parseGripUri, validateSig } from '@fanoutio/grip'

const commands = {
  async publish (url, channel, content) {
    await new Publisher(parseGripUri(url)).publishHttpStream(channel, content)
  },
  async verify (token, key, issuer) {
    console.log(await validateSig(token, new TextEncoder().encode(key), issuer))
  }
}
const [command, ...rest] = process.argv.slice(2)
await commands[command](...rest)
