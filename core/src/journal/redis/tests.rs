//! What the ends of the journal do when Redis does what it can do, one step at a time.

use std::{sync::mpsc, thread, time::Duration};

use super::*;
use crate::{
    error::ErrorKind,
    journal::{Entry, Record, What},
    wire::Event,
};

#[path = "../../../tests/common/redis.rs"]
mod server;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the server's module takes from its tests.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The journal as one more process sees it.
fn process(redis: &server::Redis) -> Arc<dyn Journal> {
    open(&redis.journal(), &Config::new()).unwrap().unwrap()
}

fn ends(redis: &server::Redis) -> (RedisWriter, RedisReader) {
    let address = Address::parse(&redis.journal()).unwrap().unwrap();
    let server = Arc::new(Server::new(address, &Config::new()));
    (RedisWriter::new(server.clone()), RedisReader::new(server))
}

/// One that repeats what another has sent, and heard nothing.
fn again(writer: &RedisWriter) -> RedisWriter {
    let mut again = RedisWriter::new(writer.server.clone());
    again.key.clone_from(&writer.key);
    again
}

fn records(numbers: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    let what = |number: u64| What::Event { channel: "a".into(), event: Event::text(number.to_string()) };
    numbers.map(|number| Record { number, what: what(number) }).collect()
}

fn append(writer: &mut dyn Writer, numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    let places = writer.append(&records(numbers), PATIENCE).unwrap();
    places.iter().map(|place| place.seq).collect()
}

/// What is there to read up to the head.
fn read(reader: &mut dyn Reader) -> Vec<Entry> {
    let mut entries = Vec::new();
    until("all is read", || reader.read(&mut entries, Duration::from_millis(20)).unwrap().is_some());
    entries
}

fn floors(entries: &[Entry]) -> Vec<u64> {
    entries
        .iter()
        .filter_map(|entry| if let Entry::Begin { floor, .. } = entry { Some(*floor) } else { None })
        .collect()
}

fn texts(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| match entry {
        Entry::Placed { what: What::Event { event, .. }, .. } => Some(event.data.to_string()),
        Entry::Placed { what: What::Lost { channels }, .. } => Some(format!("lost {channels:?}")),
        Entry::Begin { .. } => None,
    };
    entries.iter().filter_map(text).collect()
}

#[test]
fn a_new_journal_begins_at_two_and_goes_on_from_there() {
    let redis = server::Redis::start(&[]);
    let (mut writer, mut reader) = ends(&redis);
    assert_eq!(floors(&read(&mut reader)), [1]);
    assert_eq!(append(&mut writer, 1..=3), [2, 3, 4]);
    let entries = read(&mut reader);
    assert_eq!((texts(&entries), floors(&entries)), (["1", "2", "3"].map(str::to_owned).to_vec(), vec![]));
    // One that comes later gets what is kept.
    assert_eq!(texts(&read(&mut *process(&redis).reader())), ["1", "2", "3"]);
}

#[test]
fn answers_may_be_lost_one_after_the_other() {
    let redis = server::Redis::start(&[]);
    let (mut writer, mut reader) = ends(&redis);
    assert_eq!(append(&mut writer, 1..=3), [2, 3, 4]);
    assert_eq!(append(&mut again(&writer), 1..=5), [2, 3, 4, 5, 6]);
    assert_eq!(append(&mut again(&writer), 1..=6), [2, 3, 4, 5, 6, 7]);
    // Some at the front are given up.
    assert_eq!(append(&mut again(&writer), 3..=7), [4, 5, 6, 7, 8]);
    assert_eq!(texts(&read(&mut reader)).len(), 7);
}

#[test]
fn a_publisher_that_was_quiet_for_hours_has_lost_nothing() {
    let redis = server::Redis::start(&[]);
    let (mut writer, mut reader) = ends(&redis);
    append(&mut writer, 1..=1);
    // As when it expires.
    redis.ask(&format!("DEL {}", writer.key.as_ref().unwrap()));
    assert_eq!(append(&mut writer, 2..=2), [3]);
    assert_eq!(texts(&read(&mut reader)), ["1", "2"]);
}

