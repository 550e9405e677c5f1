// Answering on Node's own request and response, which Express, Connect and Koa hand out.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { adopt } from './adopt'
import { eachHeader, type Host } from './mount'
import { pump } from './pump'
import type { NativeReply, NativeRequest } from '../native'

/** The request as the client's target was before routers cut it. */
export function readRequest (req: IncomingMessage): NativeRequest {
  const { originalUrl } = req as { originalUrl?: string }
  return {
    method: req.method ?? 'GET',
    target: originForm(originalUrl ?? req.url ?? '/'),
    headers: req.httpVersionMajor >= 2 ? req.rawHeaders.map(String) : req.rawHeaders,
    address: req.socket?.remoteAddress
  }
}

/** Sends a reply, and drives its stream. Headers that middleware has set stay. */
export function respond (host: Host, req: IncomingMessage, res: ServerResponse, reply: NativeReply, mayAdopt: boolean): void {
  const { stream, body } = reply
  if (res.headersSent || res.writableEnded || res.destroyed) {
    // The client went away, or someone else has answered, while the application was deciding.
    stream?.close('client')
    return
  }
  const writtenBefore = req.socket?.bytesWritten ?? 0
  res.statusCode = reply.status
  setHeaders(res, reply.headers)
  if (!stream) {
    res.end(body)
    return
  }
  req.socket?.setTimeout?.(0)
  res.write(body)
  flush(res)
  if (!mayAdopt) {
    pump(host, req, res, stream)
    return
  }
  const bytes = { before: writtenBefore, least: body.length }
  adopt(req, res, stream, bytes, outcome => {
    if (outcome === 'adopted') req.socket.destroy()
    else if (outcome === 'unfit') pump(host, req, res, stream)
    else res.destroy()
  })
}

/** Sets headers, but for `Vary`, to which middleware may have contributed. */
export function setHeaders (res: ServerResponse, headers: string[]): void {
  eachHeader(headers, (name, value) => {
    const earlier = name.toLowerCase() === 'vary' ? res.getHeader(name) : undefined
    res.setHeader(name, earlier === undefined ? value : `${String(earlier)}, ${value}`)
  })
}

/** Compressing middleware keeps bytes back unless asked. */
export function flush (res: ServerResponse): void {
  const { flush } = res as { flush?: () => void }
  if (typeof flush === 'function') flush.call(res)
}

/** `GET http://host/path` is allowed, too. */
function originForm (target: string): string {
  if (target.startsWith('/') || !URL.canParse(target)) return target
  const { pathname, search } = new URL(target)
  return pathname + search
}
