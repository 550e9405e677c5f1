//! What processes tell each other through a journal: which streams are to end.

use serde::{Deserialize, Serialize};

use super::{
    notice::{CloseNotice, LastWords},
    who::Who,
};

/// Which streams are to end, and how, as it stands in a journal.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    /// The process that has ended its own streams already.
    pub(crate) from: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    /// Absent when clients are to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    forbidden: Option<String>,
}

impl Order {
    pub(crate) fn new(from: u32, who: &Who, forbidden: Option<&str>) -> Self {
        let Who { user, channel, stream, .. } = who.clone();
        Self { from, user, channel, stream, forbidden: forbidden.map(str::to_owned) }
    }

    /// `None`, and a word in the log, when it is not understood.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let order = serde_json::from_str(text);
        order
            .inspect_err(|error| tracing::warn!(%error, "the journal has an order that is not understood"))
            .ok()
    }

    /// Whom it means, and what they are told.
    pub(crate) fn into_parts(self) -> (Who, LastWords) {
        let Self { user, channel, stream, forbidden, .. } = self;
        let everyone = user.is_none() && channel.is_none() && stream.is_none();
        (Who { user, channel, stream, everyone }, LastWords::asked_for(forbidden.as_deref()))
    }
}

impl LastWords {
    /// That the client is not to come back, as this text says; or that the application is to decide anew.
    pub(crate) fn asked_for(forbidden: Option<&str>) -> Self {
        forbidden.map_or_else(|| CloseNotice::Reauthorize.into(), |text| Self::Forbidden(text.into()))
    }
}
