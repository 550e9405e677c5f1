//! Log records of the core on their way to `logging`.
//!
//! Our threads leave them in a queue and never enter the interpreter; a Python thread is woken through a descriptor and
//! takes them in batches. When it cannot keep up, further records are counted instead of kept.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::Write as _,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Mutex,
        atomic::{AtomicPtr, AtomicU8, Ordering},
    },
};

use pyo3::prelude::*;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

use crate::{failure::lock, sys::take_fd};

/// A level as `logging` has it, the Rust module, and the text.
type LogRecord = (u8, &'static str, String);

#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    records: VecDeque<LogRecord>,
    dropped: u64,
    /// Gets a byte when there is something to take again, and ends when there will be nothing any more.
    signal: Option<UnixStream>,
    /// The interpreter takes no more: what matters still is what the last events were lost by.
    ended: bool,
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

/// Has a byte written to a socket whenever records wait again. Takes over the descriptor `fd`, which must not block.
#[pyfunction]
pub(crate) fn signal_log_records(fd: i32) {
    let mut state = lock(&queue().0);
    state.signal = take_fd(fd).map(UnixStream::from);
    if !state.is_empty() {
        state.wake();
    }
}

/// Takes the log records that wait.
#[pyfunction]
pub(crate) fn take_log_records() -> Vec<LogRecord> {
    let mut state = lock(&queue().0);
    let mut records: Vec<_> = state.records.drain(..).collect();
    if std::mem::take(&mut state.dropped) > 0 {
        records.push((WARNING, "evstream", "some log records came too fast and are lost".to_owned()));
    }
    records
}

/// Wants records of this level, as `logging` has it, and above.
#[pyfunction]
pub(crate) fn set_log_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Has the thread that takes log records look for other news, too.
pub(crate) fn wake() {
    lock(&queue().0).wake();
}

/// Ends the socket that is written to for log records. Errors go to the standard error from now on.
#[pyfunction]
pub(crate) fn stop_logging() {
    let mut state = lock(&queue().0);
    state.ended = true;
    if let Some(signal) = &state.signal {
        let _ = signal.shutdown(Shutdown::Write); // the other end may be gone
    }
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

impl State {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.dropped == 0
    }

    fn wake(&self) {
        if let Some(mut signal) = self.signal.as_ref() {
            let _ = signal.write(&[1]); // refused only when it is full, and then it is readable already
        }
    }
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
        let mut state = lock(&queue().0);
        if state.ended {
            drop(state);
            if *metadata.level() == Level::ERROR {
                let _ = writeln!(std::io::stderr(), "{}: {}{}", metadata.target(), text.message, text.fields);
            }
            return;
        }
        let first = state.is_empty();
        if state.records.len() < MAX_RECORDS {
            let record = (level_number(*metadata.level()), metadata.target(), text.message + &text.fields);
            state.records.push_back(record);
        } else {
            state.dropped += 1;
        }
        if first {
            state.wake();
        }
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
