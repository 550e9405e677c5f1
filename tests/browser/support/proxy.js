// A TCP proxy between browser and demo, with which a test breaks the line.

import { connect, createServer } from 'node:net'

/** Starts a proxy in front of `port`, which ends with the test `t`. */
export async function startProxy (t, port) {
  const proxy = new Proxy(port)
  t.after(() => proxy.close())
  await proxy.listen()
  return proxy
}

class Proxy {
  /** Connections that came while the line was cut. */
  refused = 0
  /** Targets of all GET requests, as `/events/?channel=clock`. */
  gets = []
  #target
  #server = createServer(socket => this.#accept(socket))
  #sockets = new Set()
  #answer = null // what to do with new connections instead of passing them on
  #marker = null // cut in the middle of this text

  constructor (target) {
    this.#target = target
  }

  listen () {
    return new Promise((resolve, reject) => this.#server.once('error', reject).listen(0, '127.0.0.1', resolve))
  }

  get url () {
    return `http://127.0.0.1:${this.#server.address().port}/`
  }

  /** Resets all connections, and new ones until `mend`. */
  cut () {
    this.#answer = reset
    this.#resetAll()
  }

  /** Resets all connections, and answers new ones as a gateway does whose application is away, until `mend`. */
  cutAndAnswer502 () {
    this.#answer = socket => {
      socket.once('data', () => socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'))
    }
    this.#resetAll()
  }

  mend () {
    this.#answer = null
  }

  /** Passes on the first half of `text` when it comes from the server, then ends that connection. Once. */
  cutInside (text) {
    this.#marker = Buffer.from(text)
  }

  /** True until the cut asked for by `cutInside` is made. */
  get armed () {
    return this.#marker !== null
  }

  async close () {
    this.#resetAll()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #accept (client) {
    this.#hold(client)
    if (this.#answer !== null) {
      this.refused += 1
      this.#answer(client)
      return
    }
    const server = this.#hold(connect(this.#target, '127.0.0.1'))
    client.once('close', () => server.destroy())
    server.once('close', () => client.end())
    client.on('data', chunk => {
      const get = /^GET (\S+) HTTP/.exec(chunk.toString('latin1'))
      if (get) this.gets.push(get[1])
      server.write(chunk)
    })
    let before = Buffer.alloc(0) // the end of what was passed on, for a marker that comes in two pieces
    server.on('data', chunk => {
      const marker = this.#marker
      if (marker === null) return client.write(chunk)
      const seen = Buffer.concat([before, chunk])
      const at = seen.indexOf(marker)
      if (at < 0) {
        before = seen.subarray(Math.max(0, seen.length - marker.length + 1))
        return client.write(chunk)
      }
      this.#marker = null
      client.end(chunk.subarray(0, Math.max(0, at + (marker.length >> 1) - before.length)))
      server.destroy()
    })
  }

  #hold (socket) {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy()) // the line is there to break
    return socket
  }

  #resetAll () {
    for (const socket of this.#sockets) reset(socket)
  }
}

// Node never closes a socket that is reset while it is being shut down: the process would not end.
function reset (socket) {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
