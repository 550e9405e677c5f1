//! What the core logs, on its way to JavaScript.
//!
//! The core's threads serve a whole process and do not know for whom they log, so that the newest `Events` which takes
//! a log gets it all.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex, Once, PoisonError, Weak},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

use crate::bridge::{Bridge, LogRecord, News};

/// Sends the log to `bridge`, down to `level`.
pub(crate) fn subscribe(bridge: &Arc<Bridge>, level: &str) {
    static INSTALL: Once = Once::new();
    // This library has its own copy of `tracing`, so nobody can have been here before.
    INSTALL.call_once(|| drop(tracing::subscriber::set_global_default(Forward)));
    let level = level.parse().unwrap_or(Level::WARN);
    let mut readers = lock();
    readers.retain(|(reader, _)| reader.strong_count() > 0);
    readers.push((Arc::downgrade(bridge), level));
}

pub(crate) fn unsubscribe(bridge: &Arc<Bridge>) {
    lock().retain(|(reader, _)| !std::ptr::eq(reader.as_ptr(), Arc::as_ptr(bridge)));
}

static READERS: Mutex<Vec<(Weak<Bridge>, Level)>> = Mutex::new(Vec::new());

fn lock() -> std::sync::MutexGuard<'static, Vec<(Weak<Bridge>, Level)>> {
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Forward;

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Readers come and go, so only what concerns none of them is settled for good.
        if metadata.target().starts_with("evstream") { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        lock().last().is_some_and(|(_, level)| metadata.level() <= level)
    }

    fn event(&self, event: &Event<'_>) {
        // Taken out of the lock: telling may log itself.
        let reader = lock().last().map(|(bridge, _)| bridge.clone());
        let Some(bridge) = reader.and_then(|bridge| bridge.upgrade()) else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let record = LogRecord { level, message: line.message + &line.fields };
        bridge.tell(News { record: Some(record), ..News::new("log") });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message, and then the fields as `name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
