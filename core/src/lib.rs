//! Live event streams for the endpoints an application already has.

pub mod config;
pub mod error;
pub mod log;
pub mod stream;
mod sync;
pub mod wire;

pub use config::{Config, SlowClient};
pub use error::{Error, ErrorKind, Result};
pub use stream::{Access, CloseReason, Reply, Request, Stats};
pub use wire::{Event, Position};
