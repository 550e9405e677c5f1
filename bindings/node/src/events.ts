// An application's events: the way in to everything else.

import cluster from 'node:cluster'
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'

import { AccessRules, grantOf, type Channels, type Grant } from './access'
import { Bridge } from './bridge'
import { Channel } from './channel'
import { errorOf, readError, translated, type EvstreamError } from './errors'
import { checkChannel, publish, userChannel, type EventInput, type Receipt } from './event'
import { defaultLogger, levelOf, log, type Logger } from './logger'
import { Bodies } from './mounts/bodies'
import { fastify, type FastifyReply, type FastifyRequest } from './mounts/fastify'
import { fetch, type FetchHandler, type FetchOptions, type FetchSource } from './mounts/fetch'
import { koa, type KoaContext } from './mounts/koa'
import { answerLinks, forgetLinks } from './mounts/links'
import { node, type ExpressRequest, type NodeHandler } from './mounts/node'
import type { Host, MountOptions } from './mounts/mount'
import type { CloseReason, NativeFamily, NativeHealth, NativeStats, News, OpenStream, StreamInfo } from './native'
import type { Settings } from './options'
import { Server, type ServeOptions } from './server'
import { Subscription, type Message } from './subscription'
import type { Tickets } from './tickets'
import { timeoutOf, type CloseOptions } from './timeout'
import { Unheard } from './unheard'
import { disconnect, reopen, streams, type Ended, type Who } from './who'

/** The settings of an `Events`. */
export interface EventsOptions extends Settings {
  /** Whether mounts may hand sockets to the native engine, see `MountOptions`. Default: true. */
  adopt?: boolean | undefined
  /**
   * Takes the log; false drops it. Default: warnings and errors go to the console, and with `DEBUG=evstream` or
   * `NODE_DEBUG=evstream` everything. Native threads log for the process: the newest `Events` with a logger hears them.
   */
  logger?: Logger | false | undefined
}

/** An event that a GRIP proxy did not get. */
export interface PublishFailure {
  /** Absent when it was the journal. */
  proxy?: string
  /** The channel, by its name on the proxy or in the journal. */
  channel: string
  /** Absent when the event has no place. */
  position?: string
  error: EvstreamError
}

/** What can be listened to with `on`. */
export interface EventsEvents {
  /** A client has opened a stream in this process. */
  open: [stream: StreamInfo]
  /** A stream has ended. */
  close: [stream: StreamInfo & { reason: CloseReason }]
  /** A GRIP proxy, or the journal, did not get an event. */
  publishError: [failure: PublishFailure]
}

/** Figures of an `Events` at one moment; counts are since it came to be. */
export interface Stats extends NativeStats {
  /** Errors of `publish` and of channels that nobody awaited or listened to; they are in the log. */
  unheardErrors: number
}

/** What closing has to tell. */
export interface Closed {
  /** Whether everything has ended in the time given, callbacks of the application included. */
  ended: boolean
  /** Events that the journal, or a GRIP proxy, did not get in the time given, counted once per proxy. */
  undelivered: number
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
  readonly #unheard: Unheard
  readonly #servers = new Set<Server>()
  readonly #isSole: boolean
  #mayBeOneOfSeveral: boolean
  #closed: Closed | undefined

  /** Fails with `ConfigError` when a setting is unknown or out of range. */
  constructor (options: EventsOptions = {}) {
    super()
    const { adopt = true, logger: given = defaultLogger(), ...settings } = options
    if (typeof adopt !== 'boolean') throw errorOf('invalid-config', `adopt takes true or false, not ${String(adopt)}`)
    const logger = given === false ? {} : given
    this.#bridge = new Bridge({
      settings: Object.entries(settings).filter(([, value]) => value !== undefined && value !== null).map(checkSetting),
      logger,
      logLevel: levelOf(logger),
      // Whatever has the bridge, such as a mount, also keeps those who listen here.
      onNews: news => { this.#tell(news) }
    })
    this.#host = { bridge: this.#bridge, logger, adopt, rules: new AccessRules(logger), bodies: new Bodies() }
    this.#unheard = new Unheard(logger)
    this.#watchListeners()
    this.#isSole = Boolean(options.grip?.length && options.gripSolePublisher)
    // The core knows of a journal that the environment names, too.
    this.#mayBeOneOfSeveral = (!options.grip?.length || this.#isSole) && isOneOfSeveral() && !this.#bridge.native.stats().journal
    if (options.grip?.length) answerLinks(this.#host)
  }

