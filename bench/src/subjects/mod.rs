//! The subjects that come with the bench. Each is this program again, as a child process.

mod commands;
mod evstream;
mod limit;

use std::env;

use anyhow::{Context, Result, bail};

use crate::subject::Subject;

/// Measured unless others are asked for.
pub(crate) const DEFAULT: [&str; 2] = ["limit", "evstream"];

/// All subjects in this program.
pub(crate) const NAMES: [&str; 3] = ["limit", "limit-nodelay", "evstream"];

/// How to start the subjects in this program.
pub(crate) fn built_in() -> Result<Vec<Subject>> {
    let program = env::current_exe().context("cannot find this program")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let subject = |name: &str| Subject {
        name: name.to_owned(),
        command: [program, "serve", name].map(str::to_owned).to_vec(),
    };
    Ok(NAMES.map(subject).to_vec())
}

/// Is the named subject until it is told to quit.
pub(crate) fn serve(name: &str) -> Result<()> {
    match name {
        "evstream" => evstream::serve(),
        "limit" => limit::serve(false),
        "limit-nodelay" => limit::serve(true),
        _ => bail!("there is no subject {name:?}; there are: {}", NAMES.join(", ")),
    }
}
