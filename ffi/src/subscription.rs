//! Subscriptions

use std::{
    ffi::c_void,
    mem::MaybeUninit,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{Builder, JoinHandle, Thread},
    time::Duration,
};

use evstream::Subscription;

use crate::{
    call::{call, free, give, needed, place},
    callback::{Manners, UserData, evs_free_fn, refuse_in_short_callback},
    cast,
    error::{Failure, Result, evs_error},
    events::evs_events,
    message::{Shown, evs_message},
    status::evs_status,
    text::evs_str,
};

/// A reader of channels inside the process. Like a client's stream it is a place in the channels' history: one that is read
/// too slowly gets a reset, and costs nothing.
pub struct evs_subscription(Reader);

enum Reader {
    Pull { subscription: Box<Subscription>, shown: Option<Shown> },
    Callback(#[expect(dead_code, reason = "it ends the thread when it is dropped")] Callback),
}

/// Called with each message of a subscription, one after the other.
///
/// It runs on a thread of the subscription's own, and may block. It is not called any more when the events are closed or the
/// subscription is freed, except that it may be running then, until user_data_free is called.
///
/// @param user_data  As it was given.
/// @param message    The message. It lives until the callback returns.
pub type evs_message_fn = Option<extern "C" fn(user_data: *mut c_void, message: *const evs_message)>;

/// Reads channels from now on, with evs_subscription_next.
///
/// @param events        The events.
/// @param channels      The names of the channels, one or more.
/// @param channels_len  How many they are.
/// @param subscription  Where to put it. The caller owns it; free with evs_subscription_free.
/// @param error         NULL, or where to put the error.
///
/// Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_subscribe(
    events: Option<&evs_events>,
    channels: *const evs_str,
    channels_len: usize,
    subscription: Option<&mut MaybeUninit<*mut evs_subscription>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(subscription, "subscription")?;
        let (_, subscription) = subscribe(events, channels, channels_len)?;
        let subscription = Box::new(subscription);
        give(place, evs_subscription(Reader::Pull { subscription, shown: None }));
        Ok(evs_status::Ok)
    })
}

/// Reads channels from now on, and calls back with each message. This starts a thread.
///
/// @param events          The events.
/// @param channels        The names of the channels, one or more.
/// @param channels_len    How many they are.
/// @param on_message      What to call.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param subscription    Where to put it. The caller owns it; evs_subscription_free ends it.
/// @param error           NULL, or where to put the error.
///
/// Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_subscribe_callback(
    events: Option<&evs_events>,
    channels: *const evs_str,
    channels_len: usize,
    on_message: evs_message_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    subscription: Option<&mut MaybeUninit<*mut evs_subscription>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let place = place(subscription, "subscription")?;
        let on_message = needed(on_message, "on_message")?;
        let (events, mut subscription) = subscribe(events, channels, channels_len)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let thread = events.deliveries.start(move || {
            while let Some(message) = wait(&mut subscription, &stop) {
                let shown = Shown::new(message);
                let message = shown.message();
                user_data.call(Manners::MayBlock, |data| on_message(data, &raw const message));
            }
        })?;
        give(place, evs_subscription(Reader::Callback(Callback { stopped, thread })));
        Ok(evs_status::Ok)
    })
}

/// Takes the next message, and waits for it if need be.
///
/// @param subscription  A subscription without a callback.
/// @param timeout_ms    How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the events are closed.
/// @param message       A structure for the message, started with EVS_MESSAGE_INIT. What it refers to lives until the next
///                      call for this subscription.
/// @param error         NULL, or where to put the error.
///
/// Status: OK; ENDED when the events are closed and all was read; TIMEOUT, after which to call it again; IN_CALLBACK when it
/// would wait in a callback that must be short; INVALID_ARGUMENT, FORKED.
/// Threads: one at a time for this subscription.
#[unsafe(no_mangle)]
pub extern "C" fn evs_subscription_next(
    subscription: Option<&mut evs_subscription>,
    timeout_ms: u64,
    message: *mut evs_message,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        cast::check_sized(message)?;
        let message = needed(Some(message).filter(|message| !message.is_null()), "message")?;
        let Reader::Pull { subscription, shown } = &mut needed(subscription, "subscription")?.0 else {
            return Err(Failure::argument("a subscription with a callback cannot be read besides"));
        };
        if timeout_ms > 0 {
            refuse_in_short_callback()?;
        }
        let Some(next) = subscription.next_timeout(Duration::from_millis(timeout_ms))? else {
            return Ok(evs_status::Ended);
        };
        cast::write_sized(message, &shown.insert(Shown::new(next)).message())?;
        Ok(evs_status::Ok)
    })
}

/// Ends it and frees it. NULL is allowed. Never blocks: a callback may still be running, until user_data_free is called.
///
/// Threads: any, also its own callback, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_subscription_free(subscription: Option<Box<evs_subscription>>) {
    free(subscription);
}

/// A thread that calls back, ended by dropping this.
struct Callback {
    stopped: Arc<AtomicBool>,
    thread: Thread,
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// The threads of an application's subscriptions that call back.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Arc<Running>);

#[derive(Debug, Default)]
struct Running {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    threads: Vec<JoinHandle<()>>,
    running: usize,
}

impl Deliveries {
    fn start(&self, deliver: impl FnOnce() + Send + 'static) -> Result<Thread> {
        let running = Place::take(&self.0);
        // Held until its handle is where `join` looks for it.
        let _starting = Place::take(&self.0);
        // Without the lock: what the closure drops when there is no thread to be had may call us.
        let thread = Builder::new().name("evstream-sub".to_owned()).spawn(move || {
            let _running = running;
            deliver();
        });
        let thread = thread.map_err(evstream::Error::from)?;
        let handle = thread.thread().clone();
        let mut state = self.0.lock();
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread);
        Ok(handle)
    }

    /// Waits until all have ended; false when the time was not enough.
    pub(crate) fn join(&self, timeout: Duration) -> bool {
        let state = self.0.lock();
        let waited = self.0.ended.wait_timeout_while(state, timeout, |state| state.running > 0);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.running > 0 {
            return false;
        }
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            // A panic of theirs was told by the panic hook; there is nothing more to say.
            let _ = thread.join();
        }
        true
    }
}

/// One thread's place in the count, given up by dropping it.
struct Place(Arc<Running>);

impl Place {
    fn take(among: &Arc<Running>) -> Self {
        among.lock().running += 1;
        Self(among.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.ended.notify_all();
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subscribe(
    events: Option<&evs_events>,
    channels: *const evs_str,
    channels_len: usize,
) -> Result<(&evs_events, Subscription)> {
    let channels = cast::channels(channels, channels_len)?;
    let events = needed(events, "events")?;
    Ok((events, events.events.subscribe(channels)?))
}

/// The next message; `None` when the events are closed, or the subscription was freed.
fn wait(subscription: &mut Subscription, stopped: &AtomicBool) -> Option<evstream::Message> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    while !stopped.load(Ordering::SeqCst) {
        match subscription.poll_message(&Context::from_waker(&waker)) {
            Poll::Ready(message) => return message,
            Poll::Pending => std::thread::park(),
        }
    }
    None
}

/// Wakes a thread that has parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
