// evstream mounted in Express; `node evstream.js pull` keeps the sockets in Node.
import express from 'express'
import { Events } from 'evstream'
import { run } from './subject.js'

const events = new Events({ adopt: process.argv[2] !== 'pull' })
await run(express().get('/events/', events.express()), (channel, data) => {
  void events.publish(channel, { event: 'message', text: data })
})
