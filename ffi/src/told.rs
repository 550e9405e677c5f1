//! How what can be read tells that it is worth reading on: by a queue, by a callback, or not at all.

use std::{
    ffi::c_void,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use evstream::{ErrorKind, Message, Pull, Subscription};

use crate::{
    call::needed,
    callback::{Manners, UserData, refuse_in_short_callback},
    error::{Failure, Result},
    ready::{Entry, evs_ready_fn, evs_ready_queue},
    status::evs_status,
};

/// Who is told.
#[derive(Default)]
pub(crate) enum Told {
    /// Nobody.
    #[default]
    Nobody,
    /// The callback of the last poll.
    Callback(Arc<Callback>),
    /// The queue that it is attached to.
    Queue(Arc<Entry>),
}

/// What can be read.
pub(crate) trait Readable {
    type Item;

    /// The next item, waiting for it at most this long; `None` at the end.
    fn wait(&mut self, timeout: Duration) -> evstream::Result<Option<Self::Item>>;

    /// The next item if there is one; `None` at the end.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Self::Item>>;
}

/// What came of reading.
pub(crate) enum Next<T> {
    Item(T),
    /// Nothing, for this reason.
    Nothing(evs_status),
}

impl Told {
    /// Has a queue told from now on.
    pub(crate) fn attach(&mut self, queue: Option<&evs_ready_queue>, user_data: *mut c_void) -> Result<()> {
        *self = Self::Queue(needed(queue, "queue")?.entry(user_data));
        Ok(())
    }

    /// Prepares to read, and refuses to wait where that must not be. The callback of the last poll is not called any more.
    pub(crate) fn begin(&mut self, timeout_ms: u64) -> Result<()> {
        if timeout_ms > 0 {
            refuse_in_short_callback()?;
            self.check_not_attached()?;
        }
        self.forget_callback();
        Ok(())
    }

    /// Reads the next item; one that is attached does not wait.
    pub(crate) fn next<R: Readable>(&self, from: &mut R, timeout_ms: u64) -> Result<Next<R::Item>> {
        if let Self::Queue(entry) = self {
            return Ok(from.poll(&Context::from_waker(&Waker::from(entry.clone()))).into());
        }
        match from.wait(Duration::from_millis(timeout_ms)) {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(Next::Nothing(evs_status::Timeout)),
            next => Ok(Poll::Ready(next?).into()),
        }
    }

    /// Prepares to poll. The callback of the last poll is not called any more.
    pub(crate) fn begin_poll(&mut self) -> Result<()> {
        self.check_not_attached()?;
        self.forget_callback();
        Ok(())
    }

    /// Reads the next item, or else has a callback called when there may be one.
    pub(crate) fn poll<R: Readable>(&mut self, from: &mut R, callback: Arc<Callback>) -> Next<R::Item> {
        let next = from.poll(&Context::from_waker(&Waker::from(callback.clone())));
        if next.is_pending() {
            *self = Self::Callback(callback);
        }
        next.into()
    }

    fn check_not_attached(&self) -> Result<()> {
        match self {
            Self::Queue(_) => {
                Err(Failure::argument("it is attached to a ready queue, which tells when to read on"))
            }
            _ => Ok(()),
        }
    }

    fn forget_callback(&mut self) {
        if let Self::Callback(_) = self {
            *self = Self::Nobody;
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        match self {
            Self::Nobody => {}
            Self::Callback(callback) => drop(callback.take()),
            Self::Queue(entry) => entry.forget(),
        }
    }
}

impl<T> From<Poll<Option<T>>> for Next<T> {
    fn from(next: Poll<Option<T>>) -> Self {
        match next {
            Poll::Ready(Some(item)) => Self::Item(item),
            Poll::Ready(None) => Self::Nothing(evs_status::Ended),
            Poll::Pending => Self::Nothing(evs_status::Pending),
        }
    }
}

impl Readable for Pull {
    type Item = Bytes;

    fn wait(&mut self, timeout: Duration) -> evstream::Result<Option<Bytes>> {
        self.next_timeout(timeout)
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_next(cx)
    }
}

impl Readable for Subscription {
    type Item = Message;

    fn wait(&mut self, timeout: Duration) -> evstream::Result<Option<Message>> {
        self.next_timeout(timeout)
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

/// A callback that is called at most once. Without a lock, as all that a forked child may free.
pub(crate) struct Callback(ArcSwapOption<(extern "C" fn(*mut c_void), UserData)>);

impl Callback {
    pub(crate) fn new(ready: evs_ready_fn, user_data: UserData) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(ArcSwapOption::from_pointee((needed(ready, "ready")?, user_data)))))
    }

    /// What is taken is nobody else's: who looks at it takes it.
    fn take(&self) -> Option<Arc<(extern "C" fn(*mut c_void), UserData)>> {
        self.0.swap(None)
    }
}

impl Wake for Callback {
    fn wake(self: Arc<Self>) {
        if let Some(taken) = self.take() {
            let (ready, user_data) = &*taken;
            user_data.call(Manners::Short, |data| ready(data));
        }
    }
}
