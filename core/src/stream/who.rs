//! Which streams are meant.

use super::live::Stream;
use crate::error::{Error, ErrorKind, Result};

/// Which streams are meant: those that have all of its parts. One part at least must be named, or
/// [`everyone`](Self::everyone) be said.
///
/// ```
/// use evstream::Who;
/// let of_bob = Who::new().user("bob");
/// let of_bob_in_the_room = Who::new().user("bob").channel("room-1");
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[must_use]
pub struct Who {
    pub(crate) user: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) stream: Option<String>,
    pub(crate) everyone: bool,
}

impl Who {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every stream there is.
    pub fn everyone() -> Self {
        Self { everyone: true, ..Self::default() }
    }

    /// Streams of the user of that name, as [`Access::user`](crate::Access::user) has named them.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Streams that read the channel of that name, among others perhaps.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// The stream with that [id](Stream::id).
    pub fn stream(mut self, id: impl Into<String>) -> Self {
        self.stream = Some(id.into());
        self
    }

    /// Fails with `invalid-argument` when nobody is named: all streams are never meant by an oversight.
    pub(crate) fn check(&self) -> Result<()> {
        let named = [&self.user, &self.channel, &self.stream];
        if named.into_iter().flatten().any(String::is_empty) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a user, channel or stream must not be empty",
            ));
        }
        if self.everyone || named.into_iter().any(Option::is_some) {
            return Ok(());
        }
        let text = "whose streams? name a user, a channel or a stream, or say that everyone is meant";
        Err(Error::new(ErrorKind::InvalidArgument, text))
    }

    /// Whether a stream is meant.
    pub(crate) fn fits(&self, stream: &Stream) -> bool {
        self.fits_parts(stream.user(), |name| stream.channels().any(|channel| channel == name))
            && self.stream.as_ref().is_none_or(|id| *id == stream.id())
    }

    /// Whether a stream that is about to be opened would be meant. It has no id that anyone knows.
    pub(crate) fn fits_new(&self, user: Option<&str>, channels: &[String]) -> bool {
        self.stream.is_none() && self.fits_parts(user, |name| channels.iter().any(|channel| channel == name))
    }

    fn fits_parts(&self, user: Option<&str>, reads: impl Fn(&str) -> bool) -> bool {
        self.user.as_deref().is_none_or(|name| user == Some(name))
            && self.channel.as_deref().is_none_or(reads)
    }
}
