// Links of GRIP proxies: what a proxy asks for on behalf of streams that it holds.
//
// A link is one path segment below the mount, which routers that match exact paths would not find, and the request
// carries no cookies, which middleware that checks sessions would refuse. It needs neither: its path is signed by us and
// the request by the proxy. So it is answered as the server's request arrives, before the application.

import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

import { readRequest, setHeaders } from './node'
import type { Host } from './mount'
import { isLink } from '../native'

/** Answers links of this host on every HTTP server of the process, as long as the host lives. */
export function answerLinks (host: Host): void {
  hosts.add(new WeakRef(host))
  if (hosts.size > 1 || listening) return
  listening = true
  subscribe('http.server.request.start', message => {
    const { request, server } = message as { request: IncomingMessage, server: Server }
    if (isLink(request.url ?? '/')) intercept(server)
  })
}

export function forgetLinks (host: Host): void {
  for (const known of hosts) {
    const living = known.deref()
    if (!living || living === host) hosts.delete(known)
  }
}

/** Has a server ask us first. Only done once a link has come, so that other servers are left alone. */
function intercept (server: Server): void {
  if (intercepted.has(server)) return
  intercepted.add(server)
  const listeners = server.rawListeners('request')
  server.removeAllListeners('request')
  server.on('request', function (this: Server, req: IncomingMessage, res: ServerResponse) {
    if (answer(req, res)) return
    for (const listener of listeners) Reflect.apply(listener, this, [req, res])
  })
}

function answer (req: IncomingMessage, res: ServerResponse): boolean {
  if (!isLink(req.url ?? '/')) return false
  const request = readRequest(req)
  for (const known of hosts) {
    const reply = known.deref()?.bridge.native.screen(request)
    // Whatever else it says, the link is not of this host, and the application may have an answer.
    if (reply?.status !== 200) continue
    res.statusCode = reply.status
    setHeaders(res, reply.headers)
    res.end(reply.body)
    return true
  }
  return false
}

const hosts = new Set<WeakRef<Host>>()
const intercepted = new WeakSet<Server>()
let listening = false
