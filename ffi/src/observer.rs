//! Observers

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use evstream::{CloseReason, Observer, OpenStream, PublishFailure, Stream};

use crate::{
    call::{call, needed},
    callback::{Manners, UserData, evs_free_fn},
    cast::{self, views},
    error::{Failure, evs_error},
    hub::evs_hub,
    receipt::{EVS_POSITION_BYTES, position},
    status::evs_status,
    text::{array, evs_str},
};

/// Why a stream ended. New reasons may come with any version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum evs_close_reason {
    /// The client closed the connection, or it broke.
    Client = 1,
    /// The client's socket took no byte for the setting write_timeout_ms.
    WriteTimeout = 2,
    /// The stream fell behind, and the setting slow_client is "close".
    Slow = 3,
    /// The stream reached the setting max_age_ms.
    MaxAge = 4,
    /// The hub or its server was closed.
    Shutdown = 5,
    /// The application let go of the stream.
    Dropped = 6,
    /// The right to read came to its end.
    Expired = 7,
    /// The application is to decide anew.
    Reauthorize = 8,
    /// Another stream of the same user has taken its place.
    Replaced = 9,
    /// The application has disconnected it.
    Disconnected = 10,
}

/// A client's stream, as observers and evs_hub_streams show it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_stream_info {
    /// sizeof(evs_stream_info) of the library.
    pub struct_size: usize,
    /// The user whom the application named; empty if none.
    pub user: evs_str,
    /// The client's address; empty if it is not known.
    pub peer: evs_str,
    /// The place of the last event it has read: text, ended by NUL.
    pub position: [c_char; EVS_POSITION_BYTES],
    /// Its channels.
    pub channels: *const evs_str,
    /// How many they are.
    pub channels_len: usize,
    /// What it is called in evs_who.
    pub id: evs_str,
    /// How long it has been open, in milliseconds.
    pub age_ms: u64,
    /// How many events of its channels it was not given yet, of those that are kept: above 0 for long, its client is
    /// too slow.
    pub behind: u64,
}

/// An event that a GRIP proxy did not get, as observers are shown it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_publish_failure {
    /// sizeof(evs_publish_failure) of the library.
    pub struct_size: usize,
    /// The proxy, by its control URI; empty when it was the journal.
    pub proxy: evs_str,
    /// The channel, by its name on the proxy or in the journal.
    pub channel: evs_str,
    /// The place of the event: text, ended by NUL; empty when it has none.
    pub position: [c_char; EVS_POSITION_BYTES],
    /// What went wrong.
    pub error: *const evs_error,
}

/// What to call when streams open and close, and when a GRIP proxy or the journal did not get an event. Start
/// with EVS_OBSERVER_INIT and set what you want to hear of.
///
/// The callbacks run on evstream's threads, which other streams need, several at the same time. They must be short and
/// must not block. What they are shown lives until they return.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_observer {
    /// sizeof(evs_observer).
    pub struct_size: usize,
    /// A client has opened a stream.
    pub stream_opened: Option<extern "C" fn(user_data: *mut c_void, stream: *const evs_stream_info)>,
    /// A stream has ended. The reason is an evs_close_reason.
    pub stream_closed:
        Option<extern "C" fn(user_data: *mut c_void, stream: *const evs_stream_info, reason: u32)>,
    /// A GRIP proxy, or the journal, did not get an event.
    pub publish_failed: Option<extern "C" fn(user_data: *mut c_void, failure: *const evs_publish_failure)>,
}

/// Has an observer told from now on. A hub takes one.
///
/// @param hub             The hub.
/// @param observer        What to call, copied.
/// @param user_data       What to call it with. It is freed when the hub and all that was made from it are gone.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return OK; INVALID_ARGUMENT, also when there is an observer already; CLOSED, FORKED.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_observe(
    hub: Option<&evs_hub>,
    observer: *const evs_observer,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let callbacks = cast::read_sized(observer)?;
        let hub = needed(hub, "hub")?;
        hub.events.check_open()?;
        hub.events.observe(Told { callbacks, user_data })?;
        Ok(evs_status::Ok)
    })
}

struct Told {
    callbacks: evs_observer,
    user_data: UserData,
}

impl Observer for Told {
    fn stream_opened(&self, stream: &Stream) {
        if let Some(opened) = self.callbacks.stream_opened {
            self.show(stream, |data, info| opened(data, info));
        }
    }

    fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
        if let Some(closed) = self.callbacks.stream_closed {
            self.show(stream, |data, info| closed(data, info, close_reason(reason) as u32));
        }
    }

    fn publish_failed(&self, failure: &PublishFailure) {
        let Some(failed) = self.callbacks.publish_failed else { return };
        let error = evs_error::lent(Failure::from(failure.error.clone()));
        let told = evs_publish_failure {
            struct_size: size_of::<evs_publish_failure>(),
            proxy: failure.proxy.as_deref().unwrap_or_default().into(),
            channel: (*failure.channel).into(),
            position: position(failure.position),
            error: &raw const error,
        };
        self.user_data.call(Manners::Short, |data| failed(data, &raw const told));
    }
}

impl Told {
    fn show(&self, stream: &Stream, tell: impl FnOnce(*mut c_void, *const evs_stream_info)) {
        let show = |info: &evs_stream_info| self.user_data.call(Manners::Short, |data| tell(data, info));
        shown(&stream.into(), show);
    }
}

/// Shows a stream.
pub(crate) fn shown(stream: &OpenStream, show: impl FnOnce(&evs_stream_info)) {
    let peer = stream.address.map_or_else(String::new, |address| address.to_string());
    let channels = views(&stream.channels);
    show(&evs_stream_info {
        struct_size: size_of::<evs_stream_info>(),
        user: stream.user.as_deref().unwrap_or_default().into(),
        peer: (*peer).into(),
        position: position(stream.position),
        channels: array(&channels),
        channels_len: channels.len(),
        id: (*stream.id).into(),
        age_ms: stream.age_ms,
        behind: stream.behind,
    });
}

pub(crate) fn close_reason(reason: CloseReason) -> evs_close_reason {
    match reason {
        CloseReason::Client => evs_close_reason::Client,
        CloseReason::WriteTimeout => evs_close_reason::WriteTimeout,
        CloseReason::Slow => evs_close_reason::Slow,
        CloseReason::MaxAge => evs_close_reason::MaxAge,
        CloseReason::Shutdown => evs_close_reason::Shutdown,
        CloseReason::Expired => evs_close_reason::Expired,
        CloseReason::Reauthorize => evs_close_reason::Reauthorize,
        CloseReason::Replaced => evs_close_reason::Replaced,
        CloseReason::Disconnected => evs_close_reason::Disconnected,
        _ => evs_close_reason::Dropped,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_number() {
        let numbers: HashSet<u32> =
            CloseReason::ALL.iter().map(|&reason| close_reason(reason) as u32).collect();
        assert_eq!(numbers.len(), CloseReason::ALL.len());
    }
}
