//! Access

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::Access;

use crate::{
    call::{self, call, give, needed, place},
    cast::{self, Lent},
    error::{Result, evs_error},
    status::evs_status,
    text::evs_str,
};

/// Whether a client gets a stream, and of which channels. It starts with no: say what is allowed. The last word counts.
pub struct evs_access {
    decision: Decision,
    user: Option<String>,
    lent: bool,
}

enum Decision {
    Forbid(String),
    Fail(String),
    Allow,
    Channels(Vec<String>),
}

/// Makes an access, for evs_events_open. Callbacks are given one and need not make it.
///
/// @param access  Where to put it. The caller owns it; free with evs_access_free.
/// @param error   NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_new(
    access: Option<&mut MaybeUninit<*mut evs_access>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        give(place(access, "access")?, evs_access { lent: false, ..evs_access::lent() });
        Ok(evs_status::Ok)
    })
}

/// Allows the channels that the client names in the query, whatever they are.
///
/// @param access  The access.
/// @param error   NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_allow(
    access: Option<&mut evs_access>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        access.decision = Decision::Allow;
        Ok(())
    })
}

/// Gives these channels, whatever the client names in the query.
///
/// @param access        The access.
/// @param channels      The names of the channels, copied. Beyond UTF-8 they are checked when the stream is opened.
/// @param channels_len  How many they are. With none the client is told that there is no channel.
/// @param error         NULL, or where to put the error.
///
/// Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT.
/// Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_set_channels(
    access: Option<&mut evs_access>,
    channels: *const evs_str,
    channels_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        let channels = cast::channels(channels, channels_len)?;
        access.decision = Decision::Channels(channels.into_iter().map(ToOwned::to_owned).collect());
        Ok(())
    })
}

/// Names the user behind the stream.
///
/// @param access    The access.
/// @param user      The user, copied.
/// @param user_len  Its length in bytes.
/// @param error     NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_set_user(
    access: Option<&mut evs_access>,
    user: *const c_char,
    user_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        access.user = Some(cast::text(user, user_len, "user")?.to_owned());
        Ok(())
    })
}

/// Refuses: the client is told "forbidden" in a stream-error, and a browser does not come back.
///
/// @param access    The access.
/// @param text      What to tell the client, copied.
/// @param text_len  Its length in bytes.
/// @param error     NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_forbid(
    access: Option<&mut evs_access>,
    text: *const c_char,
    text_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        access.decision = Decision::Forbid(cast::text(text, text_len, "text")?.to_owned());
        Ok(())
    })
}

/// Says that the application has failed: the client is told "internal-error" in a stream-error, and does not come back.
///
/// @param access    The access.
/// @param text      What to tell the client, copied.
/// @param text_len  Its length in bytes.
/// @param error     NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_fail(
    access: Option<&mut evs_access>,
    text: *const c_char,
    text_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        access.decision = Decision::Fail(cast::text(text, text_len, "text")?.to_owned());
        Ok(())
    })
}

/// Frees it. NULL is allowed, and so is an access that a callback was given, which is then left alone.
///
/// Threads: any, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_free(access: *mut evs_access) {
    call::quietly(|| cast::free_unless_lent(access));
}

impl evs_access {
    /// An access that a callback is to decide on.
    pub(crate) fn lent() -> Self {
        Self { decision: Decision::Forbid("you may not read this stream".to_owned()), user: None, lent: true }
    }

    /// What was decided.
    pub(crate) fn access(&self) -> Access {
        let access = match &self.decision {
            Decision::Forbid(text) => Access::forbid(text),
            Decision::Fail(text) => Access::fail(text),
            Decision::Allow => Access::allow(),
            Decision::Channels(channels) => Access::channels(channels),
        };
        match &self.user {
            Some(user) => access.user(user),
            None => access,
        }
    }
}

impl Lent for evs_access {
    fn is_lent(&self) -> bool {
        self.lent
    }
}

fn decide(
    access: Option<&mut evs_access>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
    act: impl FnOnce(&mut evs_access) -> Result<()>,
) -> evs_status {
    call(error, || act(needed(access, "access")?).map(|()| evs_status::Ok))
}
