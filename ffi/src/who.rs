//! Rights that change

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::Who;

use crate::{
    call::{call, needed},
    cast,
    error::{Result, evs_error},
    hub::evs_hub,
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
