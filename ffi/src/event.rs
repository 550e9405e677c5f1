//! Publishing

use std::mem::MaybeUninit;

use evstream::Event;

use crate::{cast, error::Result, status::evs_status, text::evs_str};

/// An event to publish. Start with EVS_EVENT_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_event {
    /// sizeof(evs_event).
    pub struct_size: usize,
    /// Its type, which a page listens for; NULL for none, which browsers take as "message". It must not contain CR, LF
    /// or NUL, nor begin with "stream-".
    pub name: evs_str,
    /// Its data, sent as it is. CR, LF and CRLF each end a line; clients see LF between lines.
    pub data: evs_str,
    /// A comment, which clients ignore; NULL for none.
    pub comment: evs_str,
    /// How long clients should wait before they reconnect, in milliseconds, if has_retry is true.
    pub retry_ms: u64,
    /// Whether retry_ms is sent.
    pub has_retry: MaybeUninit<bool>,
}

/// The event that a caller describes.
pub(crate) fn event<'a>(given: *const evs_event) -> Result<Event<'a>> {
    let evs_event { struct_size: _, name, data, comment, retry_ms, has_retry } = cast::read_sized(given)?;
    let text = |view: evs_str, name| cast::text_or(evs_status::InvalidEvent, view.ptr, view.len, name);
    let mut event = Event::text(text(data, "data")?);
    if !name.ptr.is_null() || name.len > 0 {
        event = event.name(text(name, "name")?);
    }
    if !comment.ptr.is_null() || comment.len > 0 {
        event = event.comment(text(comment, "comment")?);
    }
    if cast::truth(has_retry) {
        event = event.retry_ms(retry_ms);
    }
    Ok(event)
}
