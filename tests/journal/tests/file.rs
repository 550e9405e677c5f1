//! Processes that share a file.

use std::{fs, path::PathBuf, time::Duration};

use evstream_journal_tests::{Plan, Run, node::Node, seconds};

const NODE: &str = env!("CARGO_BIN_EXE_evstream-journal-node");

/// A file in a folder that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "evstream-{name}-{}-{:x}",
            std::process::id(),
            fastrand::u64(..)
        ));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("events")
    }

    fn journal(&self) -> String {
        format!("file:{}", self.file().display())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(place: &Place, plan: Plan) -> Run {
    Run::start(NODE, &[&place.journal()], plan)
}

#[test]
fn nothing_special_happens() {
    let place = Place::new("nothing");
    let run = start(&place, Plan::default());
    run.pause(seconds(2));
    let verdict = run.finish().check_no_reset();
    assert_eq!(verdict.epochs, 1);
}

#[test]
fn any_process_is_killed() {
    let place = Place::new("killed");
    let mut run = start(&place, Plan::default());
    let kills = seconds(2).as_millis() / 250;
    for _ in 0..kills {
        let index = run.any();
        run.replace(index, Node::kill);
        let time = Duration::from_millis(run.random.u64(..100));
        run.pause(time);
    }
    run.wait_for_more();
    run.finish().check_no_reset();
}

#[test]
fn all_processes_are_restarted() {
    let place = Place::new("deploy");
    let mut run = start(&place, Plan::default());
    for _ in 0..seconds(2).as_secs() {
        run.replace_all(Node::close);
        run.wait_for_more();
        run.pause(Duration::from_millis(500));
    }
    run.replace_all(Node::kill);
    run.wait_for_more();
    run.finish().check_no_reset();
}

#[test]
fn processes_stand_still() {
    let place = Place::new("stopped");
    let mut run = start(&place, Plan::default());
    for _ in 0..seconds(2).as_secs().div_ceil(2) {
        let index = run.any();
        run.nodes[index].stop();
        run.pause(Duration::from_secs(2));
        run.nodes[index].go_on();
        run.wait_for_more();
    }
    run.finish().check_no_reset();
}

/// Does something to the file while processes use it, of which everybody has to be told.
fn damage(name: &str, how: impl Fn(&Place, &mut fastrand::Rng)) {
    let place = Place::new(name);
    let mut run = start(&place, Plan::default());
    for _ in 0..seconds(1).as_secs() {
        how(&place, &mut run.random);
        run.pause(Duration::from_millis(500));
    }
    run.wait_for_more();
    run.finish().check_told();
}

#[test]
fn the_file_is_deleted() {
    damage("deleted", |place, _| {
        let _ = fs::remove_file(place.file());
    });
}

#[test]
fn the_file_is_truncated() {
    damage("truncated", |place, random| {
        let bytes = fs::metadata(place.file()).map_or(0, |file| file.len());
        let file = fs::OpenOptions::new().write(true).open(place.file()).unwrap();
        file.set_len(random.u64(..bytes)).unwrap();
    });
}

#[test]
fn the_file_is_overwritten_with_noise() {
    use std::os::unix::fs::FileExt;
    damage("noise", |place, random| {
        let file = fs::OpenOptions::new().write(true).open(place.file()).unwrap();
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(200_000).collect();
        file.write_all_at(&noise, 0).unwrap();
    });
}

/// A small file, and a process that stands still while it goes round.
#[test]
fn a_slow_process_is_overtaken() {
    let place = Place::new("overtaken");
    let plan = Plan { rate: 2_000, ..Plan::default() }.set("journal_bytes=65536");
    let mut run = start(&place, plan);
    for _ in 0..seconds(1).as_secs() {
        let server = run.random.usize(..3);
        run.nodes[server].stop();
        run.pause(Duration::from_secs(1));
        run.nodes[server].go_on();
        run.wait_for_more();
    }
    let verdict = run.finish().check_told();
    assert_eq!(verdict.epochs, 1, "{verdict}");
}
