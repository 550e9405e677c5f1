// Servers and clients of each kind of connection.
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import tls from 'node:tls'
import { certificate } from './certificate.mjs'
import { Client } from './client.mjs'

let made
const keys = () => made ??= certificate()

/** Each makes a server, and opens a stream whose bytes come as fast as its `socket` is read. */
export const transports = {
  HTTP: { serve: handler => http.createServer(handler), open: (port, path) => ask(net.connect(port, '127.0.0.1'), path) },
  HTTPS: {
    serve: handler => https.createServer(keys(), handler),
    open: (port, path) => ask(tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }), path)
  },
  'HTTP/2': {
    serve: handler => http2.createSecureServer(keys(), handler),
    async open (port, path) {
      const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      const stream = session.request({ ':path': path, accept: 'text/event-stream' })
      const body = new PassThrough()
      for (const emitter of [session, stream]) emitter.on('error', error => { body.destroy(error) })
      stream.on('close', () => { if (!stream.readableEnded) body.destroy() })
      body.on('close', () => { session.destroy() })
      const client = new Client(body)
      const [headers] = await once(stream, 'response')
      body.write(`HTTP/2 ${headers[':status']}\r\n\r\n`)
      stream.pipe(body)
      stream.on('end', () => { client.endedWell = true })
      return client
    }
  }
}

async function ask (socket, path) {
  const client = new Client(socket)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`)
  await client.until(() => client.status !== undefined, 'a response head')
  return client
}

/** Reads so many bytes in a millisecond, so that the other side has to wait all the time. */
export function readSlowly (client, bytesPerMs) {
  client.socket.on('data', data => {
    client.socket.pause()
    setTimeout(() => { client.socket.resume() }, data.length / bytesPerMs)
  })
}
