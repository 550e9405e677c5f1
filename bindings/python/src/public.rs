//! Channels that anybody may read.

use pyo3::prelude::*;

use crate::{access::Access, failure::Result};

/// Channels that anybody may read, each by its name, or by how its name begins: give it to a mount in place of channels.
#[pyclass(frozen, module = "evstream")]
#[derive(Debug)]
pub(crate) struct PublicChannels(evstream::PublicChannels);

#[pymethods]
impl PublicChannels {
    /// Names, and beginnings of names such as `news-*`. `*` is every channel.
    #[new]
    #[pyo3(signature = (*channels))]
    fn new(channels: Vec<String>) -> Result<Self> {
        Ok(Self(evstream::PublicChannels::new(channels)?))
    }

    /// What a client gets that names these.
    fn access(&self, named: Vec<String>) -> Access {
        Access(self.0.access(&named))
    }
}
