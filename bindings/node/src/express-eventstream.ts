// `evstream/express-eventstream`: the functions of express-eventstream 2.0.2, so that an application written for it runs
// after changing one line. What differs is what clients may rely on more: ids, resuming, and gaps that are told.

import { EventEmitter } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { IncomingMessage, ServerResponse } from 'node:http'

import { Events as Core } from './events'
import { InFlight, MAX_IN_FLIGHT } from './inflight'
import { defaultLogger, type Logger } from './logger'
import type { NodeHandler } from './mounts/node'

/** A GRIP proxy: `GRIP_URL`, or the parts of it. */
export type Grip = string | {
  controlUri?: string
  control_uri?: string
  controlIss?: string
  control_iss?: string
  key?: string | Buffer
}

/** An event, as express-eventstream has it. */
export interface SeedEvent {
  event?: unknown
  data?: unknown
}

/** An application's events. */
export interface Events {
  readonly prefix: string
  /** The same events with all that evstream offers. */
  readonly evstream: Core
  /** A stream that publishes what is written to it. It emits `grip:failedToPublish` with `{ event, error }`. */
  channel(channelName: string): Writable
  /** All that is published, as `{ channel, event }`, from when it is first read. */
  createAddressedEventsReadable(): Readable
}

export interface EventsOptions {
  grip?: Grip
  prefix?: string
  gripPubControl?: never
  /** Takes the log, see `EventsOptions` of evstream. Default: the console. */
  logger?: Logger
}

export interface ExpressOptions {
  /** Those of `events()`, or others that are like them. */
  events?: Pick<Events, 'createAddressedEventsReadable'> & Partial<Pick<Events, 'prefix'>>
  /** Its `key` verifies requests of the proxy. */
  grip?: Grip
  /** Which channels a request is for; an error that it throws goes to `next`. Default: `?channel=`. */
  createEventRequestFromHttp?: (req: any) => { channels?: string[] }
}

export function events ({ grip, gripPubControl, prefix = 'events-', logger }: EventsOptions = {}): Events {
  if (gripPubControl) {
    throw new TypeError('gripPubControl is not supported; give the proxy as { grip: "http://host:5561?key=..." }')
  }
  return eventsOf(new Source(prefix, partsOf(grip), logger))
}

export function express (options: ExpressOptions = {}): NodeHandler {
  const { events, grip, createEventRequestFromHttp = byQuery } = options
  const source = sourceOf(events)
  source.useGrip(partsOf(grip))
  let mounted: NodeHandler | undefined
  const mount = (): NodeHandler => source.core.express((req): string[] => {
    const { channels } = createEventRequestFromHttp(req)
    // None at all is answered as a request that names none.
    return channels && channels.length > 0 ? [channels].flat().map(String) : []
  }, { passErrors: true })
  // Not at once, because another `express()` may have more to say of the proxy; but before the proxy asks.
  setImmediate(() => { source.begin() })
  return (req: IncomingMessage, res: ServerResponse, next) => {
    mounted ??= mount()
    mounted(req, res, next)
  }
}

/** What `events()` gives is made of functions alone, so that they can be taken out of it and it can be copied. */
function eventsOf (source: Source): Events {
  const events = {
    prefix: source.prefix,
    channel: (channelName: string) => source.channel(channelName),
    createAddressedEventsReadable: () => source.createAddressedEventsReadable(),
    [SOURCE]: source
  }
  // A copy does not ask for it.
  return Object.defineProperty(events, 'evstream', { get: () => source.core, enumerable: false }) as unknown as Events
}

function sourceOf (events: ExpressOptions['events']): Source {
  const known = (events as { [SOURCE]?: Source } | undefined)?.[SOURCE]
  if (known) return known
  if (events && typeof events.createAddressedEventsReadable !== 'function') throw new Error('Unexpected value of options.events')
  if (!events) console.warn('No events will flow because none provided via options.events')
  const source = new Source(events?.prefix ?? 'events-', undefined, undefined)
  events?.createAddressedEventsReadable().on('data', ({ channel, event }: { channel: string, event: SeedEvent }) => {
    source.publish(channel, event).catch(error => { source.warn(channel, error) })
  })
  return source
}

/** The events of an application, and how they are to be published. */
class Source {
  readonly prefix: string
  readonly #published = new EventEmitter().setMaxListeners(0)
  readonly #logger: Logger
  #grip: GripParts | undefined
  #core: Core | undefined

  constructor (prefix: string, grip: GripParts | undefined, logger: Logger | undefined) {
    this.prefix = prefix
    this.#grip = grip
    this.#logger = logger ?? defaultLogger()
  }

