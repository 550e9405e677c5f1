// An application's events: the way in to everything else.

import { EventEmitter } from 'node:events'

import type { Channels } from './access'
import { Bridge } from './bridge'
import { Channel } from './channel'
import { errorOf, native, readError, type EvstreamError } from './errors'
import { checkChannel, publish, type EventInput, type Receipt } from './event'
import { defaultLogger, levelOf, log, type Logger } from './logger'
import { express, type ExpressHandler, type ExpressRequest } from './mounts/express'
import { fastify, type FastifyReply, type FastifyRequest } from './mounts/fastify'
import { fetch, type FetchHandler, type FetchOptions, type FetchSource } from './mounts/fetch'
import { koa, type KoaContext } from './mounts/koa'
import { answerLinks, forgetLinks } from './mounts/links'
import type { Host, MountOptions } from './mounts/mount'
import type { CloseReason, News, Stats, StreamInfo } from './native'
import type { Settings } from './options'
import { Server, type ServeOptions } from './server'
import { Subscription, type Message } from './subscription'
import { timeoutOf, type CloseOptions } from './timeout'
import type { IncomingMessage } from 'node:http'

/** The settings of an `Events`. */
export interface EventsOptions extends Settings {
  /** Whether mounts may hand sockets to the native engine, see `MountOptions`. Default: true. */
  adopt?: boolean
  /**
   * Takes the log; false drops it. Default: warnings and errors go to the console, and with `DEBUG=evstream` or
   * `NODE_DEBUG=evstream` everything. Native threads log for the process: the newest `Events` with a logger hears them.
   */
  logger?: Logger | false
}

/** An event that a GRIP proxy did not get. */
export interface PublishFailure {
  proxy: string
  /** The channel, by its name on the proxy. */
  channel: string
  position: string
  error: EvstreamError
}

/** What can be listened to with `on`. */
export interface EventsEvents {
  /** A client has opened a stream in this process. */
  open: [stream: StreamInfo]
  /** A stream has ended. */
  close: [stream: StreamInfo & { reason: CloseReason }]
  /** A GRIP proxy did not get an event. */
  publishError: [failure: PublishFailure]
}

type Names<Payloads> = keyof Payloads & string

/**
 * An application's events: its settings, channels, history and streams. Make one per application.
 *
 * `Payloads` gives the type of the data of each channel:
 * `new Events<{ messages: { text: string }, [room: `room-${string}`]: Chat }>()`.
 *
 * No thread is started before the first stream, server or subscription.
 */
export class Events<Payloads extends object = Record<string, any>> extends EventEmitter<EventsEvents> {
  readonly #bridge: Bridge
  readonly #host: Host
  readonly #servers: Server[] = []
  #listeners = 0
  #closing: Promise<{ undelivered: number }> | undefined

  /** Fails with `ConfigError` when a setting is unknown or out of range. */
  constructor (options: EventsOptions = {}) {
    super()
    const { adopt = true, logger = defaultLogger(), ...settings } = options
    if (typeof adopt !== 'boolean') throw errorOf('invalid-config', `adopt takes true or false, not ${String(adopt)}`)
    const taker = logger === false ? {} : logger
    const given = Object.entries(settings).filter(([, value]) => value !== undefined && value !== null)
    for (const [name, value] of given) checkSetting(name, value)
    this.#bridge = new Bridge(
      given.map(([name]) => name),
      given.map(([, value]) => Array.isArray(value) ? [...value] : value as string),
      taker,
      levelOf(taker)
    )
    this.#host = { bridge: this.#bridge, logger: taker, adopt }
    // Whatever has the bridge, such as a mount, also keeps those who listen here.
    this.#bridge.onNews = news => { this.#tell(news) }
    // News is only sent while somebody listens.
    const count = (more: number) => (name: string | symbol) => {
      if (!NEWS.has(name)) return
      this.#listeners += more
      this.#bridge.native.listen(this.#listeners > 0)
    }
    super.on('newListener' as never, count(1) as never)
    super.on('removeListener' as never, count(-1) as never)
    if (options.grip?.length) answerLinks(this.#host)
  }

