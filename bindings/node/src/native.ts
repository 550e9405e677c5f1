// What the native half offers. Same names and order as in native/*.rs.

import { loadLibrary } from './library'

export interface NativeRequest {
  method: string
  target: string
  headers: string[]
  address?: string
}

/** What the application says of a request. */
export type NativeAccess =
  | { type: 'granted', channels?: string[], user?: string, expiresAtS?: number, since?: string, greet?: NativeGreeting[] }
  | { type: 'forbidden', text: string }
  | { type: 'failed', text: string }

/** An event for one client: the text that `publish` takes, and the rest of it. */
export interface NativeGreeting {
  text: string
  name?: string
  retryMs?: number
  comment?: string
}

export interface NativeReply {
  status: number
  headers: string[]
  body: Buffer
  stream?: NativeStream
}

/** One of the two is there. */
export interface NativeScreened {
  reply?: NativeReply
  asked?: NativeAsked
}

export interface NativeAsked {
  /** The channels that the client names. */
  channels(): string[]
  /** The client's address, as trusted proxies say. */
  address(): string | null
}

export interface NativeStream {
  adopt(fd: number, chunked: boolean): void
  pull(id: number): NativePull
  close(reason: CloseReason): void
}

export interface NativePull {
  take(): string | null | undefined
  timedOut(): boolean
  writeTimeoutMs(): number
  finish(): string | null
  close(reason: CloseReason): void
}

export interface NativeSubscription {
  take(max: number): { messages: NativeMessage[], ended: boolean }
  close(): void
}

export interface NativeMessage {
  channel?: string
  name?: string
  text?: string
  channels?: string[]
  position: string
}

export interface NativeReceipt {
  position?: string
  streams: number
  ticket?: NativeTicket
}

export interface NativeTicket {
  results(id: number): NativeResult[] | null
  position(): string | null
}

export interface NativeEnded {
  told(id: number): boolean | null
}

export interface NativeResult {
  proxy: string
  error?: string
}

export interface NativeJwtOptions {
  keys: string[]
  issuer?: string
  audiences: string[]
  cookie?: string
}

export interface NativeJwt {}

export interface NativeTickets {
  name: string
  openWithinS?: number
  lastsS?: number
}

export interface NativeMount {
  path: string
  kind?: 'metrics' | 'health'
  access?: NativeAccess
  jwt?: NativeJwtOptions
  tickets?: NativeTickets
  ask?: number
}

export interface NativeServer {
  host(): string
  port(): number
  answer(id: number, access: NativeAccess): void
  close(timeoutMs: number, id: number): void
}

export interface News {
  kind: 'open' | 'close' | 'publishError' | 'log' | 'ask'
  stream?: StreamInfo
  reason?: CloseReason
  failure?: { proxy?: string, channel: string, position?: string, error: string }
  record?: { level: string, message: string }
  ask?: { id: number, mount: number, request: NativeRequest, requested: string[] }
}

export interface NativeEvents {
  fetch(): { wakes: number[], news: News[], lost: number }
  listen(listening: boolean): void
  userChannel(user: string): string
  publish(channel: string, data: string, name?: string, retryMs?: number, comment?: string): NativeReceipt
  screen(request: NativeRequest): NativeScreened
  open(asked: NativeAsked, access: NativeAccess): NativeReply
  openRequest(request: NativeRequest, access: NativeAccess): NativeReply
  openByToken(asked: NativeAsked, request: NativeRequest, jwt: NativeJwt): NativeReply
  openByTicket(asked: NativeAsked, request: NativeRequest, tickets: NativeTickets): NativeReply
  ticket(tickets: NativeTickets, access: NativeAccess): string
  tune(fd: number): void
  reopen(user: string | undefined, channel: string | undefined, stream: string | undefined, everyone: boolean): NativeEnded | null
  disconnect(
    text: string, user: string | undefined, channel: string | undefined, stream: string | undefined, everyone: boolean
  ): NativeEnded | null
  list(user: string | undefined, channel: string | undefined, stream: string | undefined, everyone: boolean): OpenStream[]
  users(channel: string): string[]
  subscribe(channels: string[], id: number): NativeSubscription
  streams(channel: string): number
  position(): string
  metrics(openmetrics: boolean): string
  families(): NativeFamily[]
  health(): NativeHealth
  stats(): NativeStats
  close(timeoutMs: number, id: number): void
  closed(id: number): { ended: boolean, undelivered: number } | null
  release(): void
  serve(address: string, mounts: NativeMount[]): NativeServer
}