  /** Made when first needed, because `express()` has more to say of the proxy. */
  get core (): Core {
    this.#core ??= new Core({
      grip: urlOf(this.#grip),
      gripPrefix: this.prefix,
      // There were no limits before; a proxy has its own.
      channelLimit: this.#grip ? 18 : 1_000,
      maxEventBytes: 1_073_741_824,
      logger: this.#logger
    })
    return this.#core
  }

  /** The proxy, or another key to verify its requests with. */
  useGrip (grip: GripParts | undefined): void {
    if (!grip) return
    const merged = this.#grip ? { ...this.#grip, verifyKey: grip.key ?? this.#grip.verifyKey } : grip
    if (this.#core && urlOf(merged) !== urlOf(this.#grip)) {
      this.#logger.warn?.('the GRIP settings of express() come too late, and are not used: give them before the first event is published')
      return
    }
    this.#grip = merged
  }

  begin (): void {
    try {
      void this.core
    } catch (error) {
      this.#logger.error?.((error as Error).message)
    }
  }

  /** A value that JSON has no word for is sent as `undefined`, as it always was. */
  async publish (channel: string, event: SeedEvent): Promise<void> {
    const name = event.event === undefined ? undefined : String(event.event)
    const published = this.core.publishNow(channel, { event: name, text: String(JSON.stringify(event.data)) })
    this.#published.emit('event', { channel, event })
    const failure = (await published).proxies.find(({ error }) => error)
    if (failure) throw failure.error!
  }

  channel (channelName: string): Writable {
    const inFlight = new InFlight()
    const writable: Writable = new Writable({
      objectMode: true,
      highWaterMark: MAX_IN_FLIGHT,
      write: (event: SeedEvent, _encoding, done) => {
        inFlight.add(this.publish(channelName, event).catch(error => {
          // As before, an event that fails is told and does not end the stream.
          this.warn(channelName, error)
          writable.emit('grip:failedToPublish', { event, error })
        }), done)
      },
      final: done => { inFlight.end(done) }
    })
    return writable
  }

  createAddressedEventsReadable (): Readable {
    const published = this.#published
    let isListening = false
    const onEvent = (event: unknown): void => { readable.push(event) }
    const readable = new Readable({
      objectMode: true,
      read () {
        if (!isListening) published.on('event', onEvent)
        isListening = true
      },
      destroy (error, done) {
        published.off('event', onEvent)
        done(error)
      }
    })
    return readable
  }

  warn (channelName: string, error: Error): void {
    // Names come from clients: one line each, and not for ever.
    this.#logger.warn?.(`an event for the channel ${JSON.stringify(channelName.slice(0, 100))} was not published: ${error.message}`)
  }
}

function byQuery (req: IncomingMessage & { query?: { channel?: unknown } }): { channels: string[] } {
  const channel = req.query?.channel
  const channels = Array.isArray(channel) ? channel : [channel].filter(Boolean)
  return { channels: channels.map(String) }
}

interface GripParts {
  url: URL | undefined
  iss: string | undefined
  key: string | undefined
  verifyKey: string | undefined
}

function partsOf (grip: Grip | undefined): GripParts | undefined {
  if (!grip || Object.keys(grip).length === 0) return undefined
  const settings = typeof grip === 'string' ? {} : grip
  const { control_uri: uri, control_iss: issuer, controlUri = uri, controlIss = issuer, key: given } = settings
  const base = typeof grip === 'string' ? grip : controlUri
  const url = base ? new URL(base) : undefined
  const iss = controlIss ?? url?.searchParams.get('iss') ?? undefined
  const key = given === undefined
    ? url?.searchParams.get('key') ?? undefined
    : typeof given === 'string' ? given : `base64:${given.toString('base64')}`
  return { url, iss, key, verifyKey: url?.searchParams.get('verify-key') ?? key }
}

/** Without an issuer the key only verifies requests, and is not sent to the proxy as it would be by evstream. */
function urlOf (grip: GripParts | undefined): string | undefined {
  if (!grip?.url) return undefined
  const url = new URL(grip.url)
  if (grip.iss !== undefined) url.searchParams.set('iss', grip.iss)
  if (grip.verifyKey !== undefined) url.searchParams.set('verify-key', grip.verifyKey)
  if (grip.iss !== undefined && grip.key !== undefined) url.searchParams.set('key', grip.key)
  else url.searchParams.delete('key')
  return url.href
}

/** Also for another copy of this module, which a test runner may have loaded. */
const SOURCE = Symbol.for('evstream.express-eventstream')
