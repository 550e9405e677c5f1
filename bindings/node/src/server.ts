// The core's own server, for applications that have none.

import { errorOf, translated } from './errors'
import { log } from './logger'
import type { Access, Channels } from './access'
import type { Host } from './mounts/mount'
import type { NativeMount, NativeRequest, NativeServer } from './native'
import { timeoutOf, type CloseOptions } from './timeout'

/** A request to the own server. */
export interface ServerRequest {
  method: string
  /** The path, percent-encoded as it came. */
  path: string
  query: URLSearchParams
  headers: Headers
  address?: string
}

/** A path with streams. Clients may leave out a `/` at its end. */
export interface Mount {
  path: string
  /** See `Channels`. A function has 30 seconds to decide. */
  channels?: Channels<ServerRequest>
}

/** A path with metrics or health. Without `allow` the server can only listen on a loopback address or a Unix socket. */
export interface Report {
  path: string
  /** Who may read it, as for `channels`: `true`, `false`, or a `Forbidden` that is thrown. */
  allow?: (request: ServerRequest) => boolean | Promise<boolean>
}

/** Where to listen, and what to serve. */
export interface ServeOptions extends Partial<Mount> {
  /** Default: 127.0.0.1. */
  host?: string
  /** Default: 0, which takes a free one. */
  port?: number
  /** Path of a Unix socket, in place of host and port. */
  socket?: string
  /** Several paths, in place of `path` and `channels`. */
  mounts?: Mount[]
  /** Where metrics for Prometheus are read, such as `/metrics`. */
  metrics?: string | Report
  /** Where health is read, such as `/healthz`: 200 or 503, and with `?live` 200 as long as the process is worth keeping. */
  health?: string | Report
}

/** A listening server. It keeps the process alive until it, or its `Events`, is closed. */
export class Server {
  /** The address it listens on, or the path of its Unix socket after `unix:`. */
  readonly host: string
  /** The port it was given; 0 for a Unix socket. */
  readonly port: number
  readonly #host: Host
  readonly #onEnd: () => void
  readonly #native: NativeServer
  readonly #asks: number[] = []
  #holding = false
  #hasEnded = false
  #closing: Promise<void> | undefined

  /** @internal */
  constructor (host: Host, options: ServeOptions, onEnd: () => void) {
    const mounts = options.mounts ?? [{ path: options.path ?? '/', channels: options.channels }]
    this.#host = host
    this.#onEnd = onEnd
    host.bridge.checkOpen()
    try {
      const native = mounts.map(({ path, channels }) => this.#mount(path, host.rules.of(channels)))
      for (const kind of ['metrics', 'health'] as const) {
        const report = reportOf(kind, options[kind])
        if (!report) continue
        const { path, allow } = report
        native.push({ ...(allow ? this.#mount(path, host.rules.of(allow)) : { path }), kind })
      }
      this.#native = translated(() => host.bridge.native.serve(addressOf(options), native))
    } catch (error) {
      this.#forget()
      throw error
    }
    this.host = this.#native.host()
    this.port = this.#native.port()
    this.ref()
  }

  /** Its URL, without a path; undefined for a Unix socket. */
  get url (): string | undefined {
    if (this.port === 0) return undefined
    return `http://${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.port}`
  }

  /** Lets it keep the process alive, which is so from the start. */
  ref (): this {
    if (!this.#holding && !this.#closing) {
      this.#holding = true
      this.#host.bridge.hold()
    }
    return this
  }

  /** Lets the process end though the server listens. */
  unref (): this {
    if (this.#holding) {
      this.#holding = false
      this.#host.bridge.release()
    }
    return this
  }

  /** Takes no more connections, answers the requests it has, and ends its streams, whose clients are to come back. */
  async close (options: CloseOptions = {}): Promise<void> {
    const timeoutMs = timeoutOf(options)
    this.#closing ??= this.#close(timeoutMs)
    await this.#closing
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.close()
  }

  /** @internal Is called when its events are closed, too. */
  ended (): void {
    this.#hasEnded = true
    this.#forget()
    this.unref()
    this.#onEnd()
  }

  #mount (path: string, { fixed, jwt, tickets, decide }: Access<ServerRequest>): NativeMount {
    if (fixed) return { path, access: fixed }
    if (jwt) return { path, jwt: jwt.options() }
    if (tickets) return { path, tickets: tickets.native() }
    const ask = this.#host.bridge.registerAsk((id, request, requested) => {
      // What throws here would be an error of ours: the application's own are decisions.
      Promise.resolve(decide(requestOf(request), requested))
        .then(access => { this.#native.answer(id, access) })
        .catch(error => { log(this.#host.logger, 'error', `a request was not answered: ${(error as Error).stack!}`) })
    })
    this.#asks.push(ask)
    return { path, ask }
  }

  #forget (): void {
    for (const ask of this.#asks) this.#host.bridge.forgetAsk(ask)
  }

  async #close (timeoutMs: number): Promise<void> {
    if (this.#hasEnded) return
    let asked = false
    await this.#host.bridge.wait(id => {
      if (asked) return true
      asked = true
      translated(() => { this.#native.close(timeoutMs, id) })
      return undefined
    })
    this.ended()
  }
}

function reportOf (kind: string, report: string | Report | undefined): Report | undefined {
  if (report === undefined) return undefined
  const { path, allow } = typeof report === 'string' ? { path: report } as Report : report ?? {}
  if (typeof path !== 'string' || (allow !== undefined && typeof allow !== 'function')) {
    throw errorOf('invalid-argument', `${kind} takes a path, or { path, allow } with a function that says who may read it`)
  }
  return { path, ...(allow && { allow }) }
}

function addressOf ({ host = '127.0.0.1', port = 0, socket }: ServeOptions): string {
  if (socket !== undefined) return `unix:${socket}`
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw errorOf('invalid-argument', `a port is a whole number from 0 to 65535, not ${port}`)
  }
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function requestOf ({ method, target, headers, address }: NativeRequest): ServerRequest {
  const [path = '/', query = ''] = target.split(/\?(.*)/s, 2)
  const read = new Headers()
  for (let index = 0; index < headers.length; index += 2) read.append(headers[index]!, headers[index + 1]!)
  return { method, path, query: new URLSearchParams(query), headers: read, address }
}
