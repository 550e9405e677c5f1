//! Publishing

use std::{ffi::c_char, fmt::Write, time::Duration};

use evstream::{Position, ProxyResult, Receipt};

use crate::{
    callback::{Manners, UserData},
    error::{Failure, Result, evs_error},
    status::evs_status,
};

/// Bytes of a position as text, with the NUL at its end. Positions of one hub compare as strings in the order of
/// publishing.
pub const EVS_POSITION_BYTES: usize = 24;

/// What publishing tells. Start with EVS_RECEIPT_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_receipt {
    /// sizeof(evs_receipt).
    pub struct_size: usize,
    /// The position of the event, which clients see as its id: a text ended by NUL. Empty as long as it is not
    /// known: with a journal it is when the journal has the event.
    pub position: [c_char; EVS_POSITION_BYTES],
    /// Streams and subscriptions of this process that will get the event.
    pub streams: u64,
    /// GRIP proxies that are sent it.
    pub proxies: u64,
    /// Those of them that did not take it; 0 when publishing has not waited for them.
    pub proxies_failed: u64,
}

/// Called when every GRIP proxy, or the journal, has taken an event or failed.
///
/// It runs once: on one of evstream's threads, or, when there is nothing to wait for, on the thread that publishes,
/// before the publishing function returns. So hold no lock that it takes. It must be short and must not block.
///
/// @param user_data  As you gave it.
/// @param status     OK when all have taken it, or the first failure: PROXY_UNAVAILABLE, PROXY_REJECTED,
///                   JOURNAL_UNAVAILABLE, JOURNAL_REJECTED, QUEUE_FULL or CLOSED.
/// @param receipt    What became of it. It lives until the callback returns.
/// @param error      NULL if status is OK, or else what went wrong. It lives until the callback returns.
pub type evs_published_fn = Option<
    extern "C" fn(
        user_data: *mut std::ffi::c_void,
        status: evs_status,
        receipt: *const evs_receipt,
        error: *const evs_error,
    ),
>;

impl evs_receipt {
    /// What is known at once.
    pub(crate) fn new(receipt: &Receipt) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            position: position(receipt.position()),
            streams: receipt.streams as u64,
            proxies: receipt.proxies() as u64,
            proxies_failed: 0,
        }
    }

    /// What is known when the proxies have answered.
    fn settled(self, results: &[ProxyResult]) -> Self {
        let failed = results.iter().filter(|proxy| proxy.result.is_err()).count();
        Self { proxies_failed: failed as u64, ..self }
    }
}

/// A position as text in a structure; empty for none.
pub(crate) fn position(position: impl Into<Option<Position>>) -> [c_char; EVS_POSITION_BYTES] {
    const { assert!(Position::TEXT_BYTES < EVS_POSITION_BYTES) }
    let mut text = [0; EVS_POSITION_BYTES];
    let shown = position.into().map_or_else(String::new, |position| position.to_string());
    for (to, from) in text.iter_mut().zip(shown.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    text
}

/// Waits for the proxies: what is known then, and whether all have taken the event.
pub(crate) fn wait(receipt: &Receipt, timeout: Duration) -> (evs_receipt, Result<()>) {
    match receipt.wait(timeout) {
        Ok(results) => (evs_receipt::new(receipt).settled(&results), summary(&results)),
        Err(error) => (evs_receipt::new(receipt), Err(error.into())),
    }
}

/// Calls back when the proxies have answered.
pub(crate) fn notify(receipt: &Receipt, callback: evs_published_fn, user_data: UserData) {
    let Some(callback) = callback else { return };
    let own = receipt.clone();
    receipt.on_delivered(move |results| {
        let told = evs_receipt::new(&own).settled(results.as_deref().unwrap_or_default());
        let (status, error) = match results.map_err(Failure::from).and_then(|results| summary(&results)) {
            Ok(()) => (evs_status::Ok, None),
            Err(failure) => (failure.status, Some(evs_error::lent(failure))),
        };
        let error = error.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        user_data.call(Manners::Short, |data| callback(data, status, &raw const told, error));
    });
}

/// OK, or the first failure with the story of all.
fn summary(results: &[ProxyResult]) -> Result<()> {
    let mut failures = results.iter().filter_map(|proxy| proxy.result.as_ref().err());
    let Some(first) = failures.next() else { return Ok(()) };
    let mut failure = Failure::from(first.clone());
    for other in failures {
        let _ = write!(failure.message, "; {}", Failure::from(other.clone()).message);
    }
    Err(failure)
}
