// Web requests and responses: Hono, Next.js, SvelteKit, Remix and whatever else speaks fetch.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { accessOf, type Channels } from '../access'
import { onServerClose } from './closing'
import { answer, eachHeader, type Host } from './mount'
import type { CloseReason, NativePull, NativeReply, NativeRequest } from '../native'

/** What frameworks hand to a handler: a request, or a context with one. */
export type FetchSource = Request | { request: Request } | { req: { raw: Request }, body?: (body: any, status: any, headers: any) => Response }

/** Answers a web request, as it is or inside the context of Hono, SvelteKit or Remix. */
export type FetchHandler<Source> = (source: Source, ...more: any[]) => Promise<Response>

/** What is known of a web request beside itself. */
export interface FetchOptions<Source> {
  /** The client's address, which `maxStreamsPerAddress` counts by. */
  address?: (source: Source) => string | undefined
}

export function fetch<Source extends FetchSource> (
  host: Host, channels: Channels<Source> | undefined, options: FetchOptions<Source> = {}
): FetchHandler<Source> {
  const access = accessOf(channels, host.logger)
  return async function eventStream (source) {
    const request = requestOf(source)
    const reply = await answer(host, read(request, options.address?.(source)), access, source)
    const headers: Record<string, string> = {}
    eachHeader(reply.headers, (name, value) => { headers[name] = value })
    const body = bodyOf(host, source, request, reply)
    // Hono keeps the headers that middleware has set for responses that its context makes.
    if ('req' in source && source.body) return source.body(body, reply.status, headers)
    return new Response(body, { status: reply.status, headers })
  }
}

function requestOf (source: FetchSource): Request {
  if ('req' in source) return source.req.raw
  if ('request' in source) return source.request
  return source
}

function read (request: Request, address: string | undefined): NativeRequest {
  const { pathname, search } = new URL(request.url)
  return { method: request.method, target: pathname + search, headers: [...request.headers].flat(), address }
}

function bodyOf (host: Host, source: FetchSource, request: Request, reply: NativeReply): BodyInit | null {
  const { body, stream } = reply
  if (!stream) return body.length > 0 ? body as BodyInit : null

  let pull: NativePull | undefined
  let wanted: (() => void) | undefined
  const wake = (): void => {
    wanted?.()
    wanted = undefined
  }
  const id = host.bridge.register(wake)
  try {
    pull = stream.pull(id)
  } catch (error) {
    host.bridge.forget(id)
    throw error // the events are closed
  }
  const end = (reason: CloseReason): void => {
    host.bridge.forget(id)
    forgetServer()
    request.signal?.removeEventListener('abort', onAbort)
    pull?.close(reason)
    pull = undefined
    wake()
  }
  let lastWords: string | null | undefined
  let cancelled = false
  const onAbort = (): void => { end('client') }
  // Hono on Node tells which request of Node's it is.
  const { env } = source as { env?: { incoming?: IncomingMessage, outgoing?: ServerResponse } }
  const forgetServer = onServerClose(env?.incoming, env?.outgoing, () => {
    lastWords = pull?.finish()
    end('shutdown')
  })
  request.signal?.addEventListener('abort', onAbort, { once: true })

  return new ReadableStream<Uint8Array>({
    start (controller) {
      controller.enqueue(body)
    },
    // Called when the consumer can take more, and not again before the promise is kept.
    async pull (controller) {
      for (;;) {
        const text = pull ? pull.take() : null
        if (text) {
          controller.enqueue(encoder.encode(text))
          return
        }
        if (text === null) {
          if (cancelled) return
          if (lastWords) controller.enqueue(encoder.encode(lastWords))
          end('dropped')
          controller.close()
          return
        }
        await new Promise<void>(resolve => { wanted = resolve })
      }
    },
    cancel () {
      cancelled = true
      end('client')
    }
  }, { highWaterMark: 1 })
}

/** Each chunk gets memory of its own, because whoever reads it may transfer it. */
const encoder = new TextEncoder()