#[test]
fn what_is_taken_out_of_the_log_is_a_loss_of_which_readers_hear() {
    let redis = server::Redis::start(&[]);
    let (mut writer, mut reader) = ends(&redis);
    append(&mut writer, 1..=1);
    read(&mut reader);
    append(&mut writer, 2..=4);
    redis.ask(r#"EVAL "local l = redis.call('XRANGE', KEYS[1], '-', '+') redis.call('XDEL', KEYS[1], l[3][1])" 1 {test}log"#);
    let entries = read(&mut reader);
    assert_eq!((texts(&entries), floors(&entries)), (vec!["2".to_owned(), "4".to_owned()], vec![4]));
    redis.ask("DEL {test}log");
    append(&mut writer, 5..=5);
    assert_eq!(texts(&read(&mut reader)), ["5"], "what was read already is not missed");
    append(&mut writer, 6..=6);
    redis.ask("DEL {test}log");
    assert_eq!(floors(&read(&mut reader)), [7]);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_told_in_the_timeline_that_is() {
    let mut redis = server::Redis::start(&[]);
    let (mut writer, mut reader) = ends(&redis);
    append(&mut writer, 1..=1);
    redis.ask("SAVE");
    append(&mut writer, 2..=2);
    read(&mut reader);
    redis.kill();
    redis.run();
    // Perhaps before "2" was acknowledged.
    let mut other = process(&redis).reader();
    read(&mut *other);
    until("it connects again", || writer.append(&records(3..=3), PATIENCE).is_ok());
    let entries = read(&mut *other);
    assert_eq!(texts(&entries), [r#"lost ["a"]"#, "3"]);
    append(&mut writer, 4..=4);
    assert_eq!(texts(&read(&mut *other)), ["4"], "once");
}

#[test]
fn what_a_timeline_before_had_is_appended_again_when_it_is_repeated() {
    let mut redis = server::Redis::start(&[]);
    let (mut writer, _) = ends(&redis);
    append(&mut writer, 1..=2);
    redis.ask("SAVE");
    redis.kill();
    redis.run();
    let places = append(&mut again(&writer), 1..=2);
    assert_eq!(places, [5, 6], "above all that were given before");
    assert_eq!(texts(&read(&mut *process(&redis).reader())), ["1", "2"]);
}

#[test]
fn a_log_that_becomes_another_while_it_is_waited_for_is_not_taken_for_itself() {
    let redis = server::Redis::start(&[]);
    let (_, mut reader) = ends(&redis);
    let first = read(&mut reader);
    let (send, receive) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let mut entries = Vec::new();
        reader.read(&mut entries, PATIENCE / 2).unwrap();
        send.send(entries).unwrap();
        reader
    });
    until("it waits", || redis.ask("CLIENT LIST").contains("cmd=xread"));
    redis.ask("FLUSHALL");
    // Who knows nothing gives out the place that the reader waits for.
    assert_eq!(append(&mut *process(&redis).writer(), 1..=1), [2]);
    let mut entries = receive.recv_timeout(PATIENCE).unwrap();
    entries.extend(read(&mut waiting.join().unwrap()));
    let Some(Entry::Begin { epoch, floor }) = entries.first() else { panic!("{entries:?}") };
    assert!(matches!(first[0], Entry::Begin { epoch: before, .. } if before != *epoch));
    assert!(*floor > 1);
}

#[test]
fn a_journal_of_a_format_to_come_is_left_alone() {
    let redis = server::Redis::start(&[]);
    redis.ask("HSET {test}meta f 2 e 00000001 s 5");
    let mut entries = Vec::new();
    let error = process(&redis).reader().read(&mut entries, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    assert!(error.to_string().contains("version"), "{error}");
}

#[test]
fn one_process_at_a_time_has_the_lease() {
    let redis = server::Redis::start(&[]);
    let [a, b] = [(); 2].map(|()| process(&redis));
    let (mut first, mut second) = (a.lease(), b.lease());
    assert!(first.take().unwrap());
    assert!(!second.take().unwrap());
    let at = crate::wire::Position { epoch: crate::wire::Epoch(7), seq: 9 };
    assert!(first.keep(Some(at)).unwrap());
    assert!(!second.keep(None).unwrap());
    assert_eq!(second.forwarded().unwrap(), Some(at));
    drop(first);
    assert!(second.take().unwrap());
    // Its holder is gone without a word.
    redis.ask("DEL {test}fwd");
    let mut third = process(&redis).lease();
    assert!(third.take().unwrap());
    assert_eq!(third.forwarded().unwrap(), Some(at));
    assert!(!second.keep(Some(at)).unwrap());
}
