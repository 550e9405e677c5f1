// Express 4 and 5, Connect, and plain node:http.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { accessOf, type Channels } from '../access'
import { isLink } from '../native'
import { answer, type Host, type MountOptions } from './mount'
import { readRequest, respond } from './node'

/** What Express adds to a request, as far as functions that choose channels need it. */
export interface ExpressRequest extends IncomingMessage {
  params: Record<string, string>
  query: any
  originalUrl: string
  session?: any
  user?: any
}

/** Handles a request of Express, Connect or node:http. */
export type ExpressHandler = (req: IncomingMessage, res: ServerResponse, next?: (error?: any) => void) => void

export function express<Req extends IncomingMessage> (
  host: Host, channels: Channels<Req> | undefined, options: MountOptions = {}
): ExpressHandler {
  const access = accessOf(channels, host.logger)
  const mayAdopt = options.adopt ?? host.adopt
  return function eventStream (req, res, next) {
    if (next && isBelow(req)) {
      next()
      return
    }
    const fail = (error: unknown): void => {
      if (next) next(error)
      else res.destroy(error as Error)
    }
    try {
      const reply = answer(host, readRequest(req), access, req as Req)
      if (reply instanceof Promise) reply.then(reply => { respond(host, req, res, reply, mayAdopt) }).catch(fail)
      else respond(host, req, res, reply, mayAdopt)
    } catch (error) {
      fail(error)
    }
  }
}

/** `use('/events', ...)` also hands us what is below the path; of that only a proxy's links are ours. */
function isBelow (req: IncomingMessage): boolean {
  const { originalUrl, route, url = '/' } = req as IncomingMessage & { originalUrl?: string, route?: unknown }
  if (route !== undefined || originalUrl === undefined || originalUrl === url) return false
  const rest = url.split('?', 1)[0]
  return rest !== '/' && rest !== '' && !isLink(originalUrl)
}
