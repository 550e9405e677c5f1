// What compiles, and what must not.

import { connect, eventsOf, type Client, type Snapshot, type StreamError } from '@evstream/client'
import { connect as alone } from '@evstream/client/core'

const client: Client = connect(new URL('https://a/'), { channels: ['a'], identity: 'ann', token: async () => 'x', headers: { 'X-A': '1' }, since: '' })
const off: () => void = client.on<{ n: number }>('message', ({ data, position, event, text }) => { `${data.n} ${position} ${event} ${text}` })
off()
const snapshot: Snapshot = client.getSnapshot()
if (snapshot.status === 'closed') {
  const error: StreamError | undefined = client.error
  error?.status?.toFixed()
}
for await (const { data } of eventsOf<{ n: number }>(alone('https://a/'))) data.n.toFixed()

// @ts-expect-error: no such status
if (client.status === 'opened') client.close()
// @ts-expect-error: a list
connect('https://a/', { channels: 'a' })
// @ts-expect-error: one stream for each client
alone('https://a/', { identity: 'ann' })
// @ts-expect-error: it is read only
client.status = 'open'
