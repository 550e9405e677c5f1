//! The subjects that come with the bench. Each is this program again, as a child process.

mod commands;
mod evstream;
mod grip;
mod limit;
mod nchan;
mod programs;
mod pushpin;

use std::env;

use anyhow::{Context, Result, bail};

pub(crate) use self::grip::with_pushpin;
use crate::subject::{Kind, Subject};

/// Measured unless others are asked for.
pub(crate) const DEFAULT: [&str; 2] = ["limit", "evstream"];

/// All subjects in this program.
pub(crate) const NAMES: [&str; 6] =
    ["limit", "limit-nodelay", "evstream", "pushpin", "nchan", GRIP_PUBLISHER];

const GRIP_PUBLISHER: &str = "grip-evstream";

/// How to start the subjects in this program.
pub(crate) fn built_in() -> Result<Vec<Subject>> {
    let program = env::current_exe().context("cannot find this program")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let subject = |name: &str| {
        let serve = [program, "serve", name];
        let (kind, command) = match name {
            GRIP_PUBLISHER => (Kind::Publisher, [&[program, "with-pushpin"], &serve[..]].concat()),
            _ => (Kind::Server, serve.to_vec()),
        };
        Subject {
            name: name.to_owned(),
            kind,
            is_peer: false,
            command: command.into_iter().map(str::to_owned).collect(),
        }
    };
    Ok(NAMES.map(subject).to_vec())
}

/// Is the named subject until it is told to quit.
pub(crate) fn serve(name: &str) -> Result<()> {
    match name {
        "evstream" => evstream::serve(),
        "limit" => limit::serve(false),
        "limit-nodelay" => limit::serve(true),
        "nchan" => nchan::serve(),
        "pushpin" => pushpin::serve(),
        GRIP_PUBLISHER => grip::publish(),
        _ => bail!("there is no subject {name:?}; there are: {}", NAMES.join(", ")),
    }
}
