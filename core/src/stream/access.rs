//! What the application says of a request for a stream.

/// Whether a client gets a stream, and of which channels.
///
/// ```
/// use evstream::Access;
/// let own_choice = Access::allow(); // the channels the client names with `?channel=`
/// let fixed = Access::channels(["room-1"]).user("bob");
/// let none = Access::forbid("please log in");
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    pub(crate) forbidden: Option<(super::Condition, String)>,
    pub(crate) channels: Option<Vec<String>>,
    pub(crate) user: Option<String>,
}

impl Access {
    /// The channels that the client names in the query.
    pub fn allow() -> Self {
        Self::default()
    }

    /// These channels, whatever the client asks for.
    pub fn channels(channels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { channels: Some(channels.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// No stream: the client is told `forbidden` with this text, and does not come back.
    pub fn forbid(text: impl Into<String>) -> Self {
        Self { forbidden: Some((super::Condition::Forbidden, text.into())), ..Self::default() }
    }

    /// No stream, because the application failed: the client is told `internal-error` with this text.
    pub fn fail(text: impl Into<String>) -> Self {
        Self { forbidden: Some((super::Condition::InternalError, text.into())), ..Self::default() }
    }

    /// Names the user behind the stream.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
}
