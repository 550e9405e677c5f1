// Fastify 4 and 5.

import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Channels } from '../access'
import { PullBody } from './body'
import { eachHeader } from './headers'
import { answer, nativeRequest, type Host, type MountOptions } from './mount'
import { checkUnanswered } from './node'

/** What we need of Fastify's request. */
export interface FastifyRequest {
  raw: IncomingMessage
  ip: string
  params: any
  query: any
  headers: IncomingMessage['headers']
}

/** What we need of Fastify's reply. */
export interface FastifyReply {
  raw: ServerResponse
  code(status: number): unknown
  header(name: string, value: any): unknown
  getHeader(name: string): number | string | string[] | undefined
  send(payload?: unknown): unknown
}

export function fastify<Req extends FastifyRequest> (
  host: Host, channels: Channels<Req> | undefined, options: MountOptions<Req> = {}
): (request: Req, reply: FastifyReply) => Promise<unknown> {
  const access = host.rules.of(channels, options.passErrors)
  const mayAdopt = options.adopt ?? host.adopt
  const addressOf = options.address ?? (request => request.ip)
  return async function eventStream (request, reply) {
    const exchange = { req: request.raw, res: reply.raw }
    const answered = await answer(host, nativeRequest(request.raw, request.raw.url, addressOf(request)), access, request)
    if (!checkUnanswered(reply.raw, answered)) return reply
    reply.code(answered.status)
    eachHeader(answered.headers, name => reply.getHeader(name), (name, value) => { reply.header(name, value) })
    if (!answered.stream) return reply.send(answered.body)
    // As a payload and not behind Fastify's back, so that hooks add their headers and cookies.
    return reply.send(new PullBody(host, answered, exchange, mayAdopt))
  }
}
