// A server that is closed waits for its responses to end, and streams do not end by themselves.

import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'

import type { Exchange } from './mount'

interface Closable {
  close: (...args: never[]) => unknown
  listening?: boolean
  closeIdleConnections?: () => void
}

/** From now on notes when the server of a request is closed, which may be before the request is answered. */
export function watchServer (req: IncomingMessage | undefined): void {
  const server = serverOf(req)
  if (server) watched(server)
}

/** Calls `end` when the server that a request came through is closed, at once if it is. Returns how to forget it. */
export function onServerClose ({ req, res }: Exchange, end: () => void): () => void {
  const server = serverOf(req)
  if (!server) return () => {}
  const watching = watched(server)
  const endIdle = (): void => {
    // The connection is idle only now, after the server has looked for idle ones.
    res.once('finish', () => setImmediate(() => server.closeIdleConnections?.()))
    // Node goes on serving HTTP/2 sessions, on which the client would come back, until they are told to go away.
    const { session } = (req as unknown as Partial<Http2ServerRequest>).stream ?? {}
    if (session?.closed === false) session.close()
    end()
  }
  // It may listen again since.
  if (watching.closed && !server.listening) endIdle()
  else watching.ends.add(endIdle)
  return () => { watching.ends.delete(endIdle) }
}

function serverOf (req: IncomingMessage | undefined): Closable | undefined {
  const { server } = (req?.socket ?? {}) as { server?: Closable }
  return typeof server?.close === 'function' ? server : undefined
}

interface Watching {
  closed: boolean
  ends: Set<() => void>
}

function watched (server: Closable): Watching {
  const known = servers.get(server)
  if (known) return known
  const watching: Watching = { closed: false, ends: new Set() }
  servers.set(server, watching)
  // There is no event for it: `close` is emitted when everything has ended.
  const close = server.close
  server.close = function (this: Closable, ...args: never[]) {
    const result = close.apply(this, args)
    watching.closed = true
    for (const end of [...watching.ends]) end()
    return result
  }
  return watching
}

const servers = new WeakMap<Closable, Watching>()
