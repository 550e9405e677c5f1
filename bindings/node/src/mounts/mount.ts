// What all mounts have in common.

import { isIP } from 'node:net'
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Access, AccessRules } from '../access'
import type { Bridge } from '../bridge'
import type { Logger } from '../logger'
import type { NativeReply, NativeRequest } from '../native'
import type { Bodies } from './bodies'
import { watchServer } from './closing'

/** What is known of the requests of a mount, and how its streams are driven. */
export interface MountOptions<Source = any> {
  /**
   * Whether sockets may be handed to the native engine, which then writes to them without a turn of the event loop.
   * Only plain HTTP/1.1 responses are; the bytes on the wire are the same. Default: the setting of the `Events`, true.
   */
  adopt?: boolean | undefined
  /**
   * The client's address, which `maxStreamsPerAddress` counts by and `open` tells. Default: what the framework says, such
   * as `req.ip`, which heeds Express' `trust proxy`; else the address of the connection, also where this gives none. Where
   * it is one of `trustedProxies`, the address that these give.
   */
  address?: ((source: Source) => string | undefined) | undefined
  /**
   * Whether what the function throws is passed to the framework, whose error handler then answers. A browser that is
   * answered with a status of an error does not come back. Default: false, the client is told in its stream.
   */
  passErrors?: boolean | undefined
}

/** What a mount needs of its `Events`. */
export interface Host {
  readonly bridge: Bridge
  readonly logger: Logger
  readonly adopt: boolean
  readonly rules: AccessRules
  readonly bodies: Bodies
}

/** Node's own request and response, where a mount knows them. */
export interface Exchange {
  req: IncomingMessage
  res: ServerResponse
}

/** The answer to a request. The application is only asked where its word is needed. */
export function answer<Source> (
  host: Host, request: NativeRequest, access: Access<Source>, source: Source
): NativeReply | Promise<NativeReply> {
  const { native } = host.bridge
  if (access.fixed) return native.openRequest(request, access.fixed)
  const { reply, asked } = native.screen(request)
  if (!asked) return reply!
  if (access.jwt) return native.openByToken(asked, request, access.jwt.native())
  if (access.tickets) return native.openByTicket(asked, request, access.tickets.native())
  const decided = access.decide(source, asked.channels())
  return decided instanceof Promise ? decided.then(decision => native.open(asked, decision)) : native.open(asked, decided)
}

/** Node's request for the native half. `target` is the client's, as it was before routers cut it. */
export function nativeRequest (req: IncomingMessage, target = req.url ?? '/', address?: string): NativeRequest {
  watchServer(req)
  return {
    method: req.method ?? 'GET',
    target: originForm(target),
    headers: req.httpVersionMajor >= 2 ? req.rawHeaders.map(String) : req.rawHeaders,
    address: clientAddress(address, req)
  }
}

/** What an application or a framework has read from a header may be anything. */
export function clientAddress (given: string | undefined, req: IncomingMessage | undefined): string | undefined {
  return given !== undefined && isIP(given) !== 0 ? given : req?.socket?.remoteAddress
}

/** `GET http://host/path` is allowed, too. */
function originForm (target: string): string {
  if (target.startsWith('/') || !URL.canParse(target)) return target
  const { pathname, search } = new URL(target)
  return pathname + search
}
