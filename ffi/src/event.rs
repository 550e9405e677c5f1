//! Events

use evstream::Event;

use crate::{cast, error::Result, text::evs_str};

/// What is published: an event of a type, with data. Start with EVS_EVENT_INIT.
///
/// The library copies what it needs before the function that is given it returns.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_event {
    /// sizeof(evs_event).
    pub struct_size: usize,
    /// Its type, which a browser listens on. Empty for none, which browsers take as "message". It holds no CR, LF or
    /// NUL and does not begin with "stream-".
    pub name: evs_str,
    /// Its data: UTF-8, sent as it is. CR, LF and CRLF each end a line, and a client sees LF between lines.
    pub data: evs_str,
    /// A comment, which clients ignore. Empty for none.
    pub comment: evs_str,
    /// How long clients should wait before they reconnect, in milliseconds. 0 does not say.
    pub retry_ms: u64,
}

/// The event that a caller describes.
pub(crate) fn event<'a>(given: *const evs_event) -> Result<Event<'a>> {
    let evs_event { struct_size: _, name, data, comment, retry_ms } = cast::read_sized(given)?;
    let text = |view: evs_str, name| cast::text(view.ptr, view.len, name);
    let mut event = Event::text(text(data, "data")?);
    if name.len > 0 {
        event = event.name(text(name, "name")?);
    }
    if comment.len > 0 {
        event = event.comment(text(comment, "comment")?);
    }
    if retry_ms > 0 {
        event = event.retry_ms(retry_ms);
    }
    Ok(event)
}
