//! The same events in several processes, by a real Redis. Each `Events` here stands for a process of its own.
#![cfg(all(feature = "runtime", feature = "redis"))]

mod common;
#[path = "common/redis.rs"]
mod redis;

use std::{sync::Arc, time::Duration};

use common::{Client, PATH, PATIENCE, publish_placed, until};
use evstream::__internal::Decoded;
use evstream::{Config, ErrorKind, Event, Events, Message, Mount, Server, Who};
use redis::Redis;

fn process(journal: &str, config: Config) -> (Events, Arc<Server>) {
    let events = Events::new(config.journal(journal.into())).unwrap();
    let server = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
    (events, server)
}

/// The next event of the application.
fn after_resets(client: &mut Client) -> Decoded {
    loop {
        let event = client.event();
        if event.name.as_deref() != Some("stream-reset") {
            return event;
        }
    }
}

#[test]
fn an_event_of_any_process_reaches_the_clients_of_all() {
    let redis = Redis::start(&[]);
    let [(a, in_a), (b, in_b)] = [(); 2].map(|()| process(&redis.journal(), Config::new()));
    let lone = Events::new(Config::new().journal(redis.journal().into())).unwrap();
    let mut clients = [Client::open(&in_a, "/events/?channel=a"), Client::open(&in_b, "/events/?channel=a")];
    let mut inside = b.subscribe(["a"]).unwrap();
    for (events, text) in [(&a, "by a"), (&b, "by b"), (&lone, "by a lone publisher"), (&a, "again")] {
        let position = publish_placed(events, text);
        for client in &mut clients {
            let event = client.event();
            assert_eq!((&*event.data, &*event.id), (text, &*position), "one place everywhere");
        }
        let Ok(Some(Message::Event(event))) = inside.next_timeout(PATIENCE) else { panic!() };
        assert_eq!((&*event.data, event.position.to_string()), (text, position));
    }
    // A client goes on in another process, where it was.
    let last = clients[0].last_id().to_owned();
    publish_placed(&a, "meanwhile");
    let mut moved = Client::resume(&in_b, "/events/?channel=a", &last);
    moved.expect("stream-open");
    assert_eq!(moved.data(), "meanwhile");
    // And in one that has just started.
    let (late, in_late) = process(&redis.journal(), Config::new());
    let mut again = Client::resume(&in_late, "/events/?channel=a", &last);
    again.expect("stream-open");
    assert_eq!(again.data(), "meanwhile");
    assert!(late.stats().journal.unwrap().connected);
    assert!(lone.close(PATIENCE).unwrap().ended);
    assert!(a.close(PATIENCE).unwrap().ended);
}

