//! Hearing of a signal before the one who handles it: for servers whose handlers end the process at once, as uWSGI's do.
//!
//! Our handler takes the place of theirs and only notes the signal. A thread, which needs no interpreter, gives streams a
//! moment for their last words; then it puts the handler of the server back and has the signal come again. Whatever
//! streams do, the server gets its signal when that moment is over.

use std::{
    io::Read as _,
    os::{fd::IntoRawFd as _, unix::net::UnixStream},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use libc::c_int;
use pyo3::prelude::*;

use crate::failure::lock;

/// A stream that ends when a signal asks the process to.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Heeding {
    /// Signals that had come when it began.
    before: u64,
    shared: Mutex<Option<&'static Shared>>,
}

/// Replaced in a forked child, whose copy may be locked for ever.
#[derive(Debug, Default)]
struct Shared {
    streams: Mutex<usize>,
    none_left: Condvar,
    installing: Mutex<()>,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());

/// The process whose thread reads what handlers write.
static PROCESS: AtomicI32 = AtomicI32::new(0);
static WRITER: AtomicI32 = AtomicI32::new(-1);

/// Signals that have come, and how many of them are not passed on yet.
static HEARD: AtomicU64 = AtomicU64::new(0);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What was there before us, by the signal's number.
static BEFORE: [AtomicPtr<libc::sigaction>; MOST] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST];

#[pymethods]
impl Heeding {
    /// A stream that begins; from now on these signals are heard, and wait up to `timeout` seconds for it.
    #[new]
    fn new(signals: Vec<c_int>, timeout: f64) -> PyResult<Self> {
        let shared = shared();
        *lock(&shared.streams) += 1;
        let this = Self { before: HEARD.load(Ordering::SeqCst), shared: Mutex::new(Some(shared)) };
        shared.install(&signals, Duration::try_from_secs_f64(timeout).unwrap_or_default())?;
        Ok(this)
    }

    /// Whether the process was asked to end since the stream began, or is about to.
    #[getter]
    fn is_over(&self) -> bool {
        HEARD.load(Ordering::SeqCst) != self.before || WAITING.load(Ordering::SeqCst) > 0
    }

    /// The stream has ended.
    fn close(&self) {
        if let Some(shared) = lock(&self.shared).take() {
            let mut streams = lock(&shared.streams);
            *streams -= 1;
            if *streams == 0 {
                shared.none_left.notify_all();
            }
        }
    }
}

/// Starts over, in a forked child: the thread is not there, and signals are passed on at once.
pub(crate) fn reset() {
    // The old one is leaked, as threads that are not there any more may hold its locks.
    SHARED.store(Box::leak(Box::default()), Ordering::SeqCst);
    WAITING.store(0, Ordering::SeqCst);
}

#[expect(unsafe_code, reason = "a pointer that a forked child can replace without a lock")]
fn shared() -> &'static Shared {
    // SAFETY: set at import to what is never freed, and only ever replaced by another one.
    unsafe { &*SHARED.load(Ordering::SeqCst) }
}

impl Shared {
    fn install(&'static self, signals: &[c_int], timeout: Duration) -> std::io::Result<()> {
        let _installing = lock(&self.installing);
        let process = own_process();
        if PROCESS.load(Ordering::SeqCst) != process {
            let (reader, writer) = UnixStream::pair()?;
            writer.set_nonblocking(true)?;
            let run = move || self.pass_on(reader, timeout);
            // The server's handlers belong on its own threads.
            without_signals(|| std::thread::Builder::new().name("evstream-signal".to_owned()).spawn(run))?;
            WRITER.store(writer.into_raw_fd(), Ordering::SeqCst);
            PROCESS.store(process, Ordering::SeqCst);
        }
        for number in signals {
            take_over(*number)?;
        }
        Ok(())
    }

    fn pass_on(&self, mut reader: UnixStream, timeout: Duration) {
        let mut byte = [0];
        while reader.read_exact(&mut byte).is_ok() {
            let streams = lock(&self.streams);
            let waited = self.none_left.wait_timeout_while(streams, timeout, |streams| *streams > 0);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            give_back(byte[0].into());
            let _ =
                WAITING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |waiting| waiting.checked_sub(1));
        }
    }
}

/// The handler: it may do next to nothing.
extern "C" fn hear(number: c_int) {
    if PROCESS.load(Ordering::SeqCst) != own_process() {
        give_back(number); // a forked child has no thread for it
        return;
    }
    HEARD.fetch_add(1, Ordering::SeqCst);
    WAITING.fetch_add(1, Ordering::SeqCst);
    tell(number);
}

#[expect(unsafe_code, reason = "a handler may call little more than the system")]
fn tell(number: c_int) {
    let byte = u8::try_from(number).unwrap_or_default();
    // SAFETY: the buffer has the length that is given, and the descriptor is never closed. MSG_DONTWAIT: a socket that is
    // full is one that many signals wait in already, and then the next of this number is the server's.
    let sent =
        unsafe { libc::send(WRITER.load(Ordering::SeqCst), (&raw const byte).cast(), 1, libc::MSG_DONTWAIT) };
    if sent != 1 {
        give_back(number);
    }
}

#[expect(unsafe_code, reason = "the system's interface for signals")]
fn take_over(number: c_int) -> std::io::Result<()> {
    let Some(before) = slot(number) else {
        return Ok(());
    };
    // SAFETY: all zeros are a valid `sigaction`, which the call fills in.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: it asks only, and writes to `old`.
    if unsafe { libc::sigaction(number, std::ptr::null(), &raw mut old) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let ours = hear as extern "C" fn(c_int) as libc::sighandler_t;
    if old.sa_sigaction == ours || old.sa_sigaction == libc::SIG_IGN {
        return Ok(());
    }
    // Never freed: a handler may be about to read it. It happens once, or again when the process has outlived a signal.
    before.store(Box::leak(Box::new(old)), Ordering::SeqCst);
    // SAFETY: as above.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = ours;
    new.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `new` names a handler that does what handlers may.
    if unsafe { libc::sigaction(number, &raw const new, std::ptr::null_mut()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Has the signal come again, to the handler that was there before us.
#[expect(unsafe_code, reason = "the system's interface for signals")]
fn give_back(number: c_int) {
    let before = slot(number).map_or(std::ptr::null_mut(), |before| before.load(Ordering::SeqCst));
    if !before.is_null() {
        // SAFETY: it was filled in by the system and is never freed.
        unsafe { libc::sigaction(number, before, std::ptr::null_mut()) };
    }
    // SAFETY: it sends a signal that has just come to this process.
    unsafe { libc::kill(own_process(), number) };
}

fn slot(number: c_int) -> Option<&'static AtomicPtr<libc::sigaction>> {
    BEFORE.get(usize::try_from(number).ok()?)
}

#[expect(unsafe_code, reason = "std's asks the same, but does not promise that a handler may")]
fn own_process() -> c_int {
    // SAFETY: it cannot fail.
    unsafe { libc::getpid() }
}

/// Has what `spawn` starts block all signals.
#[expect(unsafe_code, reason = "the system's interface for signals")]
fn without_signals<T>(spawn: impl FnOnce() -> T) -> T {
    // SAFETY: all zeros are a valid set, which the calls fill in.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: it writes to a set that is there.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are there; the mask of this thread is put back below.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let spawned = spawn();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    spawned
}

const MOST: usize = 65;
