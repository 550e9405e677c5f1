//! What a process publishes last, and then ends.
#![cfg(feature = "runtime")]

mod common;

use std::{
    env::{current_exe, var},
    process::{Command, Output},
    time::Duration,
};

use common::hear_log;
use evstream::{Config, Event, Events, Message};

const JOURNAL: &str = "EVSTREAM_TEST_JOURNAL";
const EVENTS: usize = 500;

#[test]
fn a_process_that_exits_right_after_publishing_loses_nothing() {
    let folder = std::env::temp_dir().join(format!("evstream-exit-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let journal = format!("file:{}", folder.join("events").display());
    let events = Events::new(Config::new().journal(journal.as_str().into())).unwrap();
    let mut reader = events.subscribe(["a"]).unwrap();
    // What comes before it is followed is history, and not for those who read from now on.
    common::until("the journal is followed", || events.stats().journal.is_some_and(|it| it.connected));
    let output = end_after_publishing(&journal);
    assert!(output.status.success(), "{output:?}");
    for number in 0..EVENTS {
        match reader.next_timeout(Duration::from_secs(20)).unwrap() {
            Some(Message::Event(event)) => assert_eq!(event.data, number.to_string()),
            other => panic!("{other:?} in place of {number}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_process_ends_in_time_when_there_is_no_journal_and_says_what_is_lost() {
    let output = end_after_publishing("file:/nowhere/at/all/events");
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("ERROR evstream::publish::exiting"), "{log}");
}

/// The other process of these tests.
#[test]
#[ignore = "it ends the process"]
fn publish_and_end() {
    hear_log(|line| eprintln!("{} {}", line.level(), line.target()));
    let events = Events::new(Config::new().journal(var(JOURNAL).unwrap().into())).unwrap();
    for number in 0..EVENTS {
        events.publish("a", Event::text(number.to_string())).unwrap();
    }
    // Also of events that are gone by then.
    drop(events);
    std::process::exit(0);
}

fn end_after_publishing(journal: &str) -> Output {
    Command::new(current_exe().unwrap())
        .args(["--ignored", "--exact", "publish_and_end", "--nocapture"])
        .env(JOURNAL, journal)
        .output()
        .unwrap()
}
