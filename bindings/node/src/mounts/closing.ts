// A server that is closed waits for its responses to end, and streams do not end by themselves.

import type { IncomingMessage, ServerResponse } from 'node:http'

interface Closable {
  close: (...args: never[]) => unknown
  closeIdleConnections?: () => void
}

/** Calls `end` when the server that a request came through is closed. Returns how to forget it. */
export function onServerClose (req: IncomingMessage | undefined, res: ServerResponse | undefined, end: () => void): () => void {
  const { server } = (req?.socket ?? {}) as { server?: Closable }
  if (typeof server?.close !== 'function') return () => {}
  const ends = endsOf(server)
  const endIdle = (): void => {
    // The connection is idle only now, after the server has looked for idle ones.
    res?.once('finish', () => setImmediate(() => server.closeIdleConnections?.()))
    end()
  }
  ends.add(endIdle)
  return () => { ends.delete(endIdle) }
}

function endsOf (server: Closable): Set<() => void> {
  const known = servers.get(server)
  if (known) return known
  const ends = new Set<() => void>()
  servers.set(server, ends)
  // There is no event for it: `close` is emitted when everything has ended.
  const close = server.close
  server.close = function (this: Closable, ...args: never[]) {
    const result = close.apply(this, args)
    for (const end of [...ends]) end()
    return result
  }
  return ends
}

const servers = new WeakMap<Closable, Set<() => void>>()
