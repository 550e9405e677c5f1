//! What becomes of open streams when rights change: asked again, disconnected, expired; and how a snapshot joins a stream.
#![cfg(feature = "runtime")]

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{Client, Conn, Over, PATIENCE, closed, publish, serve_mounts, until};
use evstream::{
    Access, CloseReason, Config, ErrorKind, Event, Events, Mount, Observer, OverUserLimit, Position, Request,
    Stream, Who,
};

/// `/USER/?channel=...` is a stream of that user.
fn of_users() -> [Mount; 2] {
    ["bob", "eve"].map(|user| Mount::new(format!("/{user}/")).authorize(move |_| Access::allow().user(user)))
}

fn open(server: &evstream::Server, target: &str) -> Client {
    let mut client = Client::get(server, target);
    client.expect("stream-open");
    client
}

/// A pulled stream of that user.
fn pull(events: &Events, user: &str, channel: &str) -> evstream::Pull {
    let query = format!("channel={channel}");
    let request = Request { method: "GET", path: "/", query: &query, headers: &[], peer: None };
    events.pull(events.open_request(&request, Access::allow().user(user)).stream.unwrap()).unwrap()
}

fn rest(pull: &mut evstream::Pull) -> String {
    let mut all = Vec::new();
    while let Some(piece) = pull.next_timeout(PATIENCE).unwrap() {
        all.extend_from_slice(&piece);
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn whoever_is_disconnected_gets_nothing_more_and_is_told_why() {
    let (events, server) = serve_mounts(Config::new().shards(2), of_users());
    let mut bob: Vec<Client> = (0..8).map(|_| open(&server, "/bob/?channel=room")).collect();
    let mut others = [open(&server, "/eve/?channel=room"), open(&server, "/bob/?channel=other")];
    let (mut pulled, mut kept) = (pull(&events, "bob", "room"), pull(&events, "eve", "room"));
    let ended = events.disconnect(Who::new().user("bob").channel("room"), "you have left").unwrap();
    assert!(ended.is_local_only());
    ended.wait(Duration::ZERO).unwrap();
    publish(&events, "room", ["secret"]);
    publish(&events, "other", ["secret"]);
    for client in &mut bob {
        let error = client.expect("stream-error");
        assert_eq!(error.data, r#"{"channels":["room"],"condition":"forbidden","text":"you have left"}"#);
        assert_eq!(client.read_to_end(), (vec![], Over::Complete));
    }
    let told = rest(&mut pulled);
    assert!(told.contains("you have left") && !told.contains("secret"), "{told}");
    for other in &mut others {
        assert_eq!(other.data(), "secret");
    }
    assert!(kept.next_timeout(PATIENCE).unwrap().unwrap().starts_with(b"data: secret"));
    until("they are counted", || closed(&events, CloseReason::Disconnected) == 9);
}

#[test]
fn whoever_is_asked_again_comes_back_and_misses_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let mount = Mount::new("/events/").authorize(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Access::channels(["a"]).user("bob")
    });
    let (events, server) = serve_mounts(Config::new().retry_ms(0), [mount]);
    let mut client = open(&server, "/events/");
    publish(&events, "a", ["before"]);
    assert_eq!(client.data(), "before");
    events.reopen(Who::new().user("bob")).unwrap();
    publish(&events, "a", ["between"]);
    let (data, over) = client.read_to_end();
    assert_eq!((client.close_notice(), over), (Some("reauthorize"), Over::Complete));
    let mut again = Client::resume(&server, "/events/", client.last_id());
    again.expect("stream-open");
    if data.is_empty() {
        assert_eq!(again.data(), "between");
    }
    publish(&events, "a", ["after"]);
    assert_eq!(again.data(), "after");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    until("it is counted", || closed(&events, CloseReason::Reauthorize) == 1);
}

#[test]
fn nobody_is_meant_by_an_oversight() {
    let (events, server) = serve_mounts(Config::new(), of_users());
    let mut client = open(&server, "/bob/?channel=a");
    for who in [Who::new(), Who::new().user(""), Who::new().channel(""), Who::new().stream("").user("bob")] {
        assert_eq!(events.disconnect(who.clone(), "x").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(events.reopen(who).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let long = "x".repeat(2_000);
    let refused = events.disconnect(Who::new().user("bob"), &long).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    events.disconnect(Who::new().user("nobody"), "x").unwrap();
    events.disconnect(Who::new().user("bob").channel("b"), "x").unwrap();
    publish(&events, "a", ["still there"]);
    assert_eq!(client.data(), "still there");
    events.disconnect(Who::everyone(), "all").unwrap();
    client.expect("stream-error");
}

struct Ids(Arc<Mutex<Vec<String>>>);

impl Observer for Ids {
    fn stream_opened(&self, stream: &Stream) {
        self.0.lock().unwrap().push(stream.id());
    }
}

#[test]
fn one_stream_is_meant_by_its_id() {
    let (events, server) = serve_mounts(Config::new(), of_users());
    let ids = Arc::new(Mutex::default());
    events.observe(Ids(ids.clone())).unwrap();
    let mut clients = [open(&server, "/bob/?channel=a"), open(&server, "/bob/?channel=a")];
    let second: String = ids.lock().unwrap()[1].clone();
    events.disconnect(Who::new().stream(&second), "just you").unwrap();
    clients[1].expect("stream-error");
    publish(&events, "a", ["x"]);
    assert_eq!(clients[0].data(), "x");
}

/// The right is taken away while the application still decides, by what it has read before.
#[test]
fn a_disconnect_is_not_outrun_by_a_decision() {
    let (deciding, decides) = channel();
    let (go, may_go) = channel::<()>();
    let (deciding, may_go) = (Mutex::new(deciding), Mutex::new(may_go));
    let mount = Mount::new("/events/").authorize(move |_| {
        deciding.lock().unwrap().send(()).unwrap();
        may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Access::channels(["room"]).user("bob")
    });
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let mut conn = Conn::open(&server);
    conn.request("GET", "/events/", &[]);
    decides.recv_timeout(PATIENCE).unwrap();
    events.disconnect(Who::new().user("bob"), "too late").unwrap();
    go.send(()).unwrap();
    let mut client = conn.into_stream();
    let error = client.expect("stream-error");
    assert!(error.data.contains("too late"), "{}", error.data);
    // And between the decision and the socket.
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let stream = events.open_request(&request, Access::allow().user("bob")).stream.unwrap();
    events.disconnect(Who::new().user("bob"), "too late again").unwrap();
    publish(&events, "a", ["secret"]);
    let told = rest(&mut events.pull(stream).unwrap());
    assert!(told.contains("too late again") && !told.contains("secret"), "{told}");
}

#[test]
fn a_right_that_expires_ends_the_stream_in_time() {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mount = Mount::new("/events/").authorize(move |_| Access::channels(["a"]).expires_at(now_s + 3));
    let gone = Mount::new("/gone/").authorize(move |_| Access::channels(["a"]).expires_at(now_s - 1));
    let odd = Mount::new("/odd/").authorize(move |_| Access::channels(["a"]).expires_at(now_s * 1_000));
    let (events, server) = serve_mounts(Config::new(), [mount, gone, odd]);
    let mut client = open(&server, "/events/");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
    client.read_until(|client| client.close_notice().is_some());
    assert_eq!(client.close_notice(), Some("expired"));
    assert!(client.retry_ms() >= Some(1_000), "no hot loop");
    let refused = Client::get(&server, "/gone/").expect("stream-error");
    assert!(refused.data.contains("expired"), "{}", refused.data);
    let mut failed = Conn::open(&server);
    failed.request("GET", "/odd/", &[("Accept", "text/event-stream")]);
    let mut failed = failed.into_stream();
    failed.read_until(|client| client.close_notice().is_some());
    assert_eq!(failed.close_notice(), Some("failed"));
}

#[test]
fn a_decision_holds_no_longer_than_it_is_set_to() {
    let mount = Mount::new("/events/").authorize(|_| Access::channels(["a"]));
    let (_events, server) = serve_mounts(Config::new().reauthorize_ms(1), [mount]);
    let mut client = open(&server, "/events/");
    client.read_until(|client| client.close_notice().is_some());
    assert_eq!(client.close_notice(), Some("reauthorize"));
}

#[test]
fn a_snapshot_joins_the_stream() {
    let events = Events::new(Config::new()).unwrap();
    let own = events.clone();
    let greet = Mount::new("/events/").authorize(move |_| {
        let position = own.position();
        let snapshot = Event::text("snapshot").name("rows");
        // What a request that takes its time would miss.
        own.publish("a", Event::text("meanwhile")).unwrap();
        Access::channels(["a"]).since(position).greet(&snapshot)
    });
    let server = events.server().mount(greet).bind("127.0.0.1:0").unwrap();
    publish(&events, "a", ["before"]);
    let mut client = Client::open(&server, "/events/");
    let first = client.event();
    assert_eq!((first.name.as_deref(), &*first.data), (Some("rows"), "snapshot"));
    assert_eq!(client.data(), "meanwhile");
    // Wherever the client was: what came before is in what it is greeted with.
    let mut again = Client::resume(&server, "/events/", client.last_id());
    again.expect("stream-open");
    assert_eq!(again.event().data, "snapshot");
    assert_eq!(again.data(), "meanwhile");
}

#[test]
fn a_greeting_that_cannot_be_sent_is_a_fault_of_the_application() {
    let open = |access: Access| {
        let events = Events::new(Config::new().max_event_bytes(1_000)).unwrap();
        let headers: &[(&str, &[u8])] = &[("accept", b"text/event-stream")];
        let request = Request { method: "GET", path: "/", query: "channel=a", headers, peer: None };
        String::from_utf8(events.open_request(&request, access).body).unwrap()
    };
    let allow = Access::allow;
    assert!(open(allow().greet(&Event::text("hi").name("hello"))).contains("event: hello\ndata: hi\n\n"));
    let many = (0..101).fold(allow(), |access, _| access.greet(&Event::text("x")));
    for access in [
        allow().greet(&Event::text("x").name("stream-open")),
        allow().greet(&Event::text("x".repeat(5_000))),
        many,
        allow().user(""),
        allow().user("a\nb"),
        allow().user("x".repeat(300)),
    ] {
        let body = open(access);
        assert!(body.contains(r#"{"reason":"failed"}"#), "{body}");
    }
    let other: Position = "ffffffff-000000000001".parse().unwrap();
    assert!(open(allow().since(other)).contains("stream-reset"));
}

#[test]
fn the_newest_of_a_users_streams_take_the_place_of_the_oldest() {
    let (events, server) = serve_mounts(Config::new().shards(2).max_streams_per_user(2), of_users());
    let eve = open(&server, "/eve/?channel=a");
    let mut first = open(&server, "/bob/?channel=a");
    let mut second = pull(&events, "bob", "a");
    publish(&events, "a", ["before"]);
    let mut third = open(&server, "/bob/?channel=a");
    assert_eq!(first.data(), "before");
    first.read_until(|client| client.close_notice().is_some());
    assert_eq!(first.close_notice(), Some("replaced"));
    // Or the two would take each other's place for ever.
    assert_eq!(first.retry_ms(), Some(86_400_000));
    assert_eq!(first.read_to_end().1, Over::Complete);
    let mut fourth = pull(&events, "bob", "a");
    let told = rest(&mut second);
    assert!(told.contains("data: before") && told.contains("replaced"), "{told}");
    publish(&events, "a", ["after"]);
    assert_eq!(third.data(), "after");
    assert!(fourth.next_timeout(PATIENCE).unwrap().unwrap().starts_with(b"data: after"));
    until("they are counted", || closed(&events, CloseReason::Replaced) == 2 && events.stats().open == 3);
    drop(eve);
}

#[test]
fn one_more_of_a_users_streams_is_refused_where_that_is_set() {
    let config = Config::new().max_streams_per_user(1).over_user_limit(OverUserLimit::Refuse);
    let (events, server) = serve_mounts(config, of_users());
    let first = open(&server, "/bob/?channel=a");
    let mut more = Conn::open(&server);
    more.request("GET", "/bob/?channel=a", &[("Accept", "text/event-stream")]);
    let mut more = more.into_stream();
    more.read_until(|client| client.close_notice().is_some());
    assert_eq!(more.close_notice(), Some("full"));
    open(&server, "/eve/?channel=a");
    assert_eq!(events.stats().refused, 1);
    drop(first);
    // A client that is gone is noticed by its socket.
    until("its place is free", || {
        let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
        events.open_request(&request, Access::allow().user("bob")).stream.is_some()
    });
}

/// A shard that has read events for some streams ends others before it hands them out.
#[test]
fn events_reach_those_who_stay_while_others_are_sent_back() {
    let (events, server) = serve_mounts(Config::new().shards(1), of_users());
    let mut eve = open(&server, "/eve/?channel=a");
    for round in 0..500 {
        let [one, other] = ["a", "b"].map(|channel| open(&server, &format!("/bob/?channel={channel}")));
        let text = round.to_string();
        publish(&events, "b", ["secret"]);
        publish(&events, "a", [&*text]);
        // The shard is reading by now, or about to.
        (0..round % 50 * 80).for_each(|_| std::hint::spin_loop());
        events.reopen(Who::new().user("bob")).unwrap();
        for mut bob in [one, other] {
            bob.read_to_end();
            assert_eq!(bob.close_notice(), Some("reauthorize"), "in round {round}");
        }
        let event = eve.event();
        assert_eq!((&*event.data, event.name), (&*text, None));
    }
}

/// Adopted, pulled and resumed; and nobody else's.
#[test]
fn what_is_published_to_a_user_reaches_all_streams_of_that_user_alone() {
    let own = ["bob", "eve"].map(|user| {
        Mount::new(format!("/{user}/own/")).authorize(move |_| Access::channels([""; 0]).user(user))
    });
    let (events, server) =
        serve_mounts(Config::new().shards(2).user_channel(true), of_users().into_iter().chain(own));
    let mut bobs = [open(&server, "/bob/?channel=a"), open(&server, "/bob/own/")];
    let mut eves = [open(&server, "/eve/?channel=a"), open(&server, "/eve/own/")];
    let mut pulled = pull(&events, "bob", "a");
    let receipt = events.publish_to_user("bob", Event::text("for bob")).unwrap();
    assert_eq!(receipt.streams, 3);
    events.publish_to_user("nobody is there", Event::text("x")).unwrap();
    for bob in &mut bobs {
        assert_eq!(bob.data(), "for bob");
    }
    assert!(pulled.next_timeout(PATIENCE).unwrap().unwrap().starts_with(b"data: for bob"));
    events.publish_to_user("eve", Event::text("for eve")).unwrap();
    for eve in &mut eves {
        assert_eq!(eve.data(), "for eve");
    }
    events.publish_to_user("bob", Event::text("missed")).unwrap();
    assert_eq!(bobs[0].data(), "missed");
    let last_id = receipt.position().unwrap().to_string();
    let mut again = Client::resume(&server, "/bob/own/", &last_id);
    assert_eq!(again.expect("stream-open").data, r#"{"channels":["@user/bob"]}"#);
    assert_eq!(again.data(), "missed");
}

/// With the setting or without: another process may have it.
#[test]
fn nobody_opens_the_channel_of_another_by_naming_it() {
    for is_set in [true, false] {
        let named = Mount::new("/named/").authorize(|_| Access::channels(["@user/bob"]).user("eve"));
        let (_events, server) =
            serve_mounts(Config::new().user_channel(is_set), of_users().into_iter().chain([named]));
        for target in [
            "/eve/?channel=@user/bob",
            "/eve/?channel=a&channel=%40user%2Fbob",
            "/named/",
            "/bob/?channel=@user/bob",
        ] {
            let error = Client::get(&server, target).expect("stream-error");
            assert!(error.data.contains("belong to one user each"), "{target}: {}", error.data);
        }
    }
}

#[test]
fn publishing_to_a_user_whom_it_cannot_reach_fails() {
    let off = Events::new(Config::new()).unwrap();
    let error = off.publish_to_user("bob", Event::text("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("user_channel"), "{error}");
    let events = Events::new(Config::new().user_channel(true)).unwrap();
    for user in ["", "a\nb", &"x".repeat(251)] {
        let error = events.publish_to_user(user, Event::text("x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{user}");
    }
    let longest = "x".repeat(250);
    events.publish_to_user(&longest, Event::text("x")).unwrap();
    let request = Request { method: "GET", path: "/", query: "", headers: &[], peer: None };
    assert!(events.open_request(&request, Access::allow().user(longest.clone())).stream.is_some());
    assert!(events.open_request(&request, Access::allow().user(longest + "x")).stream.is_none());
    assert!(events.open_request(&request, Access::allow()).stream.is_none(), "it has no channel at all");
    let proxied = |channels| {
        Config::new().grip(vec!["http://localhost:9".into()]).user_channel(true).channel_limit(channels)
    };
    assert_eq!(Events::new(proxied(18)).unwrap_err().kind(), ErrorKind::InvalidConfig);
    Events::new(proxied(17)).unwrap();
}
