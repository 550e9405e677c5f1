// Links of GRIP proxies: what a proxy asks for on behalf of streams that it holds.
//
// A link is one path segment below the mount, which routers that match exact paths would not find, and the request
// carries no cookies, which middleware that checks sessions would refuse. It needs neither: its path is signed by us and
// the request by the proxy. So it is answered as the server's request arrives, before the application.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

import { LINK_MARKER } from '../native'
import { nativeRequest, type Host } from './mount'
import { setHeaders } from './node'
import type { NativeReply } from '../native'

/** Answers links of this host on every HTTP server of the process, as long as the host lives. */
export function answerLinks (host: Host): void {
  if (hosts.size === 0) subscribe(CHANNEL, onRequest)
  hosts.add(new WeakRef(host))
}

export function forgetLinks (host: Host): void {
  for (const known of hosts) {
    const living = known.deref()
    if (!living || living === host) hosts.delete(known)
  }
  if (hosts.size === 0) unsubscribe(CHANNEL, onRequest)
}

/** Told right before the server emits `request`. */
function onRequest (message: unknown): void {
  const { request, response, server } = message as { request: IncomingMessage, response: ServerResponse, server: Server }
  if (request.url?.includes(LINK_MARKER) !== true) return
  const reply = replyOf(request)
  if (!reply) return
  const own = Object.getOwnPropertyDescriptor(server, 'emit')
  // The application does not hear of this one request.
  server.emit = (name: string | symbol, ...args: any[]): boolean => {
    if (own) Object.defineProperty(server, 'emit', own)
    else delete (server as Partial<Server>).emit
    if (args[0] !== request) return Reflect.apply(server.emit, server, [name, ...args])
    response.statusCode = reply.status
    setHeaders(response, reply.headers)
    response.end(reply.body)
    return true
  }
}

/** The answer of the host whose link it is. Whatever others say, the application may have an answer. */
function replyOf (request: IncomingMessage): NativeReply | undefined {
  for (const known of hosts) {
    const reply = known.deref()?.bridge.native.screen(nativeRequest(request)).reply
    if (reply?.status === 200) return reply
  }
  return undefined
}

const CHANNEL = 'http.server.request.start'
const hosts = new Set<WeakRef<Host>>()
