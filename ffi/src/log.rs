//! The log

use std::{
    cell::Cell,
    ffi::c_void,
    fmt::{Debug, Write as _},
    io::Write as _,
    mem::MaybeUninit,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

use crate::{
    call::call,
    callback::{Manners, UserData, evs_free_fn},
    error::{Failure, evs_error},
    status::evs_status,
    text::evs_str,
};

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum evs_log_level {
    /// Nothing is logged.
    Off = 0,
    /// Something failed that should not.
    Error = 1,
    /// Something is wrong with the settings, a proxy or the system.
    Warn = 2,
    /// What an operator may want to know.
    Info = 3,
    /// What helps to find a fault.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Called with each line of the log.
///
/// It runs on the thread that has something to say, which other streams may need, several at the same time. It must be
/// short and must not block. What evstream would log meanwhile on this thread is left out.
///
/// @param user_data  As you gave it.
/// @param level      An evs_log_level.
/// @param target     Where it comes from, such as "evstream::server". It lives until the callback returns.
/// @param message    What there is to say, without a line end. It lives until the callback returns.
pub type evs_log_fn =
    Option<extern "C" fn(user_data: *mut c_void, level: u32, target: evs_str, message: evs_str)>;

/// Sends the log of the whole process to a callback, in place of the one before. Until it is called, errors go to the
/// standard error: events that are lost, and faults of the library.
///
/// @param level           An evs_log_level: what is logged, with everything that matters more.
/// @param log             What to call, or NULL to log nothing.
/// @param user_data       What to call it with. It is freed when another callback has taken its place and it is not
///                        running.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_log_set(
    level: u32,
    log: evs_log_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        if level > evs_log_level::Trace as u32 {
            let text = format!("level takes one of EVS_LOG_LEVEL_..., 0 to 5, not {level}");
            return Err(Failure::argument(text));
        }
        install();
        let sink = log.map(|log| Arc::new(Sink { log, user_data }));
        let level = if sink.is_some() { level } else { evs_log_level::Off as u32 };
        IS_SET.store(true, Ordering::Relaxed);
        LEVEL.store(level, Ordering::Relaxed);
        SINK.store(sink);
        Ok(evs_status::Ok)
    })
}

struct Sink {
    log: extern "C" fn(*mut c_void, u32, evs_str, evs_str),
    user_data: UserData,
}

static LEVEL: AtomicU32 = AtomicU32::new(evs_log_level::Error as u32);
/// Whether the application has said where lines go.
static IS_SET: AtomicBool = AtomicBool::new(false);
/// Without a lock: one that another thread holds when the process forks stays locked in the child for ever.
static SINK: ArcSwapOption<Sink> = ArcSwapOption::const_empty();

thread_local! {
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Has this library's log, which is its own also where the host has one, go where the callback is.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        // It fails only if there is one already, and nobody but us can set it.
        let _ = tracing::subscriber::set_global_default(Log);
    }
}

struct Log;

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Asked at each line, because the level can change at any time; but other libraries' lines never interest.
        if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata) && number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // the library uses no spans
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let sink = SINK.load_full();
        if sink.is_none() && IS_SET.load(Ordering::Relaxed) {
            return;
        }
        if LOGGING.replace(true) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let (level, target) = (number(*event.metadata().level()), event.metadata().target());
        match sink {
            Some(sink) => sink.user_data.call(Manners::Short, |data| {
                (sink.log)(data, level, target.into(), line.text().as_str().into());
            }),
            // It may be closed.
            None => drop(writeln!(std::io::stderr(), "evstream: {}", line.text())),
        }
        LOGGING.set(false);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("evstream")
}

fn number(level: Level) -> u32 {
    let level = match level {
        Level::ERROR => evs_log_level::Error,
        Level::WARN => evs_log_level::Warn,
        Level::INFO => evs_log_level::Info,
        Level::DEBUG => evs_log_level::Debug,
        Level::TRACE => evs_log_level::Trace,
    };
    level as u32
}

/// A line being put together: the message, and then the other fields as `name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(self) -> String {
        self.message + &self.fields
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
