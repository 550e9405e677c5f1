//! What a server's processes used: CPU time in nanoseconds and private memory, summed over a process and all its
//! descendants.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use nix::{time::ClockId, unistd::Pid};

/// The processes that make up a server, by their roots.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    roots: Vec<i32>,
}

/// CPU time of each process at one moment.
#[derive(Debug)]
pub(crate) struct CpuTimes(BTreeMap<i32, Duration>);

impl Processes {
    pub(crate) fn new(roots: Vec<i32>) -> Self {
        Self { roots }
    }

    /// Reads the CPU clock of each process.
    pub(crate) fn cpu_times(&self) -> Result<CpuTimes> {
        let read = |pid: i32| Ok((pid, cpu_time(pid)?));
        Ok(CpuTimes(self.tree()?.into_iter().map(read).collect::<Result<_>>()?))
    }

    /// Memory that would be free again if the processes ended: private pages, clean and dirty.
    pub(crate) fn private_bytes(&self) -> Result<u64> {
        let read = |pid: i32| -> Result<u64> {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            let kib =
                |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
            let private =
                text.lines().filter(|l| l.starts_with("Private_Clean:") || l.starts_with("Private_Dirty:"));
            Ok(private.filter_map(kib).sum::<u64>() * 1024)
        };
        self.tree()?.into_iter().map(read).sum()
    }

    /// The roots and their descendants.
    fn tree(&self) -> Result<Vec<i32>> {
        let parents = parents()?;
        let mut tree = self.roots.clone();
        let mut at = 0;
        while at < tree.len() {
            let children = parents.iter().filter(|(_, parent)| **parent == tree[at]).map(|(pid, _)| *pid);
            let new: Vec<i32> = children.filter(|pid| !tree.contains(pid)).collect();
            tree.extend(new);
            at += 1;
        }
        Ok(tree)
    }
}

impl CpuTimes {
    /// CPU time used since `earlier`. A process that ended in between took its time with it: that is an error.
    pub(crate) fn since(&self, earlier: &Self) -> Result<Duration> {
        for pid in earlier.0.keys() {
            self.0
                .get(pid)
                .with_context(|| format!("process {pid} of the server ended while it was measured"))?;
        }
        let used = |(pid, time): (&i32, &Duration)| {
            time.saturating_sub(earlier.0.get(pid).copied().unwrap_or_default())
        };
        Ok(self.0.iter().map(used).sum())
    }
}

/// The kernel's CPU clock of a process: the nanoseconds of `/proc/PID/task/*/schedstat`, summed over its threads, and with
/// those of threads that have ended, which `/proc` forgets.
fn cpu_time(pid: i32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid));
    let time =
        clock.and_then(ClockId::now).with_context(|| format!("process {pid} of the server is gone"))?;
    Ok(time.into())
}

/// The parent of every process on the machine.
fn parents() -> Result<BTreeMap<i32, i32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = parent(&entry.path()) {
            parents.insert(pid, parent);
        }
    }
    Ok(parents)
}

/// `None` when the process has just ended.
fn parent(process: &Path) -> Option<i32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // `pid (name) state ppid ...`, where the name may hold spaces and parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        thread,
        time::Instant,
    };

    use super::*;

    fn spin(time: Duration) {
        let used = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap());
        let end = used() + time;
        while used() < end {}
    }

    #[test]
    fn threads_that_ended_and_threads_that_live_are_counted() {
        let pid = std::process::id().cast_signed(); // without its children: other tests start and end some
        let time = || cpu_time(pid).unwrap();
        let before = time();
        thread::spawn(|| spin(Duration::from_millis(20))).join().unwrap();
        spin(Duration::from_millis(10));
        let used = time().saturating_sub(before);
        assert!(used >= Duration::from_millis(30), "{used:?}");
    }

    #[test]
    fn the_clock_counts_what_schedstat_counts() {
        let mut child = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Wait until the child sleeps: only then has schedstat caught up with the clock.
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !status().contains(") S ") {
            assert!(Instant::now() < deadline, "the child never slept");
        }
        let clock = Processes::new(vec![pid]).cpu_times().unwrap().0[&pid];
        let schedstat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat")).unwrap();
        let schedstat: u64 = schedstat.split_whitespace().next().unwrap().parse().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(clock.as_nanos() as u64, schedstat);
    }

    #[test]
    fn a_tree_holds_grandchildren_and_their_memory() {
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'cat; :'; :"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let tree = Processes::new(vec![child.id().cast_signed()]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while tree.tree().unwrap().len() < 3 {
            assert!(Instant::now() < deadline, "the grandchildren never came");
        }
        let before = tree.cpu_times().unwrap();
        assert!(tree.private_bytes().unwrap() > 3 * 4096);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(tree.cpu_times().and_then(|now| now.since(&before)).is_err());
    }
}
