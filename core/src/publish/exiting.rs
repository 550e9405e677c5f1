//! The end of the process: what was published last gets into the journal before it.

use std::{
    panic::catch_unwind,
    sync::{
        Arc, Mutex, TryLockError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::appending::Queue;
use crate::{fork::Process, sys};

/// Has the process wait for a queue when it exits, and say what is lost when that was not enough.
pub(super) fn wait_at_exit(queue: &Arc<Queue>) {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::AcqRel) && !sys::on_exit(exit) {
        tracing::warn!("the end of the process cannot be noticed: close the events before");
    }
    let known = with_queues(|queues| {
        queues.retain(|(_, queue)| queue.strong_count() > 0);
        queues.push((Process::current(), Arc::downgrade(queue)));
    });
    if known.is_none() {
        tracing::warn!("the end of the process will not wait for the journal: close the events before");
    }
}

extern "C" fn exit() {
    let _ = catch_unwind(|| {
        let queues = with_queues(std::mem::take).unwrap_or_default();
        let deadline = Instant::now() + AT_EXIT;
        let own = queues.iter().filter(|(process, _)| process.is_current());
        let lost: u64 = own.filter_map(|(_, queue)| queue.upgrade()).map(|queue| queue.flush(deadline)).sum();
        if lost > 0 {
            tracing::error!(
                events = lost,
                "the process ends before the journal has taken what was published: close the events first"
            );
        }
    });
}

/// `None` in a child that was forked off while a thread of the parent was here, which holds the lock for ever.
fn with_queues<T>(act: impl FnOnce(&mut Vec<(Process, Weak<Queue>)>) -> T) -> Option<T> {
    static QUEUES: Mutex<Vec<(Process, Weak<Queue>)>> = Mutex::new(Vec::new());
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match QUEUES.try_lock() {
            Ok(mut queues) => return Some(act(&mut queues)),
            Err(TryLockError::Poisoned(poisoned)) => return Some(act(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::yield_now(),
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

/// A journal that cannot be reached must not keep a process from ending for long.
const AT_EXIT: Duration = Duration::from_secs(2);
