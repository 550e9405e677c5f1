//! The names of channels on a proxy.

use std::fmt::Write as _;

use ::base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;

use super::uri::decode;
use crate::error::{Error, ErrorKind, Result};

/// What is put before the name of every channel on a proxy, so that applications that share one do not collide.
///
/// Names on the proxy are `prefix + name` with everything percent-encoded that GRIP headers cannot carry: controls,
/// blanks, `"`, `%`, `,`, `;`, `=`, `+`, `^` and its like, and what is not ASCII. Names of letters, digits and
/// `-._~!$&'()*:@/` stay as they are, so another publisher reaches `clock` as `events-clock` (but see the setting
/// `grip_sole_publisher`).
///
/// ```
/// use evstream::grip::Prefix;
/// let prefix = Prefix::new("events-")?;
/// assert_eq!(prefix.encode("room 1"), "events-room%201");
/// assert_eq!(prefix.decode("events-room%201").as_deref(), Some("room 1"));
/// assert_eq!(prefix.decode("others-room"), None);
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix(String);

impl Prefix {
    /// A prefix; may be empty. Fails with `invalid-config` when it is longer than 256 bytes or holds a control character.
    pub fn new(prefix: &str) -> Result<Self> {
        if prefix.len() > MAX_PREFIX_BYTES || prefix.chars().any(char::is_control) {
            let text = "a GRIP prefix may have 256 bytes at most and no control characters";
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        Ok(Self(prefix.to_owned()))
    }

    /// The name on the proxy of the channel `name`.
    pub fn encode(&self, name: &str) -> String {
        let mut out = String::with_capacity(self.0.len() + name.len() + 8);
        percent_encode(&mut out, &self.0, is_plain);
        percent_encode(&mut out, name, is_plain);
        out
    }

    /// The channel on the proxy where hints for `proxy_name` go: see [`Hold::channel`](super::Hold::channel).
    ///
    /// No application's channel has its name, for a caret is always percent-encoded. It is short, however long
    /// `proxy_name` is.
    pub fn hint(&self, proxy_name: &str) -> String {
        let mut out = self.hint_for_all();
        let digest = digest::digest(&digest::SHA256, proxy_name.as_bytes());
        URL_SAFE_NO_PAD.encode_string(&digest.as_ref()[..HINT_BYTES], &mut out);
        out
    }

    /// The channel on the proxy where every hint goes, for streams that have no room for one beside each channel.
    pub fn hint_for_all(&self) -> String {
        let mut out = String::with_capacity(self.0.len() + 16);
        percent_encode(&mut out, &self.0, is_plain);
        out.push('^');
        out
    }

    /// The channel on the proxy that every stream of this user is on, for [closing](super::Item::close) them: no colon is
    /// in a name of [`hint`](Self::hint), nor a bare caret in an application's channel.
    pub fn user(&self, user: &str) -> String {
        let mut out = self.hint_for_all();
        out.push_str("user:");
        percent_encode(&mut out, user, is_plain);
        out
    }

    /// The channel on the proxy that every stream is on which is not on [`hint_for_all`](Self::hint_for_all).
    pub fn streams(&self) -> String {
        self.hint_for_all() + "streams:"
    }

    /// The channel whose name on the proxy is `proxy_name`; `None` if it does not begin with the prefix.
    ///
    /// Names that another publisher did not percent-encode are taken as they are.
    pub fn decode(&self, proxy_name: &str) -> Option<String> {
        let decoded = decode(proxy_name).unwrap_or_else(|_| proxy_name.into());
        decoded.strip_prefix(&*self.0).map(str::to_owned)
    }
}

/// Appends `text`, with a `%XX` for every byte that is not `plain`.
pub(super) fn percent_encode(out: &mut String, text: &str, plain: impl Fn(u8) -> bool) {
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
}

/// Whether a byte stands for itself in a name on a proxy; all of these are legal in the path of a URL too.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*:@/".contains(&byte)
}

const MAX_PREFIX_BYTES: usize = 256;

/// Enough that two channels of one proxy hardly share a channel for hints; where they do, a stream asks once too often.
const HINT_BYTES: usize = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_other_publishers_are_understood() {
        let prefix = Prefix::new("events-").unwrap();
        for (name, channel) in [
            ("events-a b", "a b"),
            ("events-c++", "c++"),
            ("events-100%", "100%"),
            ("events-%zz%20", "%zz%20"),
            ("events-r%C3%A4um", "räum"),
            ("events%2Da%2Fb", "a/b"),
            ("events-", ""),
        ] {
            assert_eq!(prefix.decode(name).as_deref(), Some(channel), "{name}");
        }
        assert_eq!(prefix.decode("event"), None);
    }

    #[test]
    fn prefixes() {
        assert_eq!(Prefix::new("").unwrap().encode("a"), "a");
        assert_eq!(Prefix::new("ü,").unwrap().encode("a"), "%C3%BC%2Ca");
        assert!(Prefix::new("a\n").is_err());
        assert!(Prefix::new(&"x".repeat(257)).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(prefix in "\\PC{0,8}", name in "\\PC{0,20}") {
            let prefix = Prefix::new(&prefix).unwrap();
            let encoded = prefix.encode(&name);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic() && !b",;\"\\=+".contains(&b)));
            prop_assert_eq!(prefix.decode(&encoded), Some(name));
        }

        #[test]
        fn never_panics(name: String) {
            let _ = Prefix::new("events-").unwrap().decode(&name);
        }
    }
}
