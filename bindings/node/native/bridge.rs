//! The one way from Rust threads to JavaScript.
//!
//! What has happened waits here, and JavaScript is called once to fetch all of it: a call per event would cost more
//! than the event. The callback does not keep the process alive.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use evstream::{CloseReason, Observer, OpenStream, PublishFailure, Stream};
use napi::{
    Status,
    bindgen_prelude::Function,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;

use crate::{error::Result, request::NativeRequest};

pub(crate) struct Bridge {
    waiting: Mutex<Waiting>,
    /// Gone when JavaScript wants to hear no more: as long as it is there, Node counts it as something open.
    callback: Mutex<Option<ThreadsafeFunction<(), (), (), Status, false, true>>>,
    /// Whether JavaScript listens to streams, so that nobody pays for news that no one reads.
    listening: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    called: bool,
    wakes: Vec<u32>,
    news: VecDeque<News>,
    lost: u32,
}

/// What JavaScript fetches.
#[napi(object)]
pub struct Fetched {
    /// Whom to wake: the numbers that were given to `pull`, `subscribe` and so on.
    pub wakes: Vec<u32>,
    pub news: Vec<News>,
    /// News that was not kept because JavaScript was too slow to fetch it.
    pub lost: u32,
}

/// Something that has happened.
#[napi(object)]
pub struct News {
    #[napi(ts_type = "'open' | 'close' | 'publishError' | 'log' | 'ask'")]
    pub kind: String,
    pub stream: Option<StreamInfo>,
    #[napi(ts_type = "CloseReason")]
    pub reason: Option<String>,
    pub failure: Option<Failure>,
    pub record: Option<LogRecord>,
    pub ask: Option<Ask>,
}

/// A client's stream.
#[napi(object)]
pub struct StreamInfo {
    pub id: String,
    pub channels: Vec<String>,
    pub user: Option<String>,
    pub address: Option<String>,
}

/// An event that a proxy did not get.
#[napi(object)]
pub struct Failure {
    pub proxy: Option<String>,
    pub channel: String,
    pub position: Option<String>,
    pub error: String,
}

/// A line for the log.
#[napi(object)]
pub struct LogRecord {
    pub level: String,
    pub message: String,
}

/// A request to the own server, on which JavaScript is to decide.
#[napi(object)]
pub struct Ask {
    pub id: u32,
    pub mount: u32,
    pub request: NativeRequest,
    /// The channels that the client names.
    pub requested: Vec<String>,
}

impl Bridge {
    pub(crate) fn new(callback: Function<'_, (), ()>) -> Result<Arc<Self>> {
        let callback = callback.build_threadsafe_function::<()>().weak::<true>().build()?;
        let callback = Mutex::new(Some(callback));
        Ok(Arc::new(Self { waiting: Mutex::default(), callback, listening: AtomicBool::new(false) }))
    }

    pub(crate) fn fetch(&self) -> Fetched {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        Fetched { wakes: waiting.wakes, news: waiting.news.into(), lost: waiting.lost }
    }

    /// Calls JavaScript no more.
    pub(crate) fn release(&self) {
        drop(lock(&self.callback).take());
    }

    pub(crate) fn listen(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Has JavaScript wake `id`.
    pub(crate) fn wake(&self, id: u32) {
        self.post(|waiting| waiting.wakes.push(id));
    }

    /// Tells JavaScript; when it does not keep up, the news is counted and forgotten. False then.
    pub(crate) fn tell(&self, news: News) -> bool {
        let mut kept = true;
        self.post(|waiting| {
            kept = waiting.news.len() < MAX_NEWS;
            if kept {
                waiting.news.push_back(news);
            } else {
                waiting.lost = waiting.lost.saturating_add(1);
            }
        });
        kept
    }

    /// A waker that has JavaScript wake `id`.
    pub(crate) fn waker(self: &Arc<Self>, id: u32) -> Waker {
        Arc::new(Wakes { bridge: Arc::downgrade(self), id }).into()
    }

    fn post(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = lock(&self.waiting);
        change(&mut waiting);
        let is_first = !std::mem::replace(&mut waiting.called, true);
        drop(waiting);
        if is_first {
            // Fails only while the environment ends, when there is nobody left to tell.
            if let Some(callback) = &*lock(&self.callback) {
                let _ = callback.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        }
    }
}

impl News {
    pub(crate) fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), stream: None, reason: None, failure: None, record: None, ask: None }
    }
}

struct Wakes {
    bridge: Weak<Bridge>,
    id: u32,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(bridge) = self.bridge.upgrade() {
            bridge.wake(self.id);
        }
    }
}

/// Passes on what the core's observer is told.
pub(crate) struct Watcher(pub(crate) Weak<Bridge>);

impl Watcher {
    fn listening(&self) -> Option<Arc<Bridge>> {
        self.0.upgrade().filter(|bridge| bridge.listening.load(Ordering::Relaxed))
    }
}

impl Observer for Watcher {
    fn stream_opened(&self, stream: &Stream) {
        if let Some(bridge) = self.listening() {
            bridge.tell(News { stream: Some(stream_info(stream)), ..News::new("open") });
        }
    }

    fn publish_failed(&self, failure: &PublishFailure) {
        let Some(bridge) = self.listening() else { return };
        let failure = Failure {
            proxy: failure.proxy.clone(),
            channel: failure.channel.clone(),
            position: failure.position.map(|position| position.to_string()),
            error: crate::error::throw(failure.error.clone()).reason.clone(),
        };
        bridge.tell(News { failure: Some(failure), ..News::new("publishError") });
    }

    fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
        if let Some(bridge) = self.listening() {
            let reason = Some(reason.name().to_owned());
            bridge.tell(News { stream: Some(stream_info(stream)), reason, ..News::new("close") });
        }
    }
}

/// A stream that is open.
#[napi(object, object_from_js = false, js_name = "OpenStream")]
pub struct OpenStreamInfo {
    pub id: String,
    pub channels: Vec<String>,
    pub user: Option<String>,
    pub address: Option<String>,
    pub position: String,
    pub age_ms: f64,
    pub behind: f64,
}

pub(crate) fn open_stream(stream: OpenStream) -> OpenStreamInfo {
    OpenStreamInfo {
        id: stream.id,
        channels: stream.channels,
        user: stream.user,
        address: stream.address.map(|address| address.to_string()),
        position: stream.position.to_string(),
        age_ms: stream.age_ms as f64,
        behind: stream.behind as f64,
    }
}

fn stream_info(stream: &Stream) -> StreamInfo {
    StreamInfo {
        id: stream.id(),
        channels: stream.channels().map(str::to_owned).collect(),
        user: stream.user().map(str::to_owned),
        address: stream.peer().map(|peer| peer.to_string()),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enough for every client of a large application to come back at once; then counting must do.
const MAX_NEWS: usize = 65_536;
