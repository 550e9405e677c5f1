//! Paths that a proxy changes on their way to the application.

use crate::error::{Error, ErrorKind, Result};

/// What the routes of a proxy replace at the beginning of paths: `PUBLIC=BEHIND`, or `PUBLIC` for what they take off.
///
/// A proxy asks the links of streams as any client would, so they are given as they are in front of it.
///
/// ```
/// use evstream::grip::Rewrite;
/// let stripped = Rewrite::parse("/base")?; // Pushpin: path_beg=/base/,replace_beg=/
/// assert_eq!(stripped.undo("/events/x".to_owned()), "/base/events/x");
/// let renamed = Rewrite::parse("/live/=/events/")?; // path_beg=/live/,replace_beg=/events/
/// assert_eq!(renamed.undo("/events/x".to_owned()), "/live/x");
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rewrite {
    public: String,
    behind: String,
}

impl Rewrite {
    /// Reads a setting; an empty one changes nothing. Fails with `invalid-config` when a part is no beginning of a path.
    pub fn parse(setting: &str) -> Result<Self> {
        let (public, behind) = setting.split_once('=').unwrap_or((setting, ""));
        let is_path = |part: &str| {
            let legal = |byte: u8| byte.is_ascii_graphic() && !b"?#,;<>\"\\".contains(&byte);
            part.is_empty() || (part.starts_with('/') && part.bytes().all(legal))
        };
        if is_path(public) && is_path(behind) {
            return Ok(Self { public: public.to_owned(), behind: behind.to_owned() });
        }
        let text = "grip_public_path takes the beginning of a path, such as '/base', or that in front of the proxy and that \
                    behind it, such as '/live/=/events/'; blanks, commas and semicolons have to be percent-encoded";
        Err(Error::new(ErrorKind::InvalidConfig, text))
    }

    /// The path in front of the proxy of what has `path` behind it; the same where nothing was replaced.
    pub fn undo(&self, path: String) -> String {
        match path.strip_prefix(&*self.behind) {
            Some(rest) if !self.public.is_empty() => format!("{}{rest}", self.public),
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_refused() {
        for setting in ["base", "/a b", "/a=b", "/a?x", "/a,b", "/\u{e4}", "http://h/"] {
            assert_eq!(Rewrite::parse(setting).unwrap_err().kind(), ErrorKind::InvalidConfig, "{setting}");
        }
        assert_eq!(Rewrite::parse("").unwrap().undo("/x".to_owned()), "/x");
        assert_eq!(Rewrite::parse("/a/=/b/").unwrap().undo("/c/x".to_owned()), "/c/x");
        assert_eq!(Rewrite::parse("/=/b/").unwrap().undo("/b/x".to_owned()), "/x");
    }
}
