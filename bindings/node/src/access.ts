// Who may have which channels.

import { errorOf, isForbidden, translated } from './errors'
import { checkEvent, type EventInput } from './event'
import { Jwt } from './jwt'
import { log, type Logger } from './logger'
import { checkAccess, publicRefusal, type NativeAccess, type NativeGreeting } from './native'
import { Tickets } from './tickets'

/**
 * What a function says of a request: `false` for no stream; the channels, whatever the client asks for; `true` for
 * exactly those that the client asks for, as the function was told; or a `Grant`.
 */
export type Decision = boolean | string | readonly string[] | Grant

/** A stream, and on what terms. It has nothing but these. */
export interface Grant {
  /** The channels, whatever the client asks for; or `true` for exactly those that it asks for. */
  channels: true | string | readonly string[]
  /** Whose stream it is; see `Events.reopen`. */
  user?: string
  /**
   * Until when, as a `Date` or in seconds since 1970, such as the `exp` of a token. The stream ends up to a tenth of its
   * time before, and a minute at most; the client comes back, and is decided on anew. A moment in the past is a refusal.
   */
  expiresAt?: Date | number
  /**
   * Begins with what was published after this position, wherever the client was. Take it with `events.position()` *before*
   * reading the data of `greet`: then the client gets every change which that does not show, and perhaps some that it does.
   */
  since?: string
  /** First events for this client alone, a hundred at most. */
  greet?: readonly EventInput[]
}

/** Channels that anybody may read, each by its name, or by how its name begins: `news-*`. `*` is every channel. */
export interface PublicChannels {
  public: string | readonly string[]
}

/**
 * The channels of a mounted endpoint:
 *
 * - a name, or a list of names, for always those;
 * - `{ public: ['clock', 'news-*'] }` for those of them that the client names with `?channel=`;
 * - a function of the request and of the channels that the client names, which may be async. When it returns `false` or
 *   throws a `Forbidden`, whose message is shown to the client, the client does not come back. Any other error, and what
 *   is no decision, is logged, and the client comes back later;
 * - a `Jwt`, by which the token of a request decides, or `Tickets`, by which its ticket does.
 *
 * WARNING: without any of these, clients choose from all channels, also those of other mounts.
 */
export type Channels<Source> =
  | string | readonly string[] | PublicChannels | Jwt | Tickets
  | ((source: Source, requested: string[]) => Decision | PromiseLike<Decision>)

/** How a mount decides. */
export interface Access<Source> {
  /** The tokens that decide. */
  jwt?: Jwt
  /** The tickets that decide. */
  tickets?: Tickets
  /** The decision that is the same for every request. */
  fixed?: NativeAccess
  decide: (source: Source, requested: string[]) => NativeAccess | Promise<NativeAccess>
}

/** Makes the rules of the mounts of one `Events`, and sees whether they undo each other. */
export class AccessRules {
  readonly #logger: Logger
  #anyChannel = false
  #ownChannels = false
  #hasWarned = false

  constructor (logger: Logger) {
    this.#logger = logger
  }

