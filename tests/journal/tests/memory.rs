//! The tool beside what needs no journal.

use std::time::Duration;

use evstream_journal_tests::{Plan, Run, node::Node};

const NODE: &str = env!("CARGO_BIN_EXE_evstream-journal-node");

#[test]
fn one_process_needs_no_journal() {
    let run = Run::start(NODE, &["none"], Plan { servers: 1, publishers: 0, ..Plan::default() });
    run.pause(Duration::from_secs(1));
    let verdict = run.finish().check_no_reset();
    assert!(verdict.seen > 0 && verdict.moves > 6, "{verdict}");
}

#[test]
fn a_process_that_starts_anew_says_so() {
    let mut run = Run::start(NODE, &["none"], Plan { servers: 1, publishers: 0, ..Plan::default() });
    run.replace(0, Node::close);
    run.pause(Duration::from_millis(500));
    run.finish().check_told();
}
