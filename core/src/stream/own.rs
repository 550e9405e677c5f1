//! The channel of a user's own, which streams of that user read beside what they were opened for.

use crate::{
    config::Config,
    error::{Error, ErrorKind, Result},
    wire::protocol::{MAX_CHANNEL_BYTES, USER_CHANNEL_PREFIX},
};

/// The name of the user's own channel, if streams read it by the settings. The user is yet to be [checked](check_own).
pub(super) fn own_channel(config: &Config, user: Option<&str>) -> Option<String> {
    user.filter(|_| config.user_channel).map(name_of)
}

/// The name of the user's own channel. Fails with `invalid-config` when no stream would read it, and with
/// `invalid-argument` when no user has that name.
#[cfg(feature = "runtime")]
pub(crate) fn user_channel(config: &Config, user: &str) -> Result<String> {
    if !config.user_channel {
        let text = "streams read the channel of their user only with the setting user_channel; nobody would get this";
        return Err(Error::new(ErrorKind::InvalidConfig, text));
    }
    check_own(config, Some(user))?;
    Ok(name_of(user))
}

/// Refuses a name that no user can have by these settings, with `invalid-argument`.
pub(super) fn check_own(config: &Config, user: Option<&str>) -> Result<()> {
    let prefix_bytes = if config.user_channel { USER_CHANNEL_PREFIX.len() } else { 0 };
    user.map_or(Ok(()), |user| check_user(user, MAX_CHANNEL_BYTES - prefix_bytes))
}

/// Refuses a name that no user can have, with `invalid-argument`.
pub(super) fn check_user(user: &str, most: usize) -> Result<()> {
    if user.is_empty() || user.len() > most || user.chars().any(char::is_control) {
        let text = format!("a user's name has 1 to {most} bytes and no control characters, unlike {user:?}");
        return Err(Error::new(ErrorKind::InvalidArgument, text));
    }
    Ok(())
}

/// Whether it is the name of some user's own channel, which no stream gets by being asked for it, whatever the settings of
/// this process are: another may share its journal.
pub(super) fn is_own_channel(channel: &str) -> bool {
    channel.starts_with(USER_CHANNEL_PREFIX)
}

fn name_of(user: &str) -> String {
    format!("{USER_CHANNEL_PREFIX}{user}")
}
