// The native half: where it is, and what it offers. Same names and order as in native/*.rs.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { platformPackage } from './platform'

export interface NativeRequest {
  method: string
  target: string
  headers: string[]
  address?: string
}

export interface NativeAccess {
  channels?: string[]
  user?: string
  forbidden?: string
  failed?: string
}

export interface NativeReply {
  status: number
  headers: string[]
  body: Buffer
  stream?: NativeStream
}

export interface NativeStream {
  adopt(fd: number, chunked: boolean): void
  pull(id: number): NativePull
  close(reason: CloseReason): void
}

export interface NativePull {
  take(): string | null | undefined
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
  position: string
  streams: number
  ticket?: NativeTicket
}

export interface NativeTicket {
  results(id: number): NativeResult[] | null
}

export interface NativeResult {
  proxy: string
  error?: string
}

export interface NativeMount {
  path: string
  channels?: string[]
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
  failure?: { proxy: string, channel: string, position: string, error: string }
  record?: { level: string, message: string }
  ask?: { id: number, mount: number, request: NativeRequest }
}

export interface NativeEvents {
  fetch(): { wakes: number[], news: News[], lost: number }
  listen(listening: boolean): void
  publish(channel: string, data: string, name?: string, retryMs?: number, comment?: string): NativeReceipt
  screen(request: NativeRequest): NativeReply | null
  open(request: NativeRequest, access: NativeAccess): NativeReply
  subscribe(channels: string[], id: number): NativeSubscription
  streams(channel: string): number
  stats(): Stats
  close(timeoutMs: number, id: number): void
  closed(): number | null
  serve(address: string, mounts: NativeMount[]): NativeServer
}

/** A client's stream. */
export interface StreamInfo {
  channels: string[]
  /** The user whom the application named. */
  user?: string
  /** The client's address, where it is known. */
  address?: string
}

/** Why a stream ended. */
export type CloseReason = 'client' | 'write-timeout' | 'slow' | 'max-age' | 'shutdown' | 'dropped'

/** Figures of an `Events` at one moment; counts are since it came to be. */
export interface Stats {
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
  /** Requests refused because of `maxStreams` or `maxStreamsPerAddress`. */
  refused: number
  /** Streams handed over to a GRIP proxy. */
  held: number
  /** Answers to proxies that asked for what they may have missed. */
  repairs: number
  /** Requests refused because of their `Grip-Sig` or link. */
  gripRefused: number
  /** Events that a GRIP proxy did not get. */
  publishFailures: number
  /** Channels in memory now. */
  channels: number
  /** Events published. */
  events: number
  /** Bytes of history now. */
  historyBytes: number
}

type Given = boolean | number | string | string[]

interface Native {
  NativeEvents: new (names: string[], values: Given[], callback: () => void, logLevel?: string) => NativeEvents
  isLink(target: string): boolean
}

export const { NativeEvents: NativeEventsClass, isLink } = load()

/** The library built here, or the prebuilt one for this platform. */
function load (): Native {
  const built = join(__dirname, '..', 'evstream.node')
  if (existsSync(built)) return require(built) as Native
  const name = platformPackage()
  try {
    return require(name) as Native
  } catch (cause) {
    throw new Error(
      `evstream cannot load its native library. Either ${name} is not installed: npm leaves it out with --omit=optional, ` +
      'or when a lockfile made on another platform does not name it. Or a bundler has taken evstream along and must leave it ' +
      "out, such as Next.js with serverExternalPackages: ['evstream']. Or there is none for this platform: then install " +
      'evstream from its source, with Rust (https://rustup.rs): npm install <repository>/bindings/node', { cause })
  }
}