/** What closing has come to. */
export interface Closed {
  /** Whether everything has ended. If not, it goes on in the background, and closing again waits on. */
  ended: boolean
  /** Events that GRIP proxies did not get, each counted once per proxy. */
  undelivered: number
}

/** A client's stream. */
export interface StreamInfo {
  /** What `reopen` and `disconnect` take as `stream`; no other stream has it. */
  id: string
  channels: string[]
  /** The user whom the application named. */
  user?: string
  /** The client's address, where it is known. */
  address?: string
}

/** A stream that is open. */
export interface OpenStream {
  /** What `reopen` and `disconnect` take as `stream`. */
  id: string
  channels: string[]
  /** The user whom the application named. */
  user?: string
  /** The client's address, where it is known. */
  address?: string
  /** The place of the last event that it was given. */
  position: string
  /** How long it has been open, in milliseconds. */
  ageMs: number
  /** Events of its channels that it was not given yet, of those that are kept: above 0 for long, its client is too slow. */
  behind: number
}

/** Why a stream ended. */
export type CloseReason = 'client' | 'write-timeout' | 'slow' | 'max-age' | 'shutdown' | 'dropped'
  | 'expired' | 'reauthorize' | 'replaced' | 'disconnected'

/** Figures of a journal, as this process sees it. */
export interface JournalStats {
  /** Whether it can be reached, as far as is known. */
  connected: boolean
  /** Milliseconds that the last event took from its place in the journal to here. */
  lagMs: number
  /** Times that the journal was followed from another beginning: 1 after the start. */
  epochs: number
  /** Events of this process that wait to be appended. */
  waiting: number
  /** Events of this process that were not appended. */
  failed: number
}

/** Whether a process can serve. */
export interface NativeHealth {
  /** Whether new clients should be sent to it. */
  ready: boolean
  /** Whether it can still recover by itself, or should be started anew. */
  live: boolean
  /** What is wrong, in words for people; also what does not keep clients away. */
  problems: string[]
}

/** A metric. */
export interface NativeFamily {
  name: string
  help: string
  kind: 'counter' | 'gauge' | 'histogram' | 'info'
  samples: NativeSample[]
}

/** A value of a metric. */
export interface NativeSample {
  /** The name in full. */
  name: string
  labels: Record<string, string>
  value: number
}

/** The figures of the core. */
export interface NativeStats {
  /** Streams open now. */
  open: number
  /** Streams opened. */
  opened: number
  /** Streams closed, by reason. */
  closed: Record<CloseReason, number>
  /** Events handed to streams, each counted once per stream. */
  deliveries: number
  /** Bytes handed to streams, framing included. */
  bytes: number
  /** `stream-reset` events, by reason. */
  resets: Record<'expired' | 'overflow' | 'epoch', number>
  /** Requests refused because of `maxStreams`, `maxStreamsPerAddress` or `maxStreamsPerUser`. */
  refused: number
  /** Connections of servers made with `serve` that have no stream now: their requests are read or answered. */
  connections: number
  /** Connections closed unread because of `maxConnections`, `maxConnectionsPerAddress` or `proxyProtocol`. */
  connectionsRefused: number
  /** Streams handed over to a GRIP proxy. */
  held: number
  /** Answers to proxies that asked for what they may have missed. */
  repairs: number
  /** Requests refused because of their `Grip-Sig` or link. */
  gripRefused: number
  /** Requests refused because of their tokens or tickets; see `Jwt` and `Tickets`. */
  tokensRefused: number
  /** Times that keys of tokens could not be fetched. */
  keyFailures: number
  /** Events that a GRIP proxy did not get. */
  publishFailures: number
  /** Channels in memory now. */
  channels: number
  /** Events published. */
  published: number
  /** Bytes of history now. */
  historyBytes: number
  /** Figures of the journal, where there is one. */
  journal?: JournalStats
}

type Given = boolean | number | string | string[]

interface Native {
  NativeEvents: new (names: string[], values: Given[], callback: () => void, logLevel?: string) => NativeEvents
  NativeJwt: new (options: NativeJwtOptions) => NativeJwt
  checkAccess(access: NativeAccess): void
  checkTickets(tickets: NativeTickets): void
  publicRefusal(channels: string[], requested: string[]): string | null
  isLink(target: string): boolean
  LINK_MARKER: string
}

export const { NativeEvents: NativeEventsClass, NativeJwt: NativeJwtClass, checkAccess, checkTickets, publicRefusal, isLink, LINK_MARKER } = loadLibrary() as Native
