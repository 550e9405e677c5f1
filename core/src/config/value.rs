//! What settings take, and how values are checked.

use std::fmt;

use super::network::Trusted;
use crate::error::{Error, ErrorKind, Result};

/// A setting that takes one of some words.
macro_rules! choice {
    ($(#[$doc:meta])+ $name:ident { $($(#[$about:meta])+ $choice:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$about])+ $choice),+
        }

        impl $name {
            pub(super) const NAMES: &'static [&'static str] = &[$($word),+];

            pub(crate) const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }

        impl Setting for $name {
            fn from_value(value: OptionValue) -> Option<Self> {
                let OptionValue::Text(text) = value else { return None };
                [$(Self::$choice),+].into_iter().find(|choice| choice.name() == text)
            }
        }
    };
}

choice! {
    /// What happens to a stream that has fallen behind the backlog.
    SlowClient {
        /// The stream gets a `stream-reset` and goes on from the newest event.
        #[default]
        Reset = "reset",
        /// The stream is closed with a `retry`, so that the client comes back with its position.
        Close = "close",
    }
}

choice! {
    /// Where proxies say whom a request comes from.
    ForwardedHeader {
        /// `X-Forwarded-For`, which nearly all write.
        #[default]
        XForwardedFor = "x-forwarded-for",
        /// `Forwarded`, by RFC 7239.
        Forwarded = "forwarded",
    }
}

choice! {
    /// What happens when a user has `max_streams_per_user` streams and opens one more.
    OverUserLimit {
        /// The oldest of them ends. Its client, if it is still there, is told `replaced`, and to come back in a day.
        #[default]
        Replace = "replace",
        /// The new one is not opened: its client is asked to come back later.
        Refuse = "refuse",
    }
}

/// A setting as the bindings and tests see it.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its name in all languages, with the unit at the end.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionKind,
    /// Its default, as people write it; empty for none.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OptionKind {
    /// A whole number.
    Integer {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// Yes or no.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of texts.
    List,
    /// A text that is never shown.
    Secret,
    /// Any number of texts that are never shown.
    Secrets,
    /// A text.
    Text,
}

/// A value for [`Config::set`](super::Config::set).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptionValue {
    /// A whole number.
    Integer(u64),
    /// Yes or no.
    Flag(bool),
    /// A word; also a number or `true`/`false` in digits and letters, as environment variables have them.
    Text(String),
    /// Any number of texts.
    List(Vec<String>),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "'{value}'"),
            Self::List(values) => write!(f, "{values:?}"),
        }
    }
}

/// A text that `Debug` does not show.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret()" } else { "Secret(..)" })
    }
}

/// A field type that can be set from an [`OptionValue`] and checked against its specification.
pub(super) trait Setting: Sized {
    fn from_value(value: OptionValue) -> Option<Self>;
    fn check(&self, _: &OptionSpec) -> Result<()> {
        Ok(())
    }
}

impl Setting for u64 {
    fn from_value(value: OptionValue) -> Option<Self> {
        match value {
            OptionValue::Integer(value) => Some(value),
            OptionValue::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn check(&self, option: &OptionSpec) -> Result<()> {
        match option.kind {
            OptionKind::Integer { min, max } if !(min..=max).contains(self) => Err(refused(option, self)),
            _ => Ok(()),
        }
    }
}

impl Setting for bool {
    fn from_value(value: OptionValue) -> Option<Self> {
        match value {
            OptionValue::Flag(value) => Some(value),
            OptionValue::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Setting for Vec<String> {
    fn from_value(value: OptionValue) -> Option<Self> {
        match value {
            OptionValue::List(list) => Some(list),
            OptionValue::Text(text) => Some(vec![text]),
            _ => None,
        }
    }

    fn check(&self, option: &OptionSpec) -> Result<()> {
        let (problem, allowed): (fn(&str) -> Option<String>, _) = match option.name {
            "cors_origins" => {
                (|text| (!is_origin(text)).then(String::new), "'*' and origins such as 'https://example.com'")
            }
            "trusted_proxies" => (
                |text| Trusted::parse(text).err().map(|why| format!(", {why}")),
                "addresses, networks such as '10.0.0.0/8', and 'unix'",
            ),
            _ => (|text| (!is_token(text)).then(String::new), "names of headers"),
        };
        match self.iter().find_map(|text| Some((text, problem(text)?))) {
            Some((text, why)) => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{} takes {allowed}, not {text:?}{why}", option.name),
            )),
            None => Ok(()),
        }
    }
}

impl Setting for String {
    fn from_value(value: OptionValue) -> Option<Self> {
        match value {
            OptionValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Setting for Secret {
    fn from_value(value: OptionValue) -> Option<Self> {
        String::from_value(value).map(Self)
    }
}

impl Setting for Vec<Secret> {
    fn from_value(value: OptionValue) -> Option<Self> {
        Vec::<String>::from_value(value).map(|texts| texts.into_iter().map(Secret).collect())
    }
}

/// Whether a browser could send this as `Origin`; if not, it would silently match nothing.
fn is_origin(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && !b"/?#@,\"".contains(&b);
    let is_host = |host: &str| !host.is_empty() && host.bytes().all(is_plain);
    matches!(text, "*" | "null")
        || text.split_once("://").is_some_and(|(scheme, host)| is_token(scheme) && is_host(host))
}

/// Whether this is a token of RFC 9110 section 5.6.2, as header names are.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What a setting takes, and that `value` is not it.
pub(super) fn refused(option: &OptionSpec, value: &dyn fmt::Display) -> Error {
    let allowed = match option.kind {
        OptionKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        OptionKind::Flag => "true or false".to_owned(),
        OptionKind::Choice(names) => names.join(" or "),
        OptionKind::List => "a list of texts".to_owned(),
        OptionKind::Text => "a text".to_owned(),
        OptionKind::Secret | OptionKind::Secrets => {
            let text = format!("{} takes a text, or a list of texts where there may be several", option.name);
            return Error::new(ErrorKind::InvalidConfig, text);
        }
    };
    Error::new(ErrorKind::InvalidConfig, format!("{} takes {allowed}, not {value}", option.name))
}
