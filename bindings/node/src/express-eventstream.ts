// `evstream/express-eventstream`: the functions of express-eventstream 2.0.2, so that an application written for it runs
// after changing one line. What differs is what clients may rely on more: ids, resuming, and gaps that are told.

import { EventEmitter } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { IncomingMessage } from 'node:http'

import { Events as Core } from './events'
import type { Receipt } from './event'
import type { Decision } from './access'
import type { ExpressHandler, ExpressRequest } from './mounts/express'

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
  event?: string
  data?: unknown
}

/** An application's events. */
export interface Events {
  readonly prefix: string
  /** The same events with all that evstream offers. */
  readonly evstream: Core
  /** A stream that publishes what is written to it. It emits `grip:failedToPublish` with `{ event, error }`. */
  channel(channelName: string): Writable
  /** All that is published, as `{ channel, event }`. */
  createAddressedEventsReadable(): Readable
}

export interface EventsOptions {
  grip?: Grip
  prefix?: string
  gripPubControl?: never
}

export interface ExpressOptions {
  events?: Events
  grip?: Grip
  /** Which channels a request is for. Default: `?channel=`. */
  createEventRequestFromHttp?: (req: any) => { channels?: string[] }
}

export function events ({ grip, gripPubControl, prefix = 'events-' }: EventsOptions = {}): Events {
  if (gripPubControl) {
    throw new TypeError('gripPubControl is not supported; give the proxy as { grip: "http://host:5561?key=..." }')
  }
  return new AddressedEvents(prefix, gripUrl(grip))
}

export function express (options: ExpressOptions = {}): ExpressHandler {
  const { events, grip, createEventRequestFromHttp = byQuery } = options
  if (events && !(events instanceof AddressedEvents)) throw new Error('Unexpected value of options.events')
  if (!events) console.warn('No events will flow because none provided via options.events')
  const source = events ?? new AddressedEvents('events-', undefined)
  source.useGrip(gripUrl(grip))
  return source.evstream.express<ExpressRequest>((req): Decision => {
    const { channels } = createEventRequestFromHttp(req)
    // None at all is answered as a request that names none.
    return channels && channels.length > 0 ? channels : []
  })
}

class AddressedEvents implements Events {
  readonly prefix: string
  readonly #published = new EventEmitter().setMaxListeners(0)
  #grip: string | undefined
  #core: Core | undefined

  constructor (prefix: string, grip: string | undefined) {
    this.prefix = prefix
    this.#grip = grip
  }

  /** Made when first needed, because `express()` may be the first to name the proxy. */
  get evstream (): Core {
    // There was no limit before; a proxy has its own.
    const channelLimit = this.#grip === undefined ? 1_000 : 19
    this.#core ??= new Core({ grip: this.#grip, gripPrefix: this.prefix, channelLimit })
    return this.#core
  }

  useGrip (grip: string | undefined): void {
    if (grip === undefined || grip === this.#grip) return
    if (this.#core || this.#grip !== undefined) {
      throw new Error('the GRIP proxy of express() is not the one of events(); give both the same, or only events()')
    }
    this.#grip = grip
  }

  channel (channelName: string): Writable {
    const core = this.evstream
    const published = this.#published
    let inFlight = 0
    let waiting: (() => void) | undefined
    const settled = (): void => {
      inFlight--
      const resume = waiting
      waiting = undefined
      resume?.()
    }
    const writable: Writable = new Writable({
      objectMode: true,
      write (event: SeedEvent, _encoding, done) {
        published.emit('event', { channel: channelName, event })
        inFlight++
        send(core, channelName, event).then(({ proxies }) => {
          const failure = proxies.find(({ error }) => error)
          if (failure) fail(event, failure.error)
        }, error => { fail(event, error) }).finally(settled)
        if (inFlight < MAX_IN_FLIGHT) done()
        else waiting = done
      },
      final (done) {
        if (inFlight === 0) done()
        else waiting = () => { this._final!(done) }
      }
    })
    // As before, an event that fails is told and does not end the stream.
    const fail = (event: SeedEvent, error: unknown): void => {
      console.warn(`evstream: an event for the channel ${channelName} was not published: ${(error as Error).message}`)
      writable.emit('grip:failedToPublish', { event, error })
    }
    return writable
  }

  createAddressedEventsReadable (): Readable {
    const onEvent = (event: unknown): void => { readable.push(event) }
    const published = this.#published
    const readable = new Readable({
      objectMode: true,
      read () {},
      destroy (error, done) {
        published.off('event', onEvent)
        done(error)
      }
    })
    published.on('event', onEvent)
    return readable
  }
}

/** A value that JSON has no word for is sent as `undefined`, as it always was. */
async function send (core: Core, channel: string, { event, data }: SeedEvent): Promise<Receipt> {
  return await core.publish(channel, { event, text: String(JSON.stringify(data)) })
}

function byQuery (req: IncomingMessage & { query?: { channel?: unknown } }): { channels: string[] } {
  const channel = req.query?.channel
  const channels = Array.isArray(channel) ? channel : [channel].filter(Boolean)
  return { channels: channels.map(String) }
}

/** Without an issuer the key only verifies requests, and is not sent to the proxy as it would be by evstream. */
function gripUrl (grip: Grip | undefined): string | undefined {
  if (!grip) return undefined
  const settings = typeof grip === 'string' ? {} : grip
  const { control_uri: uri, control_iss: iss, controlUri = uri, controlIss = iss, key } = settings
  const base = typeof grip === 'string' ? grip : controlUri
  if (!base) {
    if (Object.keys(settings).length > 0) {
      console.warn('Will not be able to publish to gripPubControl with falsy uri: ', base)
    }
    return undefined
  }
  const url = new URL(base)
  if (controlIss) url.searchParams.set('iss', controlIss)
  if (key) url.searchParams.set('key', typeof key === 'string' ? key : `base64:${key.toString('base64')}`)
  const given = url.searchParams.get('key')
  if (given && !url.searchParams.has('verify-key')) url.searchParams.set('verify-key', given)
  if (!url.searchParams.has('iss')) url.searchParams.delete('key')
  return url.href
}

const MAX_IN_FLIGHT = 16
