//! What an application publishes.

use std::borrow::Cow;

use serde::Serialize;

use super::protocol::{KEEP_ALIVE, MAX_CHANNEL_BYTES, RESERVED_PREFIX};
use crate::error::{Error, ErrorKind, Result};

/// An event to publish: a type name, data, and optionally a `retry` and a comment.
///
/// It gets its place in the log, a [`Position`](super::Position), when it is published.
///
/// ```
/// use evstream::Event;
/// let event = Event::json(&serde_json::json!({ "text": "hi" }))?.name("message");
/// let raw = Event::text("two\nlines");
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Event<'a> {
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) data: Cow<'a, str>,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comment: Option<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// An event whose data is `data` as it is. CR, LF and CRLF each end a line, and a client sees LF between lines.
    pub fn text(data: impl Into<Cow<'a, str>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// An event whose data is `value` as JSON, so a string becomes a JSON string.
    ///
    /// Fails with `invalid-event` if the value cannot be written as JSON.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        let data = serde_json::to_string(value).map_err(|e| {
            Error::new(ErrorKind::InvalidEvent, "data cannot be written as JSON").with_source(e)
        })?;
        Ok(Self::text(data))
    }

    /// Sets the event's type. A client without a type listens on `message`.
    ///
    /// Must hold no CR, LF or NUL, must not start with `stream-` and must not be `keep-alive`; `publish` refuses it
    /// otherwise.
    pub fn name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Asks clients to wait this long, in milliseconds, before they reconnect.
    pub fn retry_ms(mut self, retry_ms: u64) -> Self {
        self.retry_ms = Some(retry_ms);
        self
    }

    /// Adds a comment, which clients ignore. Several lines become several comment lines.
    pub fn comment(mut self, comment: impl Into<Cow<'a, str>>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// The same event, with texts of its own.
    pub fn to_static(&self) -> Event<'static> {
        let own =
            |text: &Option<Cow<'_, str>>| text.as_ref().map(|text| Cow::Owned(text.clone().into_owned()));
        Event {
            name: own(&self.name),
            data: Cow::Owned(self.data.clone().into_owned()),
            retry_ms: self.retry_ms,
            comment: own(&self.comment),
        }
    }

    /// What its texts take.
    pub(crate) fn bytes(&self) -> usize {
        let of = |text: &Option<Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
        self.data.len() + of(&self.name) + of(&self.comment)
    }

    /// Refuses what cannot be written as one server-sent event, or is larger than `max_bytes` (data and comment).
    pub fn check(&self, max_bytes: usize) -> Result<()> {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        let bytes = self.data.len() + self.comment.as_ref().map_or(0, |comment| comment.len());
        if bytes > max_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the event has {bytes} bytes of data; at most {max_bytes} are allowed (max_event_bytes)"
                ),
            ));
        }
        Ok(())
    }
}

/// Refuses a channel name that is empty, longer than 256 bytes, or holds a control character.
pub fn check_channel(name: &str) -> Result<()> {
    let text = if name.is_empty() {
        "a channel name must not be empty".to_owned()
    } else if name.len() > MAX_CHANNEL_BYTES {
        format!("a channel name may have {MAX_CHANNEL_BYTES} bytes at most, this one has {}", name.len())
    } else if let Some(c) = name.chars().find(|c| c.is_control()) {
        format!("a channel name must not hold control characters, this one has U+{:04X}", c as u32)
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidChannel, text))
}

fn check_name(name: &str) -> Result<()> {
    let text = if let Some(c) = name.chars().find(|c| matches!(c, '\r' | '\n' | '\0')) {
        format!("an event name must not hold CR, LF or NUL, this one has U+{:04X}", c as u32)
    } else if name.starts_with(RESERVED_PREFIX) {
        format!("event names that start with '{RESERVED_PREFIX}' are reserved")
    } else if name == KEEP_ALIVE {
        format!("the event name '{KEEP_ALIVE}' is reserved")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidEvent, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_injection_is_refused() {
        for name in ["a\nb", "a\r", "\0", "stream-open", "stream-", "keep-alive"] {
            let error = Event::text("x").name(name).check(100).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{name:?}");
        }
        assert!(Event::text("x").name("streams").check(100).is_ok());
    }

    #[test]
    fn size_is_bounded() {
        assert!(Event::text("12345").check(5).is_ok());
        assert_eq!(Event::text("123456").check(5).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn channel_names() {
        for name in ["a", "a b", "ü", "a/b?c&d=%20", &"x".repeat(256)] {
            assert!(check_channel(name).is_ok(), "{name:?}");
        }
        for name in ["", "a\n", "\u{7f}", "\u{85}", &"x".repeat(257)] {
            assert_eq!(check_channel(name).unwrap_err().kind(), ErrorKind::InvalidChannel, "{name:?}");
        }
    }

    #[test]
    fn a_string_as_json_is_quoted() {
        assert_eq!(Event::json("a\"b").unwrap().data, "\"a\\\"b\"");
    }
}
