//! The machine the figures are taken on: one core for the server, one for the generator, and enough descriptors.

use anyhow::{Context, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};

/// The cores that server and generator are pinned to; nothing is pinned where there is only one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server_and_generator: Option<(usize, usize)>,
}

impl Cores {
    /// Takes the first and the last core this process may use.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot read the allowed cores")?;
        let cores: Vec<usize> =
            (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect();
        let [first, .., last] = cores[..] else {
            eprintln!("only one core: the generator takes time from the server, latencies mean little");
            return Ok(Self { server_and_generator: None });
        };
        Ok(Self { server_and_generator: Some((first, last)) })
    }

    /// Runs `start` on the server's core, so that the process it starts is born there, then goes to the generator's.
    pub(crate) fn with_server_core<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some((server, generator)) = self.server_and_generator else { return start() };
        pin_this_thread(server)?;
        let started = start();
        pin_this_thread(generator)?;
        started
    }
}

/// Runs `start` where any core may be used, so that the processes it starts may use them, then goes back.
pub(crate) fn on_all_cores<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let this_thread = Pid::from_raw(0);
    let before = sched_getaffinity(this_thread).context("cannot read the allowed cores")?;
    let mut all = CpuSet::new();
    (0..CpuSet::count()).try_for_each(|core| all.set(core)).context("a core is out of range")?;
    sched_setaffinity(this_thread, &all).context("cannot use all cores")?;
    let started = start();
    sched_setaffinity(this_thread, &before).context("cannot go back to the cores of before")?;
    started
}

/// Raises the soft limit of open files, which children inherit, to the hard limit.
pub(crate) fn raise_open_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")
}

/// Says so before a case starts that cannot end well.
pub(crate) fn check_open_files(streams: usize) -> Result<()> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    let needed = (streams + SPARE_FILES) as u64;
    ensure!(
        needed <= limit,
        "{streams} streams need {needed} open files in one process, the hard limit is {limit}: raise it (`ulimit -Hn`)"
    );
    Ok(())
}

/// What a server or the generator has open beside its streams.
const SPARE_FILES: usize = 64;

fn pin_this_thread(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core).with_context(|| format!("core {core} is out of range"))?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot pin to core {core}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_streams_are_refused_with_the_limit() {
        raise_open_files().unwrap();
        check_open_files(10).unwrap();
        let error = check_open_files(1 << 40).unwrap_err().to_string();
        assert!(error.contains("ulimit -Hn"), "{error}");
    }

    #[test]
    fn the_child_is_born_on_the_servers_core() {
        let cores = Cores::choose().unwrap();
        let Some((server, generator)) = cores.server_and_generator else { return };
        let allowed =
            |set: CpuSet| (0..CpuSet::count()).filter(|&c| set.is_set(c).unwrap()).collect::<Vec<_>>();
        let mut child = cores
            .with_server_core(|| {
                Ok(std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn()?)
            })
            .unwrap();
        let of_child = allowed(sched_getaffinity(Pid::from_raw(child.id().cast_signed())).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(of_child, [server]);
        assert_eq!(allowed(sched_getaffinity(Pid::from_raw(0)).unwrap()), [generator]);
    }
}
