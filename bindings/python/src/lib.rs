//! `evstream._native`: the core of evstream as the Python package needs it.
//!
//! Everything here is thin: conversion, and letting go of the interpreter where a call can wait. What an application
//! sees, and what is particular to a framework, is Python.

mod access;
mod channel;
mod ended;
mod events;
mod failure;
mod heeding;
mod jwt;
mod logging;
mod notices;
mod options;
mod public;
mod pull;
mod receipt;
mod reply;
mod request;
mod server;
mod stats;
mod subscription;
mod sys;
mod tickets;
mod waiting;
mod wakeups;

/// The native half of evstream; use the package `evstream` instead.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::{exceptions::PyImportError, prelude::*};

    #[pymodule_export]
    use super::{
        access::Access,
        channel::Channel,
        ended::Ended,
        events::Events,
        heeding::Heeding,
        jwt::Jwt,
        logging::{set_log_level, signal_log_records, stop_logging, take_log_records},
        options::options,
        public::PublicChannels,
        pull::Pull,
        receipt::Receipt,
        reply::Reply,
        request::{Asked, Request, is_link},
        server::Server,
        subscription::Subscription,
        sys::has_hung_up,
        tickets::Tickets,
        waiting::end_waiting,
        wakeups::{Waiter, Wakeups},
    };

    /// Starts over, in a forked child, whose copies of locks may be locked for ever.
    #[pyfunction]
    fn reset_after_fork() {
        super::heeding::reset();
        super::logging::reset();
        super::waiting::reset();
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        if !super::sys::is_main_interpreter(module.py()) {
            return Err(PyImportError::new_err(
                "evstream does not run in subinterpreters; under mod_wsgi set `WSGIApplicationGroup %{GLOBAL}`",
            ));
        }
        super::failure::install(module.py())?;
        super::heeding::reset();
        super::logging::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
