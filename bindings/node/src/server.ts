// The core's own server, for applications that have none.

import { accessOf, type Access, type Channels } from './access'
import { errorOf, native } from './errors'
import type { Bridge } from './bridge'
import type { Logger } from './logger'
import type { NativeRequest, NativeServer, News } from './native'
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
  /** Default: those that clients name with `?channel=`. A function has 30 seconds to decide. */
  channels?: Channels<ServerRequest>
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
}

/** A listening server. It keeps the process alive until it, or its `Events`, is closed. */
export class Server {
  /** The address it listens on, or the path of its Unix socket after `unix:`. */
  readonly host: string
  /** The port it was given; 0 for a Unix socket. */
  readonly port: number
  readonly #bridge: Bridge
  readonly #native: NativeServer
  readonly #rules: Map<number, Access<ServerRequest>>
  #holding = false
  #closing: Promise<void> | undefined

  /** @internal */
  constructor (bridge: Bridge, logger: Logger, options: ServeOptions) {
    const mounts = options.mounts ?? [{ path: options.path ?? '/', channels: options.channels }]
    this.#bridge = bridge
    this.#rules = new Map(mounts.map(({ channels }) => [nextNumber++, accessOf(channels, logger)]))
    const rules = [...this.#rules]
    this.#native = native(() => bridge.native.serve(addressOf(options), mounts.map(({ path }, index) => {
      const [number, { fixed }] = rules[index]!
      return fixed ? { path, channels: fixed.channels } : { path, ask: number }
    })))
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
      this.#bridge.hold()
    }
    return this
  }

  /** Lets the process end though the server listens. */
  unref (): this {
    if (this.#holding) {
      this.#holding = false
      this.#bridge.release()
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

  /** @internal */
  async decide ({ id, mount, request }: NonNullable<News['ask']>): Promise<void> {
    const rule = this.#rules.get(mount)
    if (rule) this.#native.answer(id, await rule.decide(describe(request)))
  }

  async #close (timeoutMs: number): Promise<void> {
    let asked = false
    await this.#bridge.wait(id => {
      if (asked) return true
      asked = true
      native(() => { this.#native.close(timeoutMs, id) })
      return undefined
    })
    this.unref()
  }
}

function addressOf ({ host = '127.0.0.1', port = 0, socket }: ServeOptions): string {
  if (socket !== undefined) return `unix:${socket}`
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw errorOf('invalid-argument', `a port is a whole number from 0 to 65535, not ${port}`)
  }
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function describe ({ method, target, headers, address }: NativeRequest): ServerRequest {
  const [path = '/', query = ''] = target.split(/\?(.*)/s, 2)
  const read = new Headers()
  for (let index = 0; index < headers.length; index += 2) read.append(headers[index]!, headers[index + 1]!)
  return { method, path, query: new URLSearchParams(query), headers: read, address }
}

/** Numbers of mounts that are asked for, so that a question finds its server. */
let nextNumber = 1
