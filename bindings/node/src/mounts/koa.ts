// Koa, with any router.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { accessOf, type Channels } from '../access'
import { answer, type Host, type MountOptions } from './mount'
import { readRequest, respond } from './node'

/** What we need of Koa's context. */
export interface KoaContext {
  req: IncomingMessage
  res: ServerResponse
  originalUrl: string
  respond?: boolean
  params?: any
  query: any
  state: any
}

export function koa<Context extends KoaContext> (
  host: Host, channels: Channels<Context> | undefined, options: MountOptions = {}
): (ctx: Context) => Promise<void> {
  const access = accessOf(channels, host.logger)
  const mayAdopt = options.adopt ?? host.adopt
  return async function eventStream (ctx) {
    const request = { ...readRequest(ctx.req), target: ctx.originalUrl }
    const reply = await answer(host, request, access, ctx)
    ctx.respond = false
    respond(host, ctx.req, ctx.res, reply, mayAdopt)
  }
}