  /**
   * Publishes an event to a channel, at once: the streams of this process get it whether the promise is awaited or
   * not. With GRIP the promise waits for the proxies; a proxy that fails is told in the receipt, not by a rejection.
   *
   * Rejects with `ArgumentError` (`invalid-channel`, `invalid-event`, `too-large`) or `ClosedError`; when nobody awaits
   * it, that is logged and counted. With a journal the promise waits for that, and rejects with a `JournalError` when it did
   * not get the event, which is logged.
   */
  publish<Name extends Names<Payloads>> (channel: Name, event: EventInput<Payloads[Name]>): Promise<Receipt> {
    try {
      const published = this.publishNow(channel, event)
      // When the journal did not get it, the core logs that: whoever does not await this must not be ended by it.
      published.catch(() => {})
      return published
    } catch (error) {
      return this.#unheard.reject(error)
    }
  }

  /** @internal Throws what `publish` rejects with. */
  publishNow (channel: string, event: EventInput): Promise<Receipt> {
    if (this.#mayBeOneOfSeveral) this.#warnOfOthers()
    return publish(this.#bridge, channel, event)
  }

  /**
   * As `publish`, to all streams of a user as the function that chooses the channels has named them: with the setting
   * `userChannel` each reads the user's own channel too, which no client can ask for. Rejects without that setting, for nobody
   * would get it.
   */
  publishToUser (user: string, event: EventInput): Promise<Receipt> {
    try {
      const published = this.publishNow(userChannel(this.#bridge, user), event)
      published.catch(() => {})
      return published
    } catch (error) {
      return this.#unheard.reject(error)
    }
  }

  /** A channel as an object-mode `Writable` of events. Each call gives a new one, which may be ended. */
  channel<Name extends Names<Payloads>> (name: Name): Channel<Payloads[Name]> {
    return new Channel(this.#bridge, this.#unheard, name)
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

  /** A handler for Express 4 and 5: `app.get('/events/', events.express({ public: 'news-*' }))`. */
  express<Req extends IncomingMessage = ExpressRequest> (channels?: Channels<Req>, options?: MountOptions<Req>): NodeHandler {
    return node(this.#host, channels, options)
  }

  /** A handler for node:http, Connect and what takes the same: `http.createServer(events.node('clock'))`. */
  node<Req extends IncomingMessage = IncomingMessage> (channels?: Channels<Req>, options?: MountOptions<Req>): NodeHandler {
    return node(this.#host, channels, options)
  }

  /** A handler for Fastify: `fastify.get('/events/', events.fastify())`. */
  fastify<Req extends FastifyRequest = FastifyRequest> (
    channels?: Channels<Req>, options?: MountOptions<Req>
  ): (request: Req, reply: FastifyReply) => Promise<unknown> {
    return fastify(this.#host, channels, options)
  }

  /** Middleware for Koa, with any router: `router.get('/events/', events.koa())`. */
  koa<Context extends KoaContext = KoaContext> (
    channels?: Channels<Context>, options?: MountOptions<Context>
  ): (ctx: Context) => Promise<void> {
    return koa(this.#host, channels, options)
  }

  /** A handler of web requests: `export const GET = events.fetch()`, or `app.get('/events/', events.fetch())` in Hono. */
  fetch<Source extends FetchSource = any> (channels?: Channels<Source>, options?: FetchOptions<Source>): FetchHandler<Source> {
    return fetch(this.#host, channels, options)
  }

  /** A server of the library's own: `await events.serve({ port: 7000, path: '/events/' })`. */
  async serve (options: ServeOptions = {}): Promise<Server> {
    const server = new Server(this.#host, options, () => { this.#servers.delete(server) })
    this.#servers.add(server)
    return server
  }

  /**
   * A ticket for what `grant` says, which names its channels: for `?ticket=` in the URL of an `EventSource`, at a mount that has `tickets`
   * as its channels. It ends when the grant expires, if that is earlier. It is signed with the setting `ticketSecret` but not encrypted:
   * who has it can read it.
   *
   * Throws an `ArgumentError` for a grant of the channels that clients name, for one with first events, and when it would not fit into
   * a URL; and a `ConfigError` when there is a journal, but no `ticketSecret`.
   */
  ticket (tickets: Tickets, grant: Grant): string {
    return translated(() => this.#bridge.native.ticket(tickets.native(), grantOf(grant)))
  }

  /** The place of the newest event: a stream that reads from here gets all that is published from now on. */
  position (): string {
    return this.#bridge.native.position()
  }

  /**
   * Has clients come back, and be decided on anew: after a change of rights or of channels. They miss nothing by that. In all
   * processes that share a journal, and of those that GRIP proxies hold unless a stream is named.
   *
   * Each is asked to wait for another time, from `retryMs` to twice that. A stream that is just being opened is meant, too.
   * The promise waits for the journal. Rejects with `ArgumentError` when nobody is named, `ClosedError` or `JournalError`.
   */
  reopen (who: Who): Promise<Ended> {
    return this.#end(() => reopen(this.#bridge, who))
  }

  /**
   * Ends streams whose clients are not to come back: they are told `forbidden` with this text, of 1,024 bytes at most, and get
   * nothing that is published after this call. It does not keep anyone from asking again: the function that chooses the
   * channels has to refuse that. Otherwise as `reopen`.
   */
  disconnect (who: Who, text: string): Promise<Ended> {
    return this.#end(() => disconnect(this.#bridge, who, text))
  }

  /**
   * The streams of this process that are meant, from the oldest to the newest: for a list of who is there, and to find the
   * clients that are behind. Those that GRIP proxies hold are not among them. It waits for the threads that write the
   * streams, a millisecond or less. Throws `ArgumentError` when nobody is named, or `ClosedError`.
   */
  streams (who: Who): OpenStream[] {
    return streams(this.#bridge, who)
  }

  /** The users who have streams of a channel open in this process, each once, by their names. Throws as `streams`. */
  users (channel: string): string[] {
    this.#bridge.checkOpen()
    return translated(() => this.#bridge.native.users(channel))
  }

  /**
   * Metrics of this process as text for Prometheus: in OpenMetrics 1.0, or else in the older format 0.0.4. For a registry of
   * prom-client there is `evstream/prom-client`.
   */
  metrics ({ openMetrics = false }: { openMetrics?: boolean } = {}): string {
    return this.#bridge.native.metrics(openMetrics)
  }

  /** @internal The same for a registry of the host's. */
  families (): NativeFamily[] {
    return this.#bridge.native.families()
  }

  /** Whether this process can serve, and what is wrong. Waits for nothing. */
  health (): NativeHealth {
    return this.#bridge.native.health()
  }

  /** Figures at this moment. */
  stats (): Stats {
    return { ...this.#bridge.native.stats(), unheardErrors: this.#unheard.count }
  }

  /**
   * Ends everything within the time given: refuses further publishing, sends what was published, asks each client to come
   * back later, ends the streams and servers, and delivers what waits for GRIP proxies. Tells what was not done in time.
   */
  async close (options: CloseOptions = {}): Promise<Closed> {
    const deadline = performance.now() + timeoutOf(options)
    const left = (): number => Math.max(0, deadline - performance.now())
    if (this.#closed) return this.#closed
    forgetLinks(this.#host)
    this.#bridge.startClosing()
    const { native } = this.#bridge
    let asked = false
    const closed = await this.#bridge.wait(id => {
      if (asked) return translated(() => native.closed(id))
      asked = true
      translated(() => { native.close(left(), id) })
      return undefined
    })
    await this.#host.bodies.sent(left())
    for (const server of this.#servers) server.ended()
    if (closed.ended && !this.#closed) {
      this.#closed = closed
      this.#bridge.end()
    }
    return closed
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.close()
  }

  override removeAllListeners (event?: keyof EventsEvents): this {
    super.removeAllListeners(event)
    this.#watchListeners()
    return this
  }

  /** News is only sent while somebody listens. */
  #watchListeners (): void {
    const emitter: EventEmitter = this
    const listen = (): void => { this.#bridge.native.listen(NEWS.some(name => this.listenerCount(name) > 0)) }
    if (emitter.listenerCount('newListener') === 0) {
      emitter.on('newListener', name => { if (NEWS.includes(name)) this.#bridge.native.listen(true) })
    }
    if (emitter.listenerCount('removeListener') === 0) emitter.on('removeListener', listen)
    listen()
  }

  #end (end: () => Promise<Ended>): Promise<Ended> {
    try {
      const ended = end()
      // As for `publish`: the core logs what the journal did not get.
      ended.catch(() => {})
      return ended
    } catch (error) {
      return this.#unheard.reject(error, 'no stream was ended')
    }
  }

  #warnOfOthers (): void {
    this.#mayBeOneOfSeveral = false
    log(this.#host.logger, 'warn', this.#isSole
      ? 'gripSolePublisher is set, but this is one process of several: what another publishes is hidden by it; set journal in its place'
      : 'this is one process of several, and events reach the streams of the process that publishes them alone: set journal, to ' +
        "'file:/run/app/events' on one host or 'redis://...' on several, or put a GRIP proxy in front")
  }

  #tell ({ kind, stream, reason, failure, record }: News): void {
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
    }
  }
}

/** The core says which values a setting takes; here only what could not be put to it is refused. */
function checkSetting ([name, value]: [string, unknown]): [string, boolean | number | string | string[]] {
  if (Array.isArray(value) && value.every(item => typeof item === 'string')) return [name, [...value]]
  if (typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return [name, value]
  throw errorOf('invalid-config', `${name} takes true or false, a number, a string or a list of strings, not a value of type ${typeof value}`)
}

/** Under node:cluster, which PM2 uses too; its fork mode numbers the processes from 0. */
function isOneOfSeveral (): boolean {
  return cluster.isWorker || Number(process.env['NODE_APP_INSTANCE'] ?? 0) > 0
}

const NEWS: Array<string | symbol> = ['open', 'close', 'publishError']
