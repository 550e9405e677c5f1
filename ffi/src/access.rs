//! Streams in a server of your own

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::{Access, Event, Position};

use crate::{
    call::{self, call, give, needed, place},
    cast::{self, Lent},
    error::{Failure, Result, evs_error},
    event::{self, evs_event},
    status::evs_status,
    text::evs_str,
};

/// Whether a client gets a stream, and of which channels. It starts as a refusal. The last call that decides counts.
pub struct evs_access {
    decision: Decision,
    user: Option<String>,
    expires_at_s: Option<u64>,
    since: Option<Position>,
    greetings: Vec<Event<'static>>,
    lent: bool,
}

enum Decision {
    Forbid(String),
    Fail(String),
    Allow,
    Channels(Vec<String>),
    /// By a token.
    Given(Box<Access>),
}

/// Makes an access for evs_hub_open. Callbacks are given one.
///
/// @param access  Where to store it; free with evs_access_free.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any.
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
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
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

/// Allows these channels, whatever the client names in the query.
///
/// @param access    The access.
/// @param channels  The names of the channels, copied. What is wrong with one, beyond UTF-8, shows when the stream is
///                  opened; with none, the client is told that there is no channel.
///
/// @return OK, INVALID_CHANNEL, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
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
/// @param access  The access.
/// @param user    The user, copied.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
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

/// Ends the stream before that moment: the client comes back, and is decided on anew. Up to a tenth of the time
/// is taken off at random, and a minute at most. A moment in the past refuses.
///
/// @param access  The access.
/// @param unix_s  Seconds since 1970-01-01 UTC.
///
/// @return OK, INVALID_ARGUMENT, also when it looks like milliseconds.
/// @note Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_set_expiry(
    access: Option<&mut evs_access>,
    unix_s: u64,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        Access::allow().expires_at(unix_s).check(usize::MAX)?;
        access.expires_at_s = Some(unix_s);
        Ok(())
    })
}

/// Begins with what was published after that position, wherever the client was. Take it with evs_hub_position
/// before you read the data that the client is greeted with.
///
/// @param access    The access.
/// @param position  The position, as text.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_set_since(
    access: Option<&mut evs_access>,
    position: *const c_char,
    position_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        let position = cast::text(position, position_len, "position")?.parse();
        access.since =
            Some(position.map_err(|_| Failure::argument("position is none that evs_hub_position gives"))?);
        Ok(())
    })
}

/// Sends an event to this client alone, before all others: the data that the events after evs_access_set_since
/// change. Once for each event; a hundred at most.
///
/// @param access  The access.
/// @param event   The event, copied.
///
/// @return OK, INVALID_EVENT, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_greet(
    access: Option<&mut evs_access>,
    event: *const evs_event,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    decide(access, error, |access| {
        let event = event::event(event)?;
        let greetings = access.greetings.iter().fold(Access::allow(), Access::greet);
        greetings.greet(&event).check(usize::MAX)?;
        access.greetings.push(event.to_static());
        Ok(())
    })
}

/// Refuses: the client is told "forbidden" in a stream-error, and does not come back.
///
/// @param access  The access.
/// @param text    What to tell the client, copied.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
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

/// Says that the application cannot decide now, because a database is down or the like. The client is told "failed" in
/// a stream-close, and comes back later. One that does not ask for text/event-stream by name gets a 503 with the text.
///
/// @param access  The access.
/// @param text    What to tell the client, copied.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this access.
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

/// Frees it. One that a callback was given is left alone.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_free(access: *mut evs_access) {
    call::quietly(|| cast::free_unless_lent(access));
}

impl evs_access {
    /// An access that a callback is to decide on.
    pub(crate) fn lent() -> Self {
        let decision = Decision::Forbid("you may not read this stream".to_owned());
        Self { decision, user: None, expires_at_s: None, since: None, greetings: Vec::new(), lent: true }
    }

    /// Decides so.
    pub(crate) fn grant(&mut self, access: Access) {
        self.decision = Decision::Given(Box::new(access));
    }

    /// What was decided.
    pub(crate) fn access(&self) -> Access {
        let access = match &self.decision {
            Decision::Forbid(text) => Access::forbid(text),
            Decision::Fail(text) => Access::fail(text),
            Decision::Allow => Access::allow(),
            Decision::Channels(channels) => Access::channels(channels),
            Decision::Given(access) => (**access).clone(),
        };
        let access = self.user.iter().fold(access, Access::user);
        let access = self.expires_at_s.into_iter().fold(access, Access::expires_at);
        let access = self.since.into_iter().fold(access, Access::since);
        self.greetings.iter().fold(access, Access::greet)
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
