// Answering on Node's own request and response, which node:http, Connect and Express hand out.

import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Channels } from '../access'
import { errorOf } from '../errors'
import { log } from '../logger'
import { isLink } from '../native'
import { PullBody } from './body'
import { eachHeader } from './headers'
import { answer, nativeRequest, type Exchange, type Host, type MountOptions } from './mount'
import type { NativeReply } from '../native'

/** Handles a request of node:http, Connect or Express. */
export type NodeHandler = (req: IncomingMessage, res: ServerResponse, next?: (error?: any) => void) => void

/** What Express adds to a request, as far as functions that choose channels need it. */
export interface ExpressRequest extends IncomingMessage {
  params: Record<string, string>
  query: any
  originalUrl: string
  ip?: string
  session?: any
  user?: any
}

export function node<Req extends IncomingMessage> (
  host: Host, channels: Channels<Req> | undefined, options: MountOptions<Req> = {}
): NodeHandler {
  const access = host.rules.of(channels, options.passErrors)
  const mayAdopt = options.adopt ?? host.adopt
  const addressOf = options.address ?? ((req: Req) => (req as { ip?: string }).ip)
  return function eventStream (req, res, next) {
    if (next && isBelow(req)) {
      next()
      return
    }
    const fail = (error: unknown): void => {
      if (next) {
        next(error)
      } else {
        log(host.logger, 'error', `a request was not answered: ${(error as Error)?.stack ?? String(error)}`)
        res.destroy()
      }
    }
    const send = (reply: NativeReply): void => { respond(host, { req, res }, reply, mayAdopt) }
    try {
      const { originalUrl } = req as { originalUrl?: string }
      const reply = answer(host, nativeRequest(req, originalUrl, addressOf(req as Req)), access, req as Req)
      if (reply instanceof Promise) reply.then(send).catch(fail)
      else send(reply)
    } catch (error) {
      fail(error)
    }
  }
}

/** Sends a reply, and drives its stream. */
export function respond (host: Host, exchange: Exchange, reply: NativeReply, mayAdopt: boolean): void {
  const { res } = exchange
  if (!checkUnanswered(res, reply)) return
  res.statusCode = reply.status
  setHeaders(res, reply.headers)
  if (!reply.stream) {
    res.end(reply.body)
    return
  }
  const body = new PullBody(host, reply, exchange, mayAdopt)
  // At once, so that another answer to the same request is seen to be one.
  res.writeHead(reply.status)
  body.pipe(res)
  // Compressing middleware keeps bytes back unless asked.
  const { flush } = res as { flush?: () => void }
  if (typeof flush === 'function') body.on('data', () => { flush.call(res) })
}

/** Whether there is anybody to answer. Throws when someone else has done so, or begun to. */
export function checkUnanswered (res: ServerResponse, { stream }: NativeReply): boolean {
  if (!res.destroyed && !res.headersSent && !res.writableEnded) return true
  stream?.close('client')
  // The client went away while the application was deciding.
  if (res.destroyed) return false
  throw errorOf('invalid-argument', 'the response was begun before evstream could answer: a stream sends its own head, so send ' +
    'nothing before it is mounted; headers can be set with res.setHeader')
}

export function setHeaders (res: ServerResponse, headers: string[]): void {
  eachHeader(headers, name => res.getHeader(name), (name, value) => { res.setHeader(name, value) })
}

/** `use('/events', ...)` also hands us what is below the path; of that only a proxy's links are ours. */
function isBelow (req: IncomingMessage): boolean {
  const { originalUrl, route, url = '/' } = req as IncomingMessage & { originalUrl?: string, route?: unknown }
  if (route !== undefined || originalUrl === undefined || originalUrl === url) return false
  const rest = url.split('?', 1)[0]
  return rest !== '/' && rest !== '' && !isLink(originalUrl)
}
