// Reading the events of a client in a loop.

/** Events that wait for a loop that is slower than they come. */
const MAX_QUEUED = 1_000

/** See index.d.ts. */
export async function * eventsOf (client) {
  let queue = []
  let wake
  const offs = [
    client.on('*', event => {
      if (queue.length < MAX_QUEUED) queue.push(event)
      else queue = [{ event: 'stream-reset', text: '{"reason":"overflow"}', data: { reason: 'overflow' }, position: event.position }]
      wake?.()
    }),
    client.subscribe(() => wake?.())
  ]
  try {
    for (;;) {
      while (queue.length) yield queue.shift()
      if (client.status === 'closed') break
      await new Promise(resolve => { wake = resolve })
    }
  } finally {
    for (const off of offs) off()
  }
  if (client.error) throw client.error
}
