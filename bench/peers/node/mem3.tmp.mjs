import http from 'node:http'
import express from 'express'
import { createRequire } from 'node:module'
import { Events } from 'evstream'
const require = createRequire(import.meta.url)
const mode = process.argv[2]
const events = new Events({ logger: false })
const flags = process.argv[3] ?? ''
const destroy = (req, res) => {
  if (flags) {
    const socket = req.socket; const handle = socket._handle
    res.write('data: x\n\n')
    process.nextTick(() => {
      socket.destroy()
      socket.once('close', () => setImmediate(() => {
        if (flags.includes('a')) for (const s of Object.getOwnPropertySymbols(handle)) if (s.description === 'owner_symbol') handle[s] = null
        if (flags.includes('b')) socket.removeAllListeners()
        if (flags.includes('c')) { socket._httpMessage = null; socket.parser = null }
        if (flags.includes('d')) { res.req = null; req.res = null; req.next = null; res.locals = null; req.socket = req.client = res.socket = res.connection = null }
        if (flags.includes('e')) { for (const k of Object.keys(req)) delete req[k]; for (const k of Object.keys(res)) delete res[k]; for (const k of Object.getOwnPropertySymbols(req)) delete req[k]; for (const k of Object.getOwnPropertySymbols(res)) delete res[k]; }
        if (flags.includes('f')) { for (const k of Object.keys(socket)) delete socket[k]; for (const k of Object.getOwnPropertySymbols(socket)) delete socket[k] }
      }))
    })
    return
  } res.write('data: x\n\n'); process.nextTick(() => { req.socket.destroy() }) }
const { native: n } = {}
let handler
if (mode === 'express') handler = express().get('/events/', destroy)
else if (mode === 'evs') handler = events.express(['a'])
else if (mode === 'evs-express') handler = express().get('/events/', events.express())
else handler = destroy
const s = http.createServer(handler).listen(0, '127.0.0.1', () => console.log(`READY 127.0.0.1:${s.address().port} /`))
process.stdin.on('data', () => { process.exit() })
