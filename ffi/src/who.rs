//! Rights that change, and who is there

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use evstream::Who;

use crate::{
    call::{call, needed},
    cast,
    error::{Result, evs_error},
    hub::evs_hub,
    observer::{evs_stream_info, shown},
    status::evs_status,
    text::evs_str,
};

/// Which streams are meant: those that have all of its parts. Start with EVS_WHO_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_who {
    /// sizeof(evs_who).
    pub struct_size: usize,
    /// Streams of this user, as evs_access_set_user has named them; NULL for any.
    pub user: evs_str,
    /// Streams that read this channel, among others perhaps; NULL for any.
    pub channel: evs_str,
    /// The stream with this id, as observers are shown it; NULL for any.
    pub stream: evs_str,
    /// Says that all streams are meant, when nothing is named.
    pub everyone: MaybeUninit<bool>,
}

/// Has clients come back, and be decided on anew: after a change of rights or of channels. They miss nothing by
/// that. In all processes that share a journal.
///
/// @param hub  The hub.
/// @param who  Whose streams.
///
/// @return OK; INVALID_ARGUMENT, also when nobody is named; CLOSED, FORKED.
/// @note Threads: any, also at the same time. It does not wait.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_reopen(
    hub: Option<&evs_hub>,
    who: *const evs_who,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let who = meant(who)?;
        needed(hub, "hub")?.events.reopen(who)?;
        Ok(evs_status::Ok)
    })
}

/// Ends streams whose clients are not to come back: they are told "forbidden" with the text, and get nothing
/// that is published after this call. In all processes that share a journal. It does not keep anyone from
/// asking again, which is for your callback to refuse.
///
/// @param hub   The hub.
/// @param who   Whose streams.
/// @param text  What to tell the clients, of 1024 bytes at most.
///
/// @return OK; INVALID_ARGUMENT, also when nobody is named; CLOSED, FORKED.
/// @note Threads: any, also at the same time. It does not wait.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_disconnect(
    hub: Option<&evs_hub>,
    who: *const evs_who,
    text: *const c_char,
    text_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let (who, text) = (meant(who)?, cast::text(text, text_len, "text")?);
        needed(hub, "hub")?.events.disconnect(who, text)?;
        Ok(evs_status::Ok)
    })
}

/// What is shown streams, one by one.
pub type evs_stream_fn = Option<extern "C" fn(user_data: *mut c_void, stream: *const evs_stream_info)>;

/// What is shown users, one by one.
pub type evs_user_fn = Option<extern "C" fn(user_data: *mut c_void, user: evs_str)>;

/// Shows the streams of this process that are meant, from the oldest to the newest: for a list of who is there, and to
/// find the clients that are behind. Those that GRIP proxies hold are not among them.
///
/// It waits for the threads that write the streams, which takes a millisecond or less; so an observer must not call it.
///
/// @param hub        The hub.
/// @param who        Whose streams.
/// @param show       What to call with each, before this returns, on this thread.
/// @param user_data  What to call it with.
///
/// @return OK; INVALID_ARGUMENT, also when nobody is named, or an observer asks; TIMEOUT when an observer has blocked
///         those threads for 5 s; CLOSED, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_streams(
    hub: Option<&evs_hub>,
    who: *const evs_who,
    show: evs_stream_fn,
    user_data: *mut c_void,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let (who, show) = (meant(who)?, needed(show, "show")?);
        for stream in needed(hub, "hub")?.events.streams(who)? {
            shown(&stream, |info| show(user_data, info));
        }
        Ok(evs_status::Ok)
    })
}

/// Shows the users who have streams of a channel open in this process, each once, by their names. Otherwise as
/// evs_hub_streams.
///
/// @param hub        The hub.
/// @param channel    The name of the channel.
/// @param show       What to call with each, before this returns, on this thread.
/// @param user_data  What to call it with.
///
/// @return As evs_hub_streams.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_users(
    hub: Option<&evs_hub>,
    channel: *const c_char,
    channel_len: usize,
    show: evs_user_fn,
    user_data: *mut c_void,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let (channel, show) = (cast::text(channel, channel_len, "channel")?, needed(show, "show")?);
        for user in needed(hub, "hub")?.events.users(channel)? {
            show(user_data, (*user).into());
        }
        Ok(evs_status::Ok)
    })
}

fn meant(given: *const evs_who) -> Result<Who> {
    let evs_who { struct_size: _, user, channel, stream, everyone } = cast::read_sized(given)?;
    let part = |view: evs_str, name| -> Result<Option<&str>> {
        if view.ptr.is_null() && view.len == 0 {
            return Ok(None);
        }
        cast::text(view.ptr, view.len, name).map(Some)
    };
    let mut who = if cast::truth(everyone) { Who::everyone() } else { Who::new() };
    if let Some(user) = part(user, "user")? {
        who = who.user(user);
    }
    if let Some(channel) = part(channel, "channel")? {
        who = who.channel(channel);
    }
    if let Some(stream) = part(stream, "stream")? {
        who = who.stream(stream);
    }
    Ok(who)
}
