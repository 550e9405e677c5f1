//! Threads of the library's own, and the signals that they leave to the host.
//!
//! A signal for a process goes to any of its threads that does not block it. A host that reads its signals from a
//! descriptor, or waits for them on a thread of its own, blocks them in its threads and cannot do so in ours; so ours
//! block all but those that tell of a fault of the thread itself, or are a profiler's. What the application has us
//! call is its own again: it runs with the signals of the thread that started ours, which a child it starts inherits.

#[cfg(feature = "runtime")]
pub(crate) use own::{HostSignals, STACK_BYTES, starting};
#[cfg(feature = "runtime")]
pub use own::{as_host, spawn};

/// Without the runtime there are no threads of ours.
#[cfg(not(feature = "runtime"))]
pub(crate) fn as_host<T>(act: impl FnOnce() -> T) -> T {
    act()
}

#[cfg(feature = "runtime")]
mod own {
    use std::{
        cell::Cell,
        io,
        thread::{Builder, JoinHandle},
    };

    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    /// The stacks of our threads. They call the application's code, which is used to as much from the threads of C and Python;
    /// Rust would give a quarter. Memory that is not used is not taken.
    pub(crate) const STACK_BYTES: usize = 8 * 1_024 * 1_024;

    /// Starts a thread of ours. Fails with what the system says.
    pub fn spawn<T: Send + 'static>(
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        starting(|host| {
            Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(move || {
                host.note();
                work()
            })
        })
    }

    /// Has the threads that `start` starts be ours from their first instruction on; each must
    /// [`note`](HostSignals::note) what it is given.
    pub(crate) fn starting<T>(start: impl FnOnce(HostSignals) -> T) -> T {
        let before = Restore(swap(SigmaskHow::SIG_BLOCK, hosts_signals()));
        start(HOST.get().unwrap_or(HostSignals(before.0)))
    }

    /// Calls what the application has us call, as if it were called by the thread that started this one.
    pub fn as_host<T>(act: impl FnOnce() -> T) -> T {
        let Some(HostSignals(host)) = HOST.get() else { return act() };
        // Inside of it, this is a thread of the host.
        let _inside = Inside(HOST.replace(None));
        let _before = Restore(swap(SigmaskHow::SIG_SETMASK, host));
        act()
    }

    /// The signals that were blocked where a thread of ours was started.
    #[derive(Clone, Copy)]
    pub(crate) struct HostSignals(SigSet);

    thread_local! {
        /// In a thread of ours that is not in a callback.
        static HOST: Cell<Option<HostSignals>> = const { Cell::new(None) };
    }

    impl HostSignals {
        /// To be called by a thread of ours when it starts.
        pub(crate) fn note(self) {
            HOST.set(Some(self));
            swap(SigmaskHow::SIG_BLOCK, hosts_signals());
        }
    }

    struct Inside(Option<HostSignals>);

    impl Drop for Inside {
        fn drop(&mut self) {
            HOST.set(self.0);
        }
    }

    struct Restore(SigSet);

    impl Drop for Restore {
        fn drop(&mut self) {
            swap(SigmaskHow::SIG_SETMASK, self.0);
        }
    }

    /// Changes which signals this thread blocks, and gives back which it has blocked.
    fn swap(how: SigmaskHow, signals: SigSet) -> SigSet {
        signals.thread_swap_mask(how).expect("only what is no signal cannot be blocked")
    }

    /// SIGPIPE, too: some of what we call writes without `MSG_NOSIGNAL`, and in a C host the signal would end the process.
    fn hosts_signals() -> SigSet {
        let mut signals = SigSet::all();
        for own in [
            Signal::SIGABRT,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGPROF,
            Signal::SIGSEGV,
            Signal::SIGSYS,
            Signal::SIGTRAP,
        ] {
            signals.remove(own);
        }
        signals
    }
}
