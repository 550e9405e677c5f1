//! The words of the protocol. Every language and every test takes them from here.

/// Media type of a stream (WHATWG HTML 9.2.3).
pub const CONTENT_TYPE: &str = "text/event-stream";

/// Media type of metrics in Prometheus' own format, which has the version 0.0.4.
pub const METRICS: &str = "text/plain";
/// Media type of metrics in `OpenMetrics`, which has the version 1.0.0.
pub const OPENMETRICS: &str = "application/openmetrics-text";
/// Media type of health.
pub const JSON: &str = "application/json";

/// Reserved start of the event names below; an application cannot publish a name that begins with it.
pub const RESERVED_PREFIX: &str = "stream-";

/// First event of every connection.
pub const STREAM_OPEN: &str = "stream-open";
/// Tells that events may have been lost.
pub const STREAM_RESET: &str = "stream-reset";
/// Tells that the stream cannot go on, and that coming back would not help.
pub const STREAM_ERROR: &str = "stream-error";
/// Last event of a stream that the server ends though its client is to come back.
pub const STREAM_CLOSE: &str = "stream-close";
/// Sent when nothing else was sent for a while.
pub const KEEP_ALIVE: &str = "keep-alive";

/// The `id` of a `stream-error`. A client that comes back with it gets a 400, which stops a browser.
pub const ERROR_ID: &str = "error";
/// The `retry` of a `stream-error`, a day in milliseconds: several clients go on after a 400, and they heed this.
pub const ERROR_RETRY_MS: u64 = 86_400_000;

/// The `id` that stands for a position that was none of ours: whoever comes back with it is told of the gap again.
pub const UNKNOWN_ID: &str = "unknown";

/// Query parameter that names a channel; may be repeated.
pub const CHANNEL_PARAMETER: &str = "channel";
/// The query parameter with the ticket that decides who may read what.
pub const TICKET_PARAMETER: &str = "ticket";
/// Begins every ticket.
pub const TICKET_MARKER: &str = "evt1-";
/// The `WWW-Authenticate` of a refusal for want of a ticket. No scheme of anybody's, so that no browser asks for a password.
pub const TICKET_CHALLENGE: &str = "evstream-ticket";
/// Query parameters that stand in for the `Last-Event-ID` header, which some clients cannot set.
pub const LAST_EVENT_ID_PARAMETERS: [&str; 3] = ["lastEventId", "last_event_id", "last-event-id"];
/// Header in which a client gives the last position it has seen (WHATWG HTML 9.2.4).
pub const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// Longest text that tells a client why it is disconnected, in bytes of UTF-8.
pub const MAX_REASON_BYTES: usize = 1_024;

/// Longest channel name, in bytes of UTF-8.
pub const MAX_CHANNEL_BYTES: usize = 256;

/// Begins the name of a user's own channel, which the name of the user follows. No client can open one by naming it.
pub const USER_CHANNEL_PREFIX: &str = "@user/";

/// Header in which a GRIP proxy signs every request it passes on.
pub const GRIP_SIG_HEADER: &str = "grip-sig";
/// Header in which a GRIP proxy says what it has last seen of a channel.
pub const GRIP_LAST_HEADER: &str = "grip-last";
/// Header that tells a GRIP proxy to hold the response open.
pub const GRIP_HOLD_HEADER: &str = "Grip-Hold";
/// Header that tells a GRIP proxy to which channels a held response is subscribed.
pub const GRIP_CHANNEL_HEADER: &str = "Grip-Channel";
/// Header that tells a GRIP proxy what to send on a quiet stream.
pub const GRIP_KEEP_ALIVE_HEADER: &str = "Grip-Keep-Alive";
/// Header that tells a GRIP proxy where to ask for what it missed.
pub const GRIP_LINK_HEADER: &str = "Grip-Link";
/// Header with values that the filters of a GRIP proxy use.
pub const GRIP_SET_META_HEADER: &str = "Grip-Set-Meta";

/// Default of what is put before the name of every channel on a GRIP proxy.
pub const DEFAULT_GRIP_PREFIX: &str = "events-";
/// What a control URI is followed by to publish.
pub const PUBLISH_PATH: &str = "/publish/";
/// Largest body that a GRIP proxy accepts in one publish request, in bytes.
pub const MAX_PUBLISH_BYTES: usize = 1_000_000;
/// Most channels of one held response; a GRIP proxy silently ignores those beyond.
pub const MAX_HOLD_CHANNELS: usize = 20;
