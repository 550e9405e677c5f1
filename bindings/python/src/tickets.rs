//! Tickets, for clients that send no headers.

use pyo3::prelude::*;

use crate::failure::Result;

/// Tickets of one kind: what `Events.ticket` makes with them, a mount takes that has them in place of channels.
#[pyclass(frozen, module = "evstream")]
#[derive(Debug)]
pub(crate) struct Tickets(pub(crate) evstream::Tickets);

#[pymethods]
impl Tickets {
    /// `name` tells them from those for other mounts. A ticket opens a new stream for `open_within` seconds, and for `lasts`
    /// seconds lets a client that was here before go on; 1 to 3,600, and 1 to 604,800.
    #[new]
    #[pyo3(signature = (name, *, open_within=30, lasts=3600))]
    fn new(name: String, open_within: u64, lasts: u64) -> Result<Self> {
        Ok(Self(evstream::Tickets::new(name)?.open_within_s(open_within)?.lasts_s(lasts)?))
    }
}
