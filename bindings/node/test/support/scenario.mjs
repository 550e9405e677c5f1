// What a client goes through, as tests/vectors/scenarios.json tells it.
import { connect, eventually } from './client.mjs'

/** Plays a scenario with streams at `/events/` of `port`; gives the type and the data of each event the client has seen. */
export async function play ({ steps, sees, last_id: lastId = '' }, events, port) {
  const seen = []
  let client
  let channels = []
  const leave = () => {
    for (const { event = 'message', data, id } of client.events) {
      seen.push([event, data])
      lastId = id ?? lastId
    }
    client.close()
  }
  for (const { open, publish, data, event, leave: leaves, ...unknown } of steps) {
    if (Object.keys(unknown).length > 0) throw new Error(`a step has ${Object.keys(unknown)}`)
    if (open) {
      channels = open
      const query = channels.map(channel => `channel=${encodeURIComponent(channel)}`).join('&')
      client = await connect(port, `/events/?${query}`, { headers: lastId === '' ? {} : { 'Last-Event-ID': lastId } })
      await client.until(() => client.events.length > 0, 'a first event')
    } else if (publish) {
      const { position, proxies } = await events.publish(publish, { event, text: data })
      for (const { error } of proxies) if (error) throw error
      if (client && channels.includes(publish)) await client.until(() => client.events.at(-1)?.id === position, `the event ${position}`)
    } else if (leaves) {
      leave()
      client = undefined
      await eventually(() => events.stats().open === 0)
    }
  }
  await client.until(() => seen.length + client.events.length >= sees.length, `all of ${JSON.stringify(sees)}`)
  leave()
  return seen
}
