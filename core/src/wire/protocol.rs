//! The words of the protocol. Every language and every test takes them from here.

/// Media type of a stream (WHATWG HTML 9.2.3).
pub const CONTENT_TYPE: &str = "text/event-stream";

/// Reserved start of the event names below; an application cannot publish a name that begins with it.
pub const RESERVED_PREFIX: &str = "stream-";

/// First event of every connection.
pub const STREAM_OPEN: &str = "stream-open";
/// Tells that events may have been lost.
pub const STREAM_RESET: &str = "stream-reset";
/// Tells that the stream cannot go on, and that coming back would not help.
pub const STREAM_ERROR: &str = "stream-error";
/// Sent when nothing else was sent for a while.
pub const KEEP_ALIVE: &str = "keep-alive";

/// The `id` of a `stream-error`. A client that comes back with it gets a 400, which stops a browser.
pub const ERROR_ID: &str = "error";

/// Query parameter that names a channel; may be repeated.
pub const CHANNEL_PARAMETER: &str = "channel";
/// Query parameters that stand in for the `Last-Event-ID` header, which some clients cannot set.
pub const LAST_EVENT_ID_PARAMETERS: [&str; 3] = ["lastEventId", "last_event_id", "last-event-id"];
/// Header in which a client gives the last position it has seen (WHATWG HTML 9.2.4).
pub const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// Longest channel name, in bytes of UTF-8.
pub const MAX_CHANNEL_BYTES: usize = 256;
