//! The same events in several processes of one host, by a file. Each `Events` here stands for a process of its own.
#![cfg(feature = "runtime")]

mod common;

use std::{fs, path::PathBuf, sync::Arc, thread};

use common::{Client, PATH, PATIENCE, publish_placed, until};
use evstream::{Access, Config, Event, Events, Message, Mount, Request, Server, ServerBuilder, Who};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("evstream-journal-{}-{:x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn journal(&self) -> String {
        format!("file:{}", self.0.join("events").display())
    }

    fn process(&self, config: Config) -> (Events, Arc<Server>) {
        let events = Events::new(config.journal(self.journal().into())).unwrap();
        let server = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
        (events, server)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_event_of_any_process_reaches_the_clients_of_all() {
    let folder = Folder::new();
    let [(a, in_a), (b, in_b)] = [(); 2].map(|()| folder.process(Config::new()));
    let lone = Events::new(Config::new().journal(folder.journal().into())).unwrap();
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
    assert!(!a.publish("a", Event::text("x")).unwrap().is_local_only());
    assert!(a.close(PATIENCE).unwrap().ended);
}

#[test]
fn all_processes_may_be_restarted_and_no_client_is_reset() {
    let folder = Folder::new();
    let (a, in_a) = folder.process(Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "1");
    assert_eq!(client.data(), "1");
    let last = client.last_id().to_owned();
    a.publish("a", Event::text("2")).unwrap();
    let closed = a.close(PATIENCE).unwrap();
    assert!(closed.ended && closed.undelivered == 0, "what was published is in the journal: {closed:?}");
    let (_b, in_b) = folder.process(Config::new());
    let mut again = Client::resume(&in_b, "/events/?channel=a", &last);
    again.expect("stream-open");
    assert_eq!(again.data(), "2");
}

/// Whoever subscribes or opens a stream at the very start gets what is published from then on.
#[test]
fn whoever_comes_before_the_journal_is_read_begins_with_that_moment() {
    let folder = Folder::new();
    let (old, _server) = folder.process(Config::new());
    publish_placed(&old, "old");
    for round in 0..20 {
        let events = Events::new(Config::new().journal(folder.journal().into())).unwrap();
        let text = format!("new {round}");
        let mut inside = events.subscribe(["a"]).unwrap();
        let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
        let mut pull = events.pull(events.open_request(&request, Access::allow()).stream.unwrap()).unwrap();
        events.publish("a", Event::text(&*text)).unwrap();
        // Clocks have milliseconds: what was published right before it may come, too.
        while !matches!(inside.next_timeout(PATIENCE), Ok(Some(Message::Event(event))) if event.data == text)
        {
        }
        let mut bytes = Vec::new();
        while !String::from_utf8_lossy(&bytes).contains(&text) {
            bytes.extend_from_slice(&pull.next_timeout(PATIENCE).unwrap().unwrap());
        }
        let bytes = String::from_utf8(bytes).unwrap();
        assert!(!bytes.contains("stream-reset"), "{bytes}");
    }
}

/// Each at another moment, whoever drives it.
#[test]
fn a_journal_that_is_gone_is_told_to_all_who_miss_nothing_of_the_next() {
    let folder = Folder::new();
    let (events, server) = folder.process(Config::new().retry_ms(300));
    let mut clients: Vec<_> = (0..20).map(|_| Client::open(&server, "/events/?channel=a")).collect();
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let open = || events.pull(events.open_request(&request, Access::allow()).stream.unwrap()).unwrap();
    let mut pulls: Vec<_> = (0..20).map(|_| (open(), Vec::new())).collect();
    let read_up_to = |text: &str, pulls: &mut Vec<(evstream::Pull, Vec<u8>)>| {
        for (pull, bytes) in pulls {
            while !String::from_utf8_lossy(bytes).contains(text) {
                bytes.extend_from_slice(&pull.next_timeout(PATIENCE).unwrap().unwrap());
            }
        }
    };
    publish_placed(&events, "before");
    read_up_to("before", &mut pulls);
    for client in &mut clients {
        assert_eq!(client.data(), "before");
    }
    fs::remove_file(folder.0.join("events")).unwrap();
    publish_placed(&events, "after");
    read_up_to("after", &mut pulls);
    for (_, bytes) in &pulls {
        let text = String::from_utf8_lossy(bytes);
        assert!(text.find("event: stream-reset") < text.find("after"), "{text}");
    }
    for client in &mut clients {
        client.expect("stream-reset");
        assert_eq!(client.data(), "after");
    }
}

#[test]
fn whoever_has_yet_to_be_told_of_another_journal_is_told_where_it_comes_back() {
    let folder = Folder::new();
    let (events, server) = folder.process(Config::new().retry_ms(60_000));
    let mut clients: Vec<_> = (0..10).map(|_| Client::open(&server, "/events/?channel=a")).collect();
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let mut pull = events.pull(events.open_request(&request, Access::allow()).stream.unwrap()).unwrap();
    publish_placed(&events, "before");
    for client in &mut clients {
        assert_eq!(client.data(), "before");
    }
    fs::remove_file(folder.0.join("events")).unwrap();
    publish_placed(&events, "after");
    // It is told by now that the journal is another.
    until("it is followed", || events.stats().journal.is_some_and(|journal| journal.epochs == 2));
    let closing = thread::spawn(move || events.close(PATIENCE).unwrap());
    for client in &mut clients {
        client.read_until(|client| client.close_notice().is_some());
        assert_eq!(client.close_notice(), Some("shutdown"));
    }
    while pull.next_timeout(PATIENCE).unwrap().is_some() {}
    assert!(closing.join().unwrap().ended);
    let (_next, server) = folder.process(Config::new());
    let mut again = Client::resume(&server, "/events/?channel=a", clients[0].last_id());
    again.expect("stream-open");
    again.expect("stream-reset");
}

#[test]
fn many_publish_and_all_see_one_order() {
    const EACH: usize = 500;
    let folder = Folder::new();
    let processes: Vec<_> = (0..4).map(|_| folder.process(Config::new())).collect();
    let mut clients: Vec<Client> =
        processes.iter().map(|(_, server)| Client::open(server, "/events/?channel=a")).collect();
    thread::scope(|scope| {
        for (index, (events, _)) in processes.iter().enumerate() {
            scope.spawn(move || {
                let texts = (0..EACH).map(|number| format!("{index}-{number}"));
                let receipts: Vec<_> =
                    texts.map(|text| events.publish("a", Event::text(text)).unwrap()).collect();
                assert!(receipts.iter().all(|receipt| receipt.wait(PATIENCE).is_ok()));
            });
        }
        let seen: Vec<Vec<(String, String)>> = clients
            .iter_mut()
            .map(|client| {
                let event = |_| {
                    let event = client.event();
                    (event.id, event.data)
                };
                (0..4 * EACH).map(event).collect()
            })
            .collect();
        assert!(seen.windows(2).all(|two| two[0] == two[1]), "they differ");
        assert!(seen[0].is_sorted_by(|a, b| a.0 < b.0));
    });
}

#[test]
fn orders_reach_all_processes_after_the_events_before_them() {
    let folder = Folder::new();
    let [(a, _in_a), (b, in_b)] = [(); 2].map(|()| folder.process(Config::new()));
    let mut client = Client::open(&in_b, "/events/?channel=a");
    a.publish("a", Event::text("before")).unwrap();
    a.reopen(Who::new().channel("a")).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(client.data(), "before");
    client.read_until(|client| client.close_notice().is_some());
    assert_eq!(client.close_notice(), Some("reauthorize"));
    let mut again = Client::open(&in_b, "/events/?channel=a");
    a.disconnect(Who::everyone(), "it is over").unwrap().wait(PATIENCE).unwrap();
    assert!(again.expect("stream-error").data.contains("it is over"));
    // Who comes later, or starts later, is not meant.
    let (_late, in_late) = folder.process(Config::new());
    let mut new = [Client::open(&in_b, "/events/?channel=a"), Client::open(&in_late, "/events/?channel=a")];
    publish_placed(&b, "after");
    for client in &mut new {
        // One of a process that has just started is given what was published within the difference of two clocks.
        let first = client.data();
        let next = if first == "before" { client.data() } else { first };
        assert_eq!(next, "after");
    }
}

#[test]
fn what_any_process_publishes_to_a_user_reaches_that_user_alone_in_all() {
    let folder = Folder::new();
    let config = || Config::new().user_channel(true).journal(folder.journal().into());
    let lone = Events::new(config()).unwrap();
    let serve = || {
        let events = Events::new(config()).unwrap();
        let mounts = ["bob", "eve"].map(|user| {
            Mount::new(format!("/{user}/")).authorize(move |_| Access::channels(["a"]).user(user))
        });
        let server = mounts.into_iter().fold(events.server(), ServerBuilder::mount);
        server.bind("127.0.0.1:0").unwrap()
    };
    let servers = [serve(), serve()];
    let [mut bobs, mut eves] =
        ["/bob/", "/eve/"].map(|path| servers.each_ref().map(|server| Client::open(server, path)));
    lone.publish_to_user("bob", Event::text("for bob")).unwrap().wait(PATIENCE).unwrap();
    publish_placed(&lone, "for all");
    for bob in &mut bobs {
        assert_eq!(bob.data(), "for bob");
        assert_eq!(bob.data(), "for all");
    }
    for eve in &mut eves {
        assert_eq!(eve.data(), "for all");
    }
}
