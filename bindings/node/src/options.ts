// Written by scripts/options.mjs from the settings of the core at each build. Change them there.

/** Settings of an `Events`. Values out of range are refused with `invalid-config`. */
export interface Settings {
  /** Events each channel keeps for clients that come back. 0 turns history off: then a client that missed an event is told so with a `stream-reset`. Default: 1_000. From 0 to 10000000. */
  historyEvents?: number
  /** How long an event is kept, in milliseconds. Default: 300_000. From 1 to 86400000. */
  historyAgeMs?: number
  /** Bytes that all channels together keep; the oldest events of all channels make room first. The newest event is kept whatever its size. Default: 67_108_864. From 4096 to 1099511627776. */
  historyBytes?: number
  /** Events a channel with open streams keeps at least, which is how far a slow stream may fall behind. Default: 16_384. From 1 to 10000000. */
  backlogEvents?: number
  /** Channels one stream may have; 19 at most with a GRIP proxy. Default: 10. From 1 to 1000. */
  channelLimit?: number
  /** Largest event, in bytes of data and comment. Default: 1_048_576. From 1 to 1073741824. */
  maxEventBytes?: number
  /** Milliseconds without an event after which a `keep-alive` is sent. 0 turns keep-alives off. Default: 20_000. From 0 to 3600000. */
  keepAliveMs?: number
  /** Sends keep-alives as a comment, which a page does not see, instead of a `keep-alive` event. Default: false. */
  keepAliveComment?: boolean
  /** Milliseconds in which a client's socket must accept at least one byte before the stream is closed. Default: 30_000. From 10 to 3600000. */
  writeTimeoutMs?: number
  /** What a stream that has fallen behind the backlog gets: `reset` tells it and goes on, `close` closes it so that the client comes back. Default: reset. */
  slowClient?: 'reset' | 'close'
  /** Milliseconds after which a stream is closed so that the client comes back; up to a tenth is added at random. 0 lets streams live for ever. Default: 0. From 0 to 604800000. */
  maxAgeMs?: number
  /** Milliseconds a client is asked to wait when the server closes its stream; up to as much again is added, another part of it for each client, so that they do not come back all at once. Default: 2_000. From 0 to 3600000. */
  retryMs?: number
  /** Streams open at once; one more is answered with 503. 0 sets no limit. Default: 0. From 0 to 100000000. */
  maxStreams?: number
  /** Streams open at once from one client address, or from one /64 network of IPv6; one more is answered with 429. 0 sets no limit. Default: 0. From 0 to 100000000. */
  maxStreamsPerAddress?: number
  /** Origins that may read streams across sites: exact, as browsers send them, such as `https://example.com`, or `*` for any. */
  corsOrigins?: string | readonly string[]
  /** Lets pages of those origins send cookies. WARNING: with `*` any site can then read what its visitors may read. Default: false. */
  corsCredentials?: boolean
  /** Request headers those pages may set besides `Last-Event-ID` and `Cache-Control`. */
  corsHeaders?: string | readonly string[]
  /** GRIP proxies, as `GRIP_URL` has them: `http://localhost:5561?key=...`. Streams of requests that come through one are handed over to it, and events are published to all. */
  grip?: string | readonly string[]
  /** The key that verifies the `Grip-Sig` of requests, for proxies whose URL has none: text, `base64:`, PEM or JWK. */
  gripVerifyKey?: string
  /** Put before the name of every channel on the proxies. Default: events-. */
  gripPrefix?: string
  /** Answers requests that did not come through a proxy with 501. Default: false. */
  gripRequired?: boolean
  /** Believes any `Grip-Sig` where no key can verify it. Only safe when clients cannot reach the application itself. Default: false. */
  gripTrustUnverified?: boolean
  /** Milliseconds after which a proxy asks for what it may have missed, which bounds how late a lost event comes. Default: 45_000. From 1000 to 3600000. */
  gripLinkTimeoutMs?: number
  /** Milliseconds for which a stream at a proxy is repaired without asking the application again. Default: 86_400_000. From 60000 to 2592000000. */
  gripLinkLifetimeMs?: number
  /** The secret that signs links, 16 bytes or more, the same in all processes; derived from the keys of the proxies when it is not set. */
  gripLinkSecret?: string
  /** Events that may wait for one proxy; one more fails with `queue-full`. Default: 10_000. From 1 to 10000000. */
  gripQueueEvents?: number
  /** Milliseconds for which delivering an event to a proxy is tried. Default: 10_000. From 100 to 3600000. */
  gripDeadlineMs?: number
  /** Threads that write to sockets. 0 means one per two processors, at least one. Default: 0. From 0 to 256. */
  shards?: number
  /** Threads that accept connections and read requests. 0 means one per two processors, at least one. Default: 0. From 0 to 256. */
  serverThreads?: number
  /** Milliseconds in which a client must send a whole request head. Default: 10_000. From 10 to 3600000. */
  headerTimeoutMs?: number
  /** Largest request head, in bytes, its first line included. Default: 16_384. From 8192 to 1048576. */
  maxHeaderBytes?: number
  /** Largest request target (path and query), in bytes; a longer one is answered with 414. Default: 8_192. From 64 to 65534. */
  maxUrlBytes?: number
  /** Largest request body that a server's fallback is given, in bytes; a larger one is answered with 413. Default: 1_048_576. From 0 to 1073741824. */
  maxBodyBytes?: number
  /** Milliseconds in which a client must send a whole request body. Default: 30_000. From 10 to 3600000. */
  bodyTimeoutMs?: number
}
