//! The journal of the processes of one host: a file with a ring of records.
//!
//! Whoever appends locks the file, and the kernel lets go of the lock when its holder dies; what a dead writer has half
//! written was never committed, and is overwritten. Readers take no lock. Nothing is mapped that the process itself
//! touches, so no change to the file can kill it. The file stays when all processes end, and positions with it.

mod bell;
mod header;
mod lease;
mod open;
mod reader;
mod record;
mod ring;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use self::{lease::FileLease, reader::FileReader, writer::FileWriter};
use super::{Journal, Lease, Reader, Writer};
use crate::{
    config::Config,
    error::{Error, ErrorKind, Result},
};

/// A journal in a file.
#[derive(Debug)]
pub(crate) struct File(Arc<Shared>);

/// What the ends of a journal have in common.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Bytes of the ring, where the file is made.
    data_bytes: u64,
    /// The highest place that an end of this process knows. An epoch that it begins goes on above that.
    known: AtomicU64,
}

impl File {
    /// The journal at `path`, which may be relative to the working directory. No I/O.
    ///
    /// Fails with `invalid-config` for what is no path.
    pub(crate) fn new(path: &str, config: &Config) -> Result<Self> {
        let invalid = |text: &str| {
            let text = format!("journal takes file: and a path, such as file:/run/app/events; {text}");
            Error::new(ErrorKind::InvalidConfig, text)
        };
        if path.contains(['?', '\0']) {
            return Err(invalid("this one has a query, or a NUL"));
        }
        if path.starts_with("//") && !path.starts_with("///") {
            return Err(invalid("this one names a host"));
        }
        // Now, because the application may change its working directory.
        let path = std::path::absolute(path).map_err(|error| invalid(&error.to_string()))?;
        let data_bytes = config.journal_bytes;
        Ok(Self(Arc::new(Shared { path, data_bytes, known: AtomicU64::new(0) })))
    }
}

impl Journal for File {
    fn writer(&self) -> Box<dyn Writer> {
        Box::new(FileWriter::new(self.0.clone()))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(FileReader::new(self.0.clone()))
    }

    fn lease(&self) -> Box<dyn Lease> {
        Box::new(FileLease::new(&self.0.path))
    }
}

impl Shared {
    fn known(&self) -> u64 {
        self.known.load(Ordering::Relaxed)
    }

    fn learn(&self, seq: u64) {
        self.known.fetch_max(seq, Ordering::Relaxed);
    }
}
