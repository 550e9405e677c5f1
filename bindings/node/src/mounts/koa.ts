// Koa, with any router.

import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Channels } from '../access'
import { PullBody } from './body'
import { eachHeader } from './headers'
import { answer, nativeRequest, type Host, type MountOptions } from './mount'
import { checkUnanswered } from './node'

/** What we need of Koa's context. */
export interface KoaContext {
  req: IncomingMessage
  res: ServerResponse
  response: { get: (name: string) => any }
  originalUrl: string
  ip: string
  status: number
  body: any
  set: (name: string, value: string) => any
  onerror: (error: any) => void
  params?: any
  query: any
  state: any
}

export function koa<Context extends KoaContext> (
  host: Host, channels: Channels<Context> | undefined, options: MountOptions<Context> = {}
): (ctx: Context) => Promise<void> {
  const access = host.rules.of(channels, options.passErrors)
  const mayAdopt = options.adopt ?? host.adopt
  const addressOf = options.address ?? (ctx => ctx.ip)
  return async function eventStream (ctx) {
    const reply = await answer(host, nativeRequest(ctx.req, ctx.originalUrl, addressOf(ctx)), access, ctx)
    try {
      if (!checkUnanswered(ctx.res, reply)) return
    } catch (error) {
      ctx.res.destroy() // Koa leaves it open
      throw error
    }
    ctx.status = reply.status
    eachHeader(reply.headers, name => ctx.response.get(name) || undefined, (name, value) => { ctx.set(name, value) })
    // As a body and not behind Koa's back, so that what comes after `await next()` adds its headers and cookies.
    ctx.body = reply.stream ? new PullBody(host, reply, ctx, mayAdopt) : reply.body
    if (reply.stream) forgiveLeaving(ctx)
  }
}

/** Koa 3 takes a client that leaves for an error of the application. */
function forgiveLeaving (ctx: KoaContext): void {
  const { onerror } = ctx
  ctx.onerror = error => {
    if ((error as NodeJS.ErrnoException | null)?.code !== 'ERR_STREAM_PREMATURE_CLOSE') onerror.call(ctx, error)
  }
}
