//! How our threads wake an event loop: through a descriptor that it watches, once for all that happened meanwhile.
//!
//! Our threads never enter the interpreter for this, so that neither a busy nor an ending one holds them up.

use std::{
    io::{Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{Arc, Mutex},
    task::{Wake, Waker},
};

use pyo3::prelude::*;

use crate::failure::{Failure, Result, lock};

/// What has woken in the meantime, for one event loop.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Wakeups {
    reader: UnixStream,
    shared: Arc<Shared>,
}

/// Someone who waits on an event loop, known to it by a key.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Waiter(Waker);

#[derive(Debug)]
struct Shared {
    writer: UnixStream,
    woken: Mutex<Vec<u64>>,
}

struct Slot {
    shared: Arc<Shared>,
    key: u64,
}

#[pymethods]
impl Wakeups {
    #[new]
    fn new() -> Result<Self> {
        let pair = UnixStream::pair().and_then(|(reader, writer)| {
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok((reader, writer))
        });
        let (reader, writer) = pair.map_err(|error| Failure::from(evstream::Error::from(error)))?;
        Ok(Self { reader, shared: Arc::new(Shared { writer, woken: Mutex::default() }) })
    }

    /// Readable when there is something to take.
    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// A waiter that is known by `key`.
    fn waiter(&self, key: u64) -> Waiter {
        Waiter(Waker::from(Arc::new(Slot { shared: self.shared.clone(), key })))
    }

    /// The keys of those that have woken since the last call.
    fn take(&self) -> Vec<u64> {
        let mut bytes = [0; 64];
        // First the signal, then the list: who comes in between signals again.
        while matches!((&self.reader).read(&mut bytes), Ok(read) if read == bytes.len()) {}
        std::mem::take(&mut *lock(&self.shared.woken))
    }
}

#[pymethods]
impl Waiter {
    /// Wakes it, from any thread.
    fn wake(&self) {
        self.0.wake_by_ref();
    }
}

impl Waiter {
    pub(crate) fn waker(&self) -> &Waker {
        &self.0
    }
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = lock(&self.shared.woken);
        woken.push(self.key);
        let first = woken.len() == 1;
        drop(woken);
        if first {
            // It can only be refused when it is full, and then it is readable already.
            let _ = (&self.shared.writer).write(&[1]);
        }
    }
}
