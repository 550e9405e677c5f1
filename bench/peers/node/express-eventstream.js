// express-eventstream 2.0.2, as its README has it.
import express from 'express'
import expressEventStream from 'express-eventstream'
import { run } from './subject.js'

const events = expressEventStream.events()
const channels = new Map()
await run(express().get('/events/', expressEventStream.express({ events })), (name, data) => {
  let channel = channels.get(name)
  if (!channel) channels.set(name, channel = events.channel(name))
  channel.write({ event: 'message', data })
})