#[test]
fn a_client_that_is_ahead_of_its_process_waits_and_is_not_reset() {
    let redis = Redis::start(&[]);
    let (a, in_a) = process(&redis.journal(), Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    let first = publish_placed(&a, "1");
    assert_eq!(client.data(), "1");
    // A place that there will be: as if another process had seen it already.
    let ahead = format!(
        "{}{:x}",
        &first[..first.len() - 1],
        u64::from_str_radix(&first[first.len() - 1..], 16).unwrap() + 2
    );
    let mut early = Client::resume(&in_a, "/events/?channel=a", &ahead);
    early.expect("stream-open");
    let reset = early.expect("stream-reset");
    assert!(reset.data.contains("epoch"), "there is no such place: {}", reset.data);
}

#[test]
fn whoever_loses_the_journal_is_told() {
    let redis = Redis::start(&[]);
    let (a, in_a) = process(&redis.journal(), Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "before");
    assert_eq!(client.data(), "before");
    redis.ask("FLUSHALL");
    // Nothing is published.
    assert!(client.expect("stream-reset").data.contains("epoch"));
    publish_placed(&a, "after");
    // Once more, perhaps: the publisher finds that "before" is not in this journal, and cannot know when it began.
    assert_eq!(after_resets(&mut client).data, "after");
    until("it is counted", || a.stats().journal.unwrap().epochs == 2);
}

#[test]
fn a_redis_that_comes_back_empty_or_older_is_another_journal() {
    let mut redis = Redis::start(&[]);
    let (a, in_a) = process(&redis.journal(), Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "1");
    assert_eq!(client.data(), "1");
    redis.ask("SAVE");
    publish_placed(&a, "2");
    assert_eq!(client.data(), "2");
    // From the snapshot, which knows of "1" only.
    redis.kill();
    redis.run();
    client.expect("stream-reset");
    let third = publish_placed(&a, "3");
    // Once more, perhaps: the publisher finds that "2", which it has appended, is missing.
    let event = after_resets(&mut client);
    assert_eq!((&*event.data, &*event.id), ("3", &*third));
    std::fs::remove_file(redis.folder().join("dump.rdb")).unwrap();
    redis.kill();
    redis.run();
    client.expect("stream-reset");
    publish_placed(&a, "4");
    assert_eq!(after_resets(&mut client).data, "4");
}

#[test]
fn events_that_could_not_be_published_are_told_as_a_gap() {
    let mut redis = Redis::start(&["--save", "900 1"]);
    let (a, in_a) = process(&redis.journal(), Config::new().journal_deadline_ms(300));
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "before");
    assert_eq!(client.data(), "before");
    // It answers nobody, and forgets nothing.
    let id: String = redis.ask("CLIENT PAUSE 100000 WRITE");
    assert!(id.starts_with("+OK"));
    let receipt = a.publish("a", Event::text("lost")).unwrap();
    let error = receipt.wait(PATIENCE).unwrap_err();
    assert_eq!((error.kind(), receipt.position()), (ErrorKind::JournalUnavailable, None));
    redis.ask("CLIENT UNPAUSE");
    let told = client.event();
    // It may have got through after all; then it is there, and the reset comes after it.
    let reset = if told.name.is_none() { client.expect("stream-reset") } else { told };
    assert!(reset.data.contains(r#"["a"]"#), "{}", reset.data);
    publish_placed(&a, "after");
    assert_eq!(client.data(), "after");
    assert_eq!(a.stats().journal.unwrap().failed, 1);
    redis.kill();
}

#[test]
fn whoever_is_disconnected_is_so_in_all_processes() {
    let redis = Redis::start(&[]);
    let [(a, _in_a), (_b, in_b)] = [(); 2].map(|()| process(&redis.journal(), Config::new()));
    let mut client = Client::open(&in_b, "/events/?channel=a");
    let ended = a.disconnect(Who::new().channel("a"), "it is over").unwrap();
    assert!(!ended.is_local_only());
    ended.wait(PATIENCE).unwrap();
    assert!(client.expect("stream-error").data.contains("it is over"));
}

/// The order is in a journal that is lost before the other process has read it.
#[test]
fn whoever_was_to_be_disconnected_is_asked_anew_when_the_journal_is_lost() {
    let redis = Redis::start(&[]);
    assert_eq!(redis.ask("ACL SETUSER far on >pass ~* &* +@all"), "+OK\r\n");
    let (a, in_a) = process(&redis.journal(), Config::new());
    let (b, in_b) = process(&redis.journal().replace("//", "//far:pass@"), Config::new());
    let [mut near, mut far] = [&in_a, &in_b].map(|server| Client::open(server, "/events/?channel=a"));
    redis.ask("ACL SETUSER far off");
    redis.ask("CLIENT KILL USER far");
    until("it does not hear", || !b.stats().journal.unwrap().connected);
    let ended = a.disconnect(Who::new().channel("a"), "it is over").unwrap();
    ended.wait(PATIENCE).unwrap();
    assert!(near.expect("stream-error").data.contains("it is over"));
    redis.ask("FLUSHALL");
    redis.ask("ACL SETUSER far on");
    far.read_until(|client| client.close_notice().is_some());
    assert_eq!(far.close_notice(), Some("reauthorize"));
}

#[test]
fn a_stream_that_comes_before_redis_does_waits() {
    let mut redis = Redis::start(&[]);
    redis.kill();
    let (a, in_a) = process(&redis.journal(), Config::new());
    let mut client = Client::get(&in_a, "/events/?channel=a");
    let receipt = a.publish("a", Event::text("early")).unwrap();
    assert_eq!(receipt.wait(Duration::from_millis(50)).unwrap_err().kind(), ErrorKind::Timeout);
    redis.run();
    client.expect("stream-open");
    assert_eq!(client.data(), "early");
}

#[test]
fn a_redis_that_cannot_be_used_is_named() {
    let redis = Redis::start(&[]);
    redis.ask("ACL SETUSER limited on >secret ~* &* +@all -info");
    let address = format!("redis+unix://limited:secret@{}", redis.socket().display());
    let refused = |address: &str, config: Config| {
        let events = Events::new(config.journal(address.into())).unwrap();
        events.publish("a", Event::text("x")).unwrap().wait(PATIENCE).err()
    };
    let error = refused(&address, Config::new()).unwrap();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    assert!(error.to_string().contains("journal_unfenced"), "{error}");
    assert!(refused(&address, Config::new().journal_unfenced(true)).is_none());
    let wrong = refused(&address.replace("secret", "wrong"), Config::new()).unwrap();
    assert_eq!(wrong.kind(), ErrorKind::JournalRejected, "{wrong}");
    assert!(!wrong.to_string().contains("wrong:") && !wrong.to_string().contains(":wrong"), "{wrong}");
}
