//! Who forwards: a second file, which its holder keeps locked, and in which it notes how far it has come.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    open::{check, is_at, open_or_create},
    ring::failed,
};
use crate::{
    error::Result,
    journal::Lease,
    sys::{self, Unforked},
    wire::{Position, Resume},
};

pub(super) struct FileLease {
    path: PathBuf,
    held: Option<Unforked>,
    noted: Option<Position>,
}

impl FileLease {
    /// The lease of the journal at this path.
    pub(super) fn new(journal: &Path) -> Self {
        let mut path = OsString::from(journal);
        path.push(SUFFIX);
        Self { path: path.into(), held: None, noted: None }
    }

    /// Whether the lock is ours that others would ask for: somebody may have removed the file.
    fn is_held(&self) -> bool {
        let metadata = self.held.as_ref().and_then(|held| held.file().metadata().ok());
        metadata.is_some_and(|metadata| is_at(&self.path, &metadata))
    }
}

impl Lease for FileLease {
    fn take(&mut self) -> Result<bool> {
        if !self.is_held() {
            (self.held, self.noted) = (None, None);
            let held = Unforked::new(open_or_create(&self.path)?);
            let error = |error| failed("lock", &self.path, error);
            check(&self.path, held.file(), &held.file().metadata().map_err(error)?)?;
            if !sys::try_lock(held.file()).map_err(error)? {
                return Ok(false);
            }
            self.held = Some(held);
        }
        Ok(self.is_held())
    }

    fn keep(&mut self, forwarded: Option<Position>) -> Result<bool> {
        if !self.is_held() {
            return Ok(false);
        }
        if let (Some(held), Some(position)) = (&self.held, forwarded)
            && self.noted != forwarded
        {
            let text = format!("{:<width$}\n", position.to_string(), width = TEXT_BYTES);
            held.file()
                .write_all_at(text.as_bytes(), 0)
                .map_err(|error| failed("write to", &self.path, error))?;
            self.noted = forwarded;
        }
        Ok(true)
    }

    fn forwarded(&mut self) -> Result<Option<Position>> {
        match fs::read(&self.path) {
            Ok(bytes) => {
                Ok(std::str::from_utf8(&bytes).ok().and_then(|text| match Resume::parse(text.trim()) {
                    Resume::From(position) => Some(position),
                    _ => None,
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.path, error)),
        }
    }
}

const SUFFIX: &str = ".forwarder";

/// As long as any position, so that none is left half over another.
const TEXT_BYTES: usize = 24;