  /**
   * Publishes an event to a channel, at once: the streams of this process get it whether the promise is awaited or
   * not. With GRIP the promise waits for the proxies; a proxy that fails is told in the receipt, not by a rejection.
   *
   * Rejects with `ArgumentError` (`invalid-channel`, `invalid-event`, `too-large`) or `ClosedError`.
   */
  publish<Name extends Names<Payloads>> (channel: Name, event: EventInput<Payloads[Name]>): Promise<Receipt> {
    try {
      return publish(this.#bridge, channel, event)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** A channel as an object-mode `Writable` of events. Each call gives a new one, which may be ended. */
  channel<Name extends Names<Payloads>> (name: Name): Channel<Payloads[Name]> {
    return new Channel(this.#bridge, name)
  }

  /**
   * Reads channels in this process, from now on. Ends when the `Events` is closed, and with the signal's reason when
   * that is aborted. A reader that is too slow gets a message of type `reset` in place of what it missed.
   */
  subscribe<Name extends Names<Payloads>> (
    channels: Name | readonly Name[], options: { signal?: AbortSignal } = {}
  ): Subscription<{ [N in Name]: Message<N, Payloads[N]> }[Name]> {
    const list = Array.isArray(channels) ? [...channels] as string[] : [channels as string]
    list.forEach(checkChannel)
    return new Subscription(this.#bridge, list, options.signal)
  }

  /** A handler for Express 4 and 5, Connect and node:http: `app.get('/events/', events.express())`. */
  express<Req extends IncomingMessage = ExpressRequest> (channels?: Channels<Req>, options?: MountOptions): ExpressHandler {
    return express(this.#host, channels, options)
  }

  /** A handler for Fastify: `fastify.get('/events/', events.fastify())`. */
  fastify<Req extends FastifyRequest = FastifyRequest> (
    channels?: Channels<Req>, options?: MountOptions
  ): (request: Req, reply: FastifyReply) => Promise<unknown> {
    return fastify(this.#host, channels, options)
  }

  /** Middleware for Koa, with any router: `router.get('/events/', events.koa())`. */
  koa<Context extends KoaContext = KoaContext> (channels?: Channels<Context>, options?: MountOptions): (ctx: Context) => Promise<void> {
    return koa(this.#host, channels, options)
  }

  /** A handler of web requests: `export const GET = events.fetch()`, or `app.get('/events/', events.fetch())` in Hono. */
  fetch<Source extends FetchSource = any> (channels?: Channels<Source>, options?: FetchOptions<Source>): FetchHandler<Source> {
    return fetch(this.#host, channels, options)
  }

  /** A server of the library's own: `await events.serve({ port: 7000, path: '/events/' })`. */
  async serve (options: ServeOptions = {}): Promise<Server> {
    const server = new Server(this.#bridge, this.#host.logger, options)
    this.#servers.push(server)
    return server
  }

  /** Figures at this moment. */
  stats (): Stats {
    return this.#bridge.native.stats()
  }

  /**
   * Ends everything within the time given: refuses further publishing, asks each client to come back later, ends the
   * streams and servers, and delivers what waits for GRIP proxies; tells how much of that was not delivered.
   */
  async close (options: CloseOptions = {}): Promise<{ undelivered: number }> {
    const timeoutMs = timeoutOf(options)
    this.#closing ??= this.#close(timeoutMs)
    return await this.#closing
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.close()
  }

  async #close (timeoutMs: number): Promise<{ undelivered: number }> {
    forgetLinks(this.#host)
    let asked = false
    const undelivered = await this.#bridge.wait(id => {
      if (asked) return this.#bridge.native.closed()
      asked = true
      native(() => { this.#bridge.native.close(timeoutMs, id) })
      return undefined
    })
    for (const server of this.#servers) server.unref()
    return { undelivered }
  }

  #tell ({ kind, stream, reason, failure, record, ask }: News): void {
    switch (kind) {
      case 'open':
        this.emit('open', stream!)
        break
      case 'close':
        this.emit('close', { ...stream!, reason: reason! })
        break
      case 'publishError':
        this.emit('publishError', { ...failure!, error: readError(failure!.error) })
        break
      case 'log':
        log(this.#host.logger, record!.level, record!.message)
        break
      case 'ask':
        for (const server of this.#servers) void server.decide(ask!)
    }
  }
}

/** The core says which values a setting takes; here only what could not be put to it is refused. */
function checkSetting (name: string, value: unknown): void {
  const isText = (value: unknown): boolean => typeof value === 'string'
  if (['boolean', 'number', 'string'].includes(typeof value) || (Array.isArray(value) && value.every(isText))) return
  throw errorOf('invalid-config', `${name} takes true or false, a number, a string or a list of strings, not a value of type ${typeof value}`)
}

const NEWS: ReadonlySet<string | symbol> = new Set(['open', 'close', 'publishError'])