  /** With `passErrors` what the function throws is thrown by `decide`. */
  of<Source> (channels: Channels<Source> | undefined, passErrors = false): Access<Source> {
    this.#compare(channels)
    if (channels === undefined) return always({ type: 'granted' })
    if (typeof channels === 'function') return { decide: deciding(channels, this.#logger, passErrors) }
    if (typeof channels === 'string' || Array.isArray(channels)) return always({ type: 'granted', channels: listOf(channels) })
    if (channels instanceof Jwt) return { jwt: channels, decide: failing }
    if (channels instanceof Tickets) return { tickets: channels, decide: failing }
    return onlyPublic((channels as PublicChannels).public)
  }

  /** A mount for any channel lets clients read what other mounts guard. */
  #compare (channels: Channels<never> | undefined): void {
    if (channels === undefined) this.#anyChannel = true
    else if (!(channels as PublicChannels).public) this.#ownChannels = true
    if (!this.#anyChannel || !this.#ownChannels || this.#hasWarned) return
    this.#hasWarned = true
    log(this.#logger, 'warn', 'a stream is mounted without channels, so that clients read any channel that they name, also those ' +
      "that other mounts of these events guard; give it those that all may read, such as { public: ['clock', 'news-*'] }, or " +
      "{ public: '*' } if that is meant")
  }
}

/** Where something else decides. */
function failing (): NativeAccess {
  return { type: 'failed', text: FAILED }
}

/** What a function may give, as a decision; throws what is none. */
export function grantOf (grant: Grant): NativeAccess {
  if (typeof grant !== 'object' || grant === null || Array.isArray(grant)) throw wrong(String(grant))
  return read(grant)
}

function always<Source> (fixed: NativeAccess): Access<Source> {
  return { fixed, decide: () => fixed }
}

function onlyPublic<Source> (names: string | readonly string[]): Access<Source> {
  const patterns = listOf(names)
  translated(() => publicRefusal(patterns, []))
  return {
    decide: (_source, requested) => {
      const text = publicRefusal(patterns, requested)
      return text === null ? { type: 'granted' } : { type: 'forbidden', text }
    }
  }
}

function deciding<Source> (
  choose: (source: Source, requested: string[]) => Decision | PromiseLike<Decision>, logger: Logger, passErrors: boolean
): Access<Source>['decide'] {
  const refuse = (error: unknown): NativeAccess => {
    if (passErrors) throw error
    if (isForbidden(error)) return { type: 'forbidden', text: error.message || REFUSED }
    log(logger, 'error', `the function that chooses the channels of a stream has failed: ${(error as Error)?.stack ?? String(error)}`)
    return { type: 'failed', text: FAILED }
  }
  const accept = (decision: Decision): NativeAccess => {
    try {
      return read(decision)
    } catch (error) {
      return refuse(error)
    }
  }
  return (source, requested) => {
    let decision
    try {
      decision = choose(source, [...requested])
    } catch (error) {
      return refuse(error)
    }
    // Of whatever library or realm the promise is.
    return isPromise(decision) ? Promise.resolve(decision).then(accept, refuse) : accept(decision)
  }
}

/** Whatever is not plainly a decision is refused: it may come from a row of a database, or from the client. */
function read (decision: Decision): NativeAccess {
  if (decision === true) return { type: 'granted' }
  if (decision === false) return { type: 'forbidden', text: REFUSED }
  if (typeof decision === 'string' || Array.isArray(decision)) return { type: 'granted', channels: listOf(decision as string | string[]) }
  if (typeof decision !== 'object' || decision === null) throw wrong(String(decision))
  const { channels, user, expiresAt, since, greet, ...more } = decision as Partial<Grant>
  const unknown = Object.keys(more)
  if (unknown.length > 0) throw wrong(`an object with ${unknown.join(', ')}`)
  if (!Object.hasOwn(decision, 'channels') || channels === undefined) throw wrong('an object without channels')
  if (user !== undefined && typeof user !== 'string') throw wrong(`a user of type ${typeof user}`)
  const granted: NativeAccess = { type: 'granted', channels: channels === true ? undefined : listOf(channels), user }
  if (expiresAt === undefined && since === undefined && greet === undefined) return granted
  const timed = { ...granted, expiresAtS: expiresAt === undefined ? undefined : secondsOf(expiresAt), since, greet: greet && eventsOf(greet) }
  if (since !== undefined && typeof since !== 'string') throw errorOf('invalid-argument', `since is a position, as events.position() gives it, not a value of type ${typeof since}`)
  translated(() => { checkAccess(timed) })
  return timed
}

function secondsOf (time: Date | number): number {
  // A Date may be of another realm.
  const seconds = typeof time === 'number' ? time : Math.floor(Number(time?.getTime?.()) / 1_000)
  if (Number.isFinite(seconds) && seconds >= 0) return Math.floor(seconds)
  throw errorOf('invalid-argument', `expiresAt takes a Date, or seconds since 1970, not ${String(time)}`)
}

function eventsOf (greet: readonly EventInput[]): NativeGreeting[] {
  if (!Array.isArray(greet)) throw errorOf('invalid-argument', `greet takes a list of events, not a value of type ${typeof greet}`)
  return greet.map(checkEvent)
}

function listOf (channels: string | readonly string[]): string[] {
  const list = typeof channels === 'string' ? [channels] : channels
  if (!Array.isArray(list) || !list.every(channel => typeof channel === 'string')) throw wrong('something else than names')
  return [...list]
}

function wrong (what: string): Error {
  return errorOf('invalid-argument', `channels are given as a string, a list of strings, true, false or an object with channels; this was ${what}`)
}

function isPromise<T> (value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | undefined | null)?.then === 'function'
}

const REFUSED = 'the stream is not allowed'
const FAILED = 'the application failed'
