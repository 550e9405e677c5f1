//! The threads of subscriptions that call back.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{JoinHandle, Thread},
    time::Duration,
};

use evstream::{__internal::spawn, Message, Subscription};

use crate::error::Result;

/// A thread that calls back, ended by dropping this.
pub(crate) struct Delivery {
    stopped: Arc<AtomicBool>,
    thread: Thread,
}

impl Delivery {
    pub(crate) fn new(stopped: Arc<AtomicBool>, thread: Thread) -> Self {
        Self { stopped, thread }
    }
}

impl Drop for Delivery {
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
    pub(crate) fn start(&self, deliver: impl FnOnce() + Send + 'static) -> Result<Thread> {
        let running = Place::take(&self.0);
        // Held until its handle is where `join` looks for it.
        let _starting = Place::take(&self.0);
        // Without the lock: what the closure drops when there is no thread to be had may call us.
        let thread = spawn("evstream-sub", move || {
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

/// The next message; `None` when the hub is closed, or the subscription was freed.
pub(crate) fn wait(subscription: &mut Subscription, stopped: &AtomicBool) -> Option<Message> {
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
