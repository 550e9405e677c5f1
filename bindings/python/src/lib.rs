//! `evstream._native`: the core of evstream as the Python package needs it.
//!
//! Everything here is thin: conversion, and letting go of the interpreter where a call can wait. What an application
//! sees, and what is particular to a framework, is Python.

mod access;
mod events;
mod failure;
mod logging;
mod options;
mod pull;
mod receipt;
mod reply;
mod request;
mod server;
mod stats;
mod subscription;
mod sys;
mod waiting;
mod wakeups;

/// The native half of evstream; use the package `evstream` instead.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        access::Access,
        events::Events,
        logging::{next_log_records, set_log_level, stop_logging},
        options::options,
        pull::Pull,
        receipt::Receipt,
        reply::Reply,
        request::{Request, is_link},
        server::Server,
        subscription::Subscription,
        waiting::end_waiting,
        wakeups::{Waiter, Wakeups},
    };

    /// Starts over, in a forked child, whose copies of locks may be locked for ever.
    #[pyfunction]
    fn reset_after_fork() {
        super::logging::reset();
        super::waiting::reset();
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::logging::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
