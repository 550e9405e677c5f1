//! Log records of the core on their way to `logging`.
//!
//! Our threads leave them in a queue and never enter the interpreter; a Python thread fetches them in batches. When it
//! cannot keep up, further records are counted instead of kept.

use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicPtr, AtomicU8, Ordering},
    },
    time::Duration,
};

use pyo3::prelude::*;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

use crate::{failure::lock, waiting::wait};

/// A level as `logging` has it, the Rust module, and the text.
type LogRecord = (u8, &'static str, String);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: VecDeque<LogRecord>,
    dropped: u64,
    stopped: bool,
}

struct Forwarder;

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

/// Replaced in a forked child, whose copy may be locked for ever.
static QUEUE: AtomicPtr<Queue> = AtomicPtr::new(std::ptr::null_mut());

/// The least level that is wanted, as `logging` has it.
static LEVEL: AtomicU8 = AtomicU8::new(INFO);

/// Has the core's log records come here, unless the process has another place for them.
pub(crate) fn install() {
    reset();
    let _ = tracing::subscriber::set_global_default(Forwarder);
}

/// Waits for log records and takes them, at most for `timeout` seconds; `None` when there will be none any more.
#[pyfunction]
pub(crate) fn next_log_records(py: Python<'_>, timeout: f64) -> Option<Vec<LogRecord>> {
    let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
    wait(py, || {
        let queue = queue();
        let idle = |state: &mut State| state.records.is_empty() && state.dropped == 0 && !state.stopped;
        let waited = queue.changed.wait_timeout_while(lock(&queue.state), timeout, idle);
        let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut records: Vec<_> = state.records.drain(..).collect();
        if std::mem::take(&mut state.dropped) > 0 {
            records.push((WARNING, "evstream", "some log records came too fast and are lost".to_owned()));
        }
        (!state.stopped || !records.is_empty()).then_some(records)
    })
}

/// Wants records of this level, as `logging` has it, and above.
#[pyfunction]
pub(crate) fn set_log_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Lets `next_log_records` end.
#[pyfunction]
pub(crate) fn stop_logging() {
    let queue = queue();
    lock(&queue.state).stopped = true;
    queue.changed.notify_all();
}

/// Starts over, in a forked child.
pub(crate) fn reset() {
    // The old one is leaked: a thread that is not there any more may hold its lock.
    QUEUE.store(Box::leak(Box::default()), Ordering::SeqCst);
}

#[expect(unsafe_code, reason = "a pointer that a forked child can replace without a lock")]
fn queue() -> &'static Queue {
    // SAFETY: set at import to a queue that is never freed, and only ever replaced by another one.
    unsafe { &*QUEUE.load(Ordering::SeqCst) }
}

impl Subscriber for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("evstream")
            && level_number(*metadata.level()) >= LEVEL.load(Ordering::Relaxed)
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Asked each time, as the level may change.
        if metadata.is_event() && metadata.target().starts_with("evstream") {
            tracing::subscriber::Interest::sometimes()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let queue = queue();
        let mut state = lock(&queue.state);
        if state.records.len() < MAX_RECORDS {
            let record = (level_number(*metadata.level()), metadata.target(), text.message + &text.fields);
            state.records.push_back(record);
        } else {
            state.dropped += 1;
        }
        drop(state);
        queue.changed.notify_one();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => WARNING,
        Level::INFO => INFO,
        _ => 10,
    }
}

const WARNING: u8 = 30;
const INFO: u8 = 20;
const MAX_RECORDS: usize = 2_048;
