//! Channels that anybody may read.

use super::access::Access;
use crate::error::{Error, ErrorKind, Result};

/// Channels that anybody may read, each by its name, or by how its name begins: `news-*`. `*` is every channel.
///
/// ```
/// use evstream::PublicChannels;
/// let public = PublicChannels::new(["clock", "news-*"])?;
/// let access = public.access(&["news-de".to_owned()]); // granted
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "it is for an access"]
pub struct PublicChannels {
    names: Vec<String>,
    beginnings: Vec<String>,
}

impl PublicChannels {
    /// Of no channels none is public. Fails with `invalid-argument` for a `*` that is not the end of a name.
    pub fn new(channels: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let (mut names, mut beginnings) = (Vec::new(), Vec::new());
        for channel in channels {
            let channel = channel.into();
            match channel.strip_suffix('*') {
                Some(beginning) if !beginning.contains('*') => beginnings.push(beginning.to_owned()),
                None if !channel.contains('*') && !channel.is_empty() => names.push(channel),
                _ => {
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        format!(
                            "a public channel is a name, or the beginning of names and a *, such as \"news-*\", not {channel:?}"
                        ),
                    ));
                }
            }
        }
        Ok(Self { names, beginnings })
    }

    /// Grants the channels that a client names if all of them are public, and else refuses.
    pub fn access(&self, requested: &[String]) -> Access {
        self.refusal(requested).map_or_else(Access::allow, Access::forbid)
    }

    /// Why a client that names these is refused, if it is.
    pub fn refusal(&self, requested: &[String]) -> Option<String> {
        let other = self.first_other(requested)?;
        Some(format!("the channel {other:?} is not public"))
    }

    /// The first that is not public. An empty name is none at all, which the client is told elsewhere.
    fn first_other<'a>(&self, requested: &'a [String]) -> Option<&'a String> {
        requested.iter().find(|channel| !channel.is_empty() && !self.has(channel))
    }

    fn has(&self, channel: &str) -> bool {
        self.names.iter().any(|name| name == channel)
            || self.beginnings.iter().any(|beginning| channel.starts_with(beginning))
    }
}

#[cfg(all(test, not(evstream_loom)))]
mod tests {
    use super::*;

    #[test]
    fn all_that_are_named_must_be_public() {
        let public = PublicChannels::new(["clock", "news-*"]).unwrap();
        let other = |requested: &[&str]| {
            let requested: Vec<String> = requested.iter().map(|&name| name.to_owned()).collect();
            public.first_other(&requested).cloned()
        };
        for granted in [&["clock"][..], &["news-"], &["clock", "news-de"], &[""], &[]] {
            assert_eq!(other(granted), None, "{granted:?}");
        }
        for (refused, first) in [
            (&["clocks"][..], "clocks"),
            (&["cloc"], "cloc"),
            (&["news"], "news"),
            (&["News-de"], "News-de"),
            (&["news-de", "room-1", "x"], "room-1"),
            (&["*"], "*"),
        ] {
            assert_eq!(other(refused).as_deref(), Some(first));
        }
        let any = ["any".to_owned()];
        assert_eq!(PublicChannels::new(["*"]).unwrap().first_other(&any), None);
        assert!(PublicChannels::new([""; 0]).unwrap().first_other(&any).is_some());
    }

    #[test]
    fn a_pattern_ends_with_its_only_star() {
        for wrong in [vec!["a*b"], vec!["**"], vec!["*a"], vec!["a", "b*c*"], vec![""]] {
            assert_eq!(
                PublicChannels::new(wrong.clone()).unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{wrong:?}"
            );
        }
    }
}
