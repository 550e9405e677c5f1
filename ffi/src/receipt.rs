//! Receipts

use std::{
    ffi::c_char,
    fmt::Write,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use evstream::{Position, ProxyResult, Receipt};

use crate::{
    callback::{Manners, UserData},
    error::{Failure, Result, evs_error},
    status::evs_status,
};

/// Bytes for a position as text, with the NUL at its end.
pub const EVS_POSITION_BYTES: usize = 24;

/// What publishing gives back. Start with EVS_RECEIPT_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_receipt {
    /// sizeof(evs_receipt).
    pub struct_size: usize,
    /// The place of the event, which clients see as its id: text, ended by NUL.
    pub position: [c_char; EVS_POSITION_BYTES],
    /// Streams and subscriptions of this process that will get it.
    pub streams: u64,
    /// GRIP proxies that are configured.
    pub proxies: u64,
    /// Those of them that did not take the event. Only known when publishing has waited for them: else 0.
    pub proxies_failed: u64,
}

/// Called when every GRIP proxy has taken an event or failed.
///
/// It runs once, on a thread of evstream's, or before the publishing function returns, on the thread that called it,
/// when there is nothing to wait for: do not hold a lock that it takes. It must be short and must not block.
///
/// @param user_data  As it was given.
/// @param status     OK when all have taken it, else the first failure: PROXY_UNAVAILABLE, PROXY_REJECTED, QUEUE_FULL
///                   or CLOSED.
/// @param receipt    What became of it. It lives until the callback returns.
/// @param error      NULL if status is OK, else what went wrong. It lives until the callback returns.
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
            position: position(receipt.position),
            streams: receipt.streams as u64,
            proxies: receipt.proxies() as u64,
            proxies_failed: 0,
        }
    }

    fn settled(receipt: &Receipt, results: &[ProxyResult]) -> Self {
        let failed = results.iter().filter(|proxy| proxy.result.is_err()).count();
        Self { proxies_failed: failed as u64, ..Self::new(receipt) }
    }
}

/// A position as text in a structure.
pub(crate) fn position(position: Position) -> [c_char; EVS_POSITION_BYTES] {
    const { assert!(Position::TEXT_BYTES < EVS_POSITION_BYTES) }
    let mut text = [0; EVS_POSITION_BYTES];
    for (to, from) in text.iter_mut().zip(position.to_string().bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    text
}

/// Waits for the proxies: what is known then, and whether all have taken the event.
pub(crate) fn wait(receipt: &Receipt, timeout: Duration) -> (evs_receipt, Result<()>) {
    match receipt.wait(timeout) {
        Ok(results) => (evs_receipt::settled(receipt, &results), summary(&results)),
        Err(error) => (evs_receipt::new(receipt), Err(error.into())),
    }
}

/// Calls back when the proxies have answered.
pub(crate) fn notify(receipt: Receipt, callback: evs_published_fn, user_data: UserData) {
    let Some(callback) = callback else { return };
    let done = async move {
        let results = receipt.delivered().await;
        let told = evs_receipt::settled(&receipt, &results);
        let (status, error) = match summary(&results) {
            Ok(()) => (evs_status::Ok, None),
            Err(failure) => (failure.status, Some(evs_error::lent(failure))),
        };
        let error = error.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        user_data.call(Manners::Short, |data| callback(data, status, &raw const told, error));
    };
    Task::start(done);
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

/// A future that is polled by whoever wakes it: there is nothing to do but to call back.
struct Task {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    /// Wake-ups that are not yet followed by a poll.
    wakes: AtomicUsize,
}

impl Task {
    fn start(future: impl Future<Output = ()> + Send + 'static) {
        let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
        Arc::new(Self { future: Mutex::new(Some(future)), wakes: AtomicUsize::new(0) }).wake();
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if self.wakes.fetch_add(1, Ordering::SeqCst) > 0 {
            return; // whoever polls now polls again
        }
        let waker = Waker::from(self.clone());
        let mut seen = 1;
        loop {
            let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(future) = slot.as_mut() else { return };
            if future.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
                let future = slot.take();
                drop(slot);
                drop(future); // frees the user's data, which may call us
                return;
            }
            drop(slot);
            match self.wakes.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return,
                Err(wakes) => seen = wakes,
            }
        }
    }
}
