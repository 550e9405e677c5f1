//! Live event streams for the endpoints an application already has.

pub mod error;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
pub use wire::Event;
