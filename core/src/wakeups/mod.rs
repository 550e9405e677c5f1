//! Floor 0: how threads tell each other that there is something to do, without I/O.

#[cfg(all(test, evstream_loom))]
mod loom;
mod mailbox;
mod signal;

#[cfg(any(feature = "runtime", all(test, evstream_loom)))]
pub(crate) use {mailbox::Mailbox, signal::Signal};
