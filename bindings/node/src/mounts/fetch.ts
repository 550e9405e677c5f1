// Web requests and responses: Hono, Next.js, SvelteKit, Remix, h3 and whatever else speaks fetch.

import { Readable } from 'node:stream'
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Channels } from '../access'
import { errorOf } from '../errors'
import { PullBody } from './body'
import { watchServer } from './closing'
import { eachHeader } from './headers'
import { answer, clientAddress, nativeRequest, type Exchange, type Host, type MountOptions } from './mount'
import type { NativeReply, NativeRequest } from '../native'

/** What frameworks hand to a handler: a request, or a context with one. */
export type FetchSource =
  | Request
  | { request: Request }
  | { req: Request }
  | HonoContext
  | { node: { req: IncomingMessage, res: ServerResponse } }

/** What we need of Hono's context. */
export interface HonoContext {
  req: { raw: Request }
  res: Response
  header: (name: string, value?: string) => void
  body: (body: any, status?: any) => Response
}

/** Answers a web request, as it is or inside the context of Hono, SvelteKit, Remix or h3. */
export type FetchHandler<Source> = (source: Source, ...more: any[]) => Promise<Response>

/** What is known of web requests beside themselves. Their sockets cannot be handed over. */
export type FetchOptions<Source> = Omit<MountOptions<Source>, 'adopt'>

export function fetch<Source extends FetchSource> (
  host: Host, channels: Channels<Source> | undefined, options: FetchOptions<Source> = {}
): FetchHandler<Source> {
  const access = host.rules.of(channels, options.passErrors)
  const addressOf = options.address ?? addressOfEvent
  return async function eventStream (source) {
    const [request, exchange] = [requestOf(source), exchangeOf(source)]
    watchServer(exchange?.req)
    const reply = await answer(host, read(request, exchange, addressOf(source)), access, source)
    const body = bodyOf(host, reply, exchange, request?.signal)
    if (isHono(source)) {
      // Headers that middleware has set are kept by Hono for responses that its context makes.
      eachHeader(reply.headers, name => source.res.headers.get(name), (name, value) => { source.header(name, value) })
      return source.body(body, reply.status)
    }
    const headers = new Headers()
    eachHeader(reply.headers, () => undefined, (name, value) => { headers.append(name, value) })
    return new Response(body, { status: reply.status, headers })
  }
}

function isHono (source: FetchSource): source is HonoContext {
  return 'req' in source && 'raw' in source.req
}

function requestOf (source: FetchSource): Request | undefined {
  if (isHono(source)) return source.req.raw
  if ('req' in source) return source.req
  if ('request' in source) return source.request
  return 'node' in source ? undefined : source
}

/** Node's own request and response, where the framework says which they are: Hono, h3 1, and h3 2. */
function exchangeOf (source: object): Exchange | undefined {
  const { env, node, runtime } = source as {
    env?: { incoming?: IncomingMessage, outgoing?: ServerResponse }
    node?: Partial<Exchange>
    runtime?: { node?: Partial<Exchange> }
  }
  const { req, res } = env?.incoming ? { req: env.incoming, res: env.outgoing } : node ?? runtime?.node ?? {}
  return req && res ? { req, res } : undefined
}

/** SvelteKit says it. */
function addressOfEvent (source: object): string | undefined {
  const { getClientAddress } = source as { getClientAddress?: () => string }
  return getClientAddress?.call(source)
}

function read (request: Request | undefined, exchange: Exchange | undefined, address: string | undefined): NativeRequest {
  if (!request && exchange) return nativeRequest(exchange.req, (exchange.req as { originalUrl?: string }).originalUrl, address)
  if (!request || typeof request.url !== 'string') {
    throw errorOf('invalid-argument', 'events.fetch() answers a web Request, or a context that has one as `request`, `req` or `req.raw`')
  }
  const { pathname, search } = new URL(request.url)
  return {
    method: request.method,
    target: pathname + search,
    headers: [...request.headers].flat(),
    address: clientAddress(address, exchange?.req)
  }
}

function bodyOf (
  host: Host, reply: NativeReply, exchange: Exchange | undefined, signal: AbortSignal | undefined
): BodyInit | null {
  if (!reply.stream) return reply.body.length > 0 ? reply.body as BodyInit : null
  const body = new PullBody(host, reply, exchange)
  const leave = (): void => { body.destroy() }
  if (signal?.aborted) leave()
  signal?.addEventListener('abort', leave, { once: true })
  body.once('close', () => { signal?.removeEventListener('abort', leave) })
  return Readable.toWeb(body) as BodyInit
}
