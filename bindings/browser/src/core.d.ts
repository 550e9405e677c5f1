// One stream for each client, without what tabs share.

/** Why a stream waits or has ended. */
export interface StreamError extends Error {
  /**
   * - `network`, `offline`, `silent` (nothing came for `silentMs`), `token` (`token()` failed, or took 10 s): it comes back by itself.
   * - `http`: an answer that is no stream, see `status`; it comes back by itself after 408, 425, 429 and 5xx.
   * - `ended` (204), `not-a-stream` (such as the page of a login), `too-large` (over `maxLength`), and the condition of a `stream-error`,
   *   such as `forbidden`: the end.
   */
  code: 'network' | 'offline' | 'silent' | 'token' | 'http' | 'ended' | 'not-a-stream' | 'too-large' | 'forbidden' | 'bad-request' | (string & {})
  /** Of HTTP, where there is one. */
  status?: number
}

/** An event, as listeners get it. */
export interface ReceivedEvent<T = unknown> {
  /** Its type; `message` when it was published without one. */
  readonly event: string
  /** Its value; undefined where its text is not JSON. */
  readonly data: T
  /** Its text as it was sent. */
  readonly text: string
  /** Its place, by which a stream goes on after it; empty where the server gives none. */
  readonly position: string
}

/**
 * - `connecting`: a request is under way.
 * - `open`: the stream is there.
 * - `stale`: nothing has come for `silentMs`, as when a proxy holds bytes back; it tries again.
 * - `waiting`: the stream has ended, and comes back by itself.
 * - `paused`: the same while the network is away, or the page is kept for the way back.
 * - `closed`: it does not come back by itself.
 */
export type Status = 'connecting' | 'open' | 'stale' | 'waiting' | 'paused' | 'closed'

/** What is the same object until something in it changes. */
export interface Snapshot {
  readonly status: Status
  /** Why it waits or has ended; undefined while all is well and after `close()`. */
  readonly error: StreamError | undefined
  /** Whether this tab reads the stream itself. */
  readonly leader: boolean
}

export interface CoreOptions {
  /** Channels to read, where the server lets clients choose: `channel` parameters of the URL. */
  channels?: readonly string[]
  /** Sent with each request. */
  headers?: Record<string, string> | Headers | Array<[string, string]>
  /** Gives a token for `Authorization: Bearer`, asked for before each request. Has 10 s. */
  token?: () => string | Promise<string>
  /** As that of `fetch`. */
  credentials?: RequestCredentials
  /** Begins after this position, such as that of a snapshot which the page was made from. */
  since?: string
  /** Used in place of the global one. */
  fetch?: typeof fetch
  /** So long nothing may come, not even a keep-alive, before the stream is taken for dead. Default 50,000, which is 2.5 keep-alives; 0: for ever. */
  silentMs?: number
  /** Longest event in characters, 2,097,152 by default. */
  maxLength?: number
}

export interface Client extends Snapshot {
  /** The position of what was seen last; empty at first. */
  readonly position: string
  /**
   * Calls the listener for each event of that name; `'*'` for all but the server's own notices, of which it includes `stream-reset`: events
   * may have been missed, load anew. Gives a function that ends it. What a listener throws is reported, and stops nothing.
   */
  on<T = any>(name: string, listener: (event: ReceivedEvent<T>) => void): () => void
  /** Calls the watcher when the snapshot has changed, and gives a function that ends it: with `getSnapshot` for React's useSyncExternalStore. */
  subscribe(watcher: () => void): () => void
  getSnapshot(): Snapshot
  /** Tries at once, from where it was, even where the stream was closed by the server. */
  reconnect(): void
  /** Ends it for good, in this tab. */
  close(): void
}

/**
 * Opens a stream, which resumes where it was until it is closed. Throws a TypeError for what cannot be right: a URL that is not http(s), no
 * channel, an unknown option.
 */
export function connect(url: string | URL, options?: CoreOptions): Client

/**
 * The events of a client, as `'*'` has them, for `for await`. Ends with the client; throws its error. A loop that is 1,000 events behind gets a
 * `stream-reset` in place of them.
 */
export function eventsOf<T = any>(client: Client): AsyncGenerator<ReceivedEvent<T>, void, undefined>
