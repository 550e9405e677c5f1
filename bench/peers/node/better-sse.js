// better-sse in Express, as its documentation has it.
import { createChannel, createSession } from 'better-sse'
import express from 'express'
import { run } from './subject.js'

const channels = new Map()
const channelOf = name => {
  let channel = channels.get(name)
  if (!channel) channels.set(name, channel = createChannel())
  return channel
}
const app = express().get('/events/', async (req, res) => {
  channelOf(req.query.channel).register(await createSession(req, res))
})
await run(app, (channel, data) => { channelOf(channel).broadcast(data, 'message') })
