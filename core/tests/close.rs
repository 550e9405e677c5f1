//! Closing a server, or everything, while streams are open: in time, and with a word to each client.
#![cfg(feature = "runtime")]

mod common;

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use common::{Client, Conn, Over, PATH, PATIENCE, closed, noise, publish, serve, serve_mounts, until};
use evstream::{Access, Address, CloseReason, Config, Event, Events, Framing, Message, Mount, Request};

/// Reads what is left and checks that the stream was ended well, by a server that means it.
fn ends_well(mut client: Client) -> Vec<String> {
    let (data, over) = client.read_to_end();
    assert_eq!(over, Over::Complete, "after {} events", data.len());
    assert_eq!(client.close_notice(), Some("shutdown"), "it says when to come back");
    assert_eq!(client.conn.read_to_end(), (Over::Cut, vec![]), "the connection is closed after that");
    data
}

#[test]
fn a_server_closes_alone() {
    let (events, server) = serve(Config::new());
    let other = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
    let clients: Vec<Client> = (0..20).map(|_| Client::open(&server, "/events/?channel=a")).collect();
    let mut kept = Client::open(&other, "/events/?channel=a");
    let mut inside = events.subscribe(["a"]).unwrap();
    assert!(server.close(PATIENCE));

    let Address::Tcp(address) = *server.address() else { panic!() };
    assert!(TcpStream::connect(address).is_err());
    drop(TcpListener::bind(address).expect("the port is free"));
    let retries: HashSet<Option<u64>> = clients
        .into_iter()
        .map(|mut client| {
            assert_eq!(client.read_to_end(), (vec![], Over::Complete));
            assert_eq!(client.close_notice(), Some("shutdown"));
            client.retry_ms()
        })
        .collect();
    assert!(retries.iter().all(|retry| (2_000..=4_000).contains(&retry.unwrap())), "{retries:?}");
    assert!(retries.len() > 1, "they are spread");

    publish(&events, "a", ["x"]);
    assert_eq!(kept.data(), "x");
    let Ok(Some(Message::Event(event))) = inside.next_timeout(PATIENCE) else { panic!() };
    assert_eq!(event.data, "x");
    assert_eq!((events.stats().open, closed(&events, CloseReason::Shutdown)), (1, 20));
    assert!(server.close(Duration::ZERO), "again is nothing");
}

#[test]
fn everything_closes() {
    let (events, server) = serve(Config::new().shards(2));
    let other = events.server().mount(Mount::new(PATH)).bind("[::1]:0").unwrap();
    let clients: Vec<Client> = (0..40)
        .map(|i| Client::open([&server, &other][i % 2], &format!("/events/?channel={}", i % 7)))
        .collect();
    let request = Request { method: "GET", path: "/", query: "channel=0", headers: &[], peer: None };
    let mut pull = events.pull(events.open_request(&request, Access::allow()).stream.unwrap()).unwrap();
    let subscriptions: Vec<_> = (0..4)
        .map(|_| events.subscribe(["0"]).unwrap())
        .map(|s| thread::spawn(|| s.into_iter().count()))
        .collect();
    for i in 0..7 {
        publish(&events, &i.to_string(), ["the last"]);
    }
    events.close(PATIENCE).unwrap();
    events.close(PATIENCE).unwrap();
    assert_eq!(events.stats().open, 1, "the one that is pulled has not been read to its end");
    for client in clients {
        assert_eq!(ends_well(client), ["the last"]);
    }
    let mut text = Vec::new();
    while let Some(chunk) = pull.next_timeout(PATIENCE).unwrap() {
        text.extend(chunk);
    }
    let text = String::from_utf8(text).unwrap();
    let (events_sent, _) = text.split_once("\n\nevent: stream-close\n").expect("it is asked to come back");
    assert!(events_sent.contains("data: the last\nid: "), "{text}");
    for subscription in subscriptions {
        assert_eq!(subscription.join().unwrap(), 1);
    }
    assert_eq!(events.publish("0", Event::text("x")).unwrap_err().code(), "closed");
    assert_eq!(events.stats().open, 0);
    assert_eq!(closed(&events, CloseReason::Shutdown), 41);
    for server in [server, other] {
        let Address::Tcp(address) = *server.address() else { panic!() };
        drop(TcpListener::bind(address).expect("the port is free"));
    }
}

#[test]
fn no_time_at_all_is_enough_for_those_who_are_level() {
    for _ in 0..20 {
        let (events, server) = serve(Config::new());
        let mut clients: Vec<Client> = (0..5).map(|_| Client::open(&server, "/events/?channel=a")).collect();
        // One that is still being opened has no time either.
        publish(&events, "a", ["the first"]);
        for client in &mut clients {
            assert_eq!(client.data(), "the first");
        }
        publish(&events, "a", ["the last"]);
        events.close(Duration::ZERO).unwrap();
        for mut client in clients {
            assert_eq!(client.read_to_end(), (vec!["the last".to_owned()], Over::Complete));
        }
    }
}

#[test]
fn what_was_published_before_still_comes_when_the_socket_was_full() {
    let (events, server) = serve(Config::new());
    let client = Client::open(&server, "/events/?channel=a");
    // More than the sockets on both sides hold, so most of it is still in the log when closing begins.
    let published: Vec<String> = (0..24).map(|seed| noise(1_000_000, seed)).collect();
    publish(&events, "a", published.iter().map(|text| &**text));
    thread::scope(|scope| {
        let closing = scope.spawn(|| server.close(PATIENCE));
        // After the server has begun to close.
        let Address::Tcp(address) = *server.address() else { panic!() };
        until("connections are refused", || TcpStream::connect(address).is_err());
        assert!(ends_well(client) == published, "all of it comes, in order");
        assert!(closing.join().unwrap());
    });
}

#[test]
fn a_client_that_does_not_read_is_not_waited_for_longer_than_told() {
    for close_all in [false, true] {
        let (events, server) = serve(Config::new());
        let stuck = Client::open(&server, "/events/?channel=a");
        let well = Client::open(&server, "/events/?channel=b");
        let big = noise(1_000_000, 1);
        publish(&events, "a", [&*big; 24]);
        let before = Instant::now();
        if close_all {
            events.close(Duration::from_millis(300)).unwrap();
        } else {
            assert!(!server.close(Duration::from_millis(300)));
        }
        let took = before.elapsed();
        assert!(took < PATIENCE / 2, "it took {took:?}");
        ends_well(well);
        until("the one that does not read is gone", || events.stats().open == 0);
        drop(stuck);
    }
}

#[test]
fn connections_without_a_stream_are_not_waited_for() {
    for close_all in [false, true] {
        let (events, server) = serve(Config::new().header_timeout_ms(3_600_000));
        let silent = Conn::open(&server);
        let mut begun = Conn::open(&server);
        begun.send("GET /events/?channel=a HTTP/1.1\r\nHost:");
        let mut idle = Conn::open(&server);
        assert_eq!(idle.request("GET", "/none", &[]).response().0.status, 404);
        let mut begun_again = Conn::open(&server);
        assert_eq!(begun_again.request("GET", "/none", &[]).response().0.status, 404);
        begun_again.send("GET /events/?chan");
        let before = Instant::now();
        if close_all {
            events.close(Duration::from_secs(3_600)).unwrap();
        } else {
            assert!(server.close(Duration::from_secs(3_600)));
        }
        assert!(before.elapsed() < PATIENCE, "it took {:?}", before.elapsed());
        for mut conn in [silent, begun, idle, begun_again] {
            assert_eq!(conn.read_to_end().1, b"");
        }
    }
}

/// Clients keep connecting while the server goes away: each gets a stream that ends well, or no response at all.
#[test]
fn a_stream_that_opens_while_the_server_closes_ends_too() {
    for round in 0..30 {
        let (events, server) = serve(Config::new().shards(2).server_threads(2));
        let Address::Tcp(address) = *server.address() else { panic!() };
        let clients: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    let mut served = 0;
                    while let Ok(socket) = TcpStream::connect(address) {
                        let mut conn = Conn::new(socket);
                        conn.send_what_is_taken(
                            "GET /events/?channel=a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
                        );
                        let Ok(head) = conn.try_head() else { continue };
                        served += 1;
                        let mut client = conn.continue_stream(head);
                        let over = client.read_to_end().1;
                        if round % 3 < 2 {
                            assert_eq!(over, Over::Complete);
                            assert_eq!(client.close_notice(), Some("shutdown"));
                        }
                        if served % 5 == 0 {
                            break;
                        }
                    }
                })
            })
            .collect();
        until("some are open", || events.stats().open >= 2);
        match round % 3 {
            0 => assert!(server.close(PATIENCE)),
            1 => drop(events.close(PATIENCE).unwrap()),
            _ => drop(server),
        }
        for client in clients {
            client.join().unwrap();
        }
        until("all have ended", || events.stats().open == 0);
        let stats = events.stats();
        assert_eq!(stats.opened, stats.closed.iter().map(|(_, count)| count).sum::<u64>());
    }
}

/// Who was answered before the events were closed is told when to come back, whatever the streams are given to after it.
#[test]
fn a_stream_that_is_given_away_after_the_end_says_when_to_come_back() {
    for with_engine in [false, true] {
        let events = Events::new(Config::new()).unwrap();
        let subscription = with_engine.then(|| events.subscribe(["a"]).unwrap());
        let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
        let open = || events.open_request(&request, Access::allow());
        let (chunked, whole, pulled) = (open(), open(), open());
        let position = events.publish("a", Event::text("read when coming back")).unwrap().position().unwrap();
        assert!(events.close(PATIENCE).unwrap().ended);

        for (reply, framing) in [(chunked, Framing::Chunked), (whole, Framing::Close)] {
            let (mut client, socket) = UnixStream::pair().unwrap();
            client.write_all(b"what nobody asked for").unwrap();
            events.adopt(reply.stream.unwrap(), socket.into(), framing, b"first".to_vec()).unwrap();
            let mut got = String::new();
            client.read_to_string(&mut got).unwrap();
            assert!(got.starts_with("first") && got.contains(r#"{"reason":"shutdown"}"#), "{got}");
            assert!(got.contains("retry: ") && !got.contains("read when"), "{got}");
            assert_eq!(got.ends_with("\r\n0\r\n\r\n"), framing == Framing::Chunked, "{got}");
        }

        let mut pull = events.pull(pulled.stream.unwrap()).unwrap();
        let mut got = Vec::new();
        while let Some(piece) = pull.next_timeout(PATIENCE).unwrap() {
            got.extend_from_slice(&piece);
        }
        let got = String::from_utf8(got).unwrap();
        assert!(got.contains("data: read when") && got.contains(r#"{"reason":"shutdown"}"#), "{got}");
        assert!(got.contains(&format!("id: {position}")), "{got}");
        drop(subscription);
        assert_eq!(events.stats().open, 0);
    }
}

/// The application decides on a request only after its server has given up waiting for it.
#[test]
fn a_closed_server_opens_nothing() {
    let (entered, entries) = std::sync::mpsc::channel();
    let (decide, decision) = std::sync::mpsc::channel::<()>();
    let (entered, decision) = (Mutex::new(entered), Mutex::new(decision));
    let mount = Mount::new(PATH).authorize(move |_| {
        entered.lock().unwrap().send(()).unwrap();
        let _ = decision.lock().unwrap().recv_timeout(PATIENCE);
        Access::allow()
    });
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let mut conn = Conn::open(&server);
    conn.request("GET", "/events/?channel=a", &[]);
    entries.recv_timeout(PATIENCE).unwrap();
    assert!(!server.close(Duration::ZERO), "a request was not answered");
    conn.read_to_end();
    assert!(!server.close(Duration::ZERO), "the connection was cut, but the hook still runs");
    decide.send(()).unwrap();
    assert!(server.close(PATIENCE), "the hook has ended");
    assert_eq!(events.stats().opened, 0);
}

#[test]
fn it_may_be_closed_and_dropped_inside_another_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (events, server) = serve(Config::new());
        let client = Client::open(&server, "/events/?channel=a");
        assert!(server.close(PATIENCE));
        ends_well(client);
        let server = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
        let client = Client::open(&server, "/events/?channel=a");
        events.close(PATIENCE).unwrap();
        ends_well(client);
        drop((events, server));

        let (events, server) = serve(Config::new());
        let mut client = Client::open(&server, "/events/?channel=a");
        let mut pull = events.subscribe(["a"]).unwrap();
        drop((server, events));
        assert_eq!(client.read_to_end().1, Over::Complete);
        assert_eq!(pull.next_timeout(Duration::ZERO).unwrap_err().code(), "timeout");
        drop(pull);
    });
}

#[test]
fn dropping_the_last_handle_ends_the_streams() {
    let (events, server) = serve(Config::new());
    let mut client = Client::open(&server, "/events/?channel=a");
    let channel = events.channel("a").unwrap();
    drop(events);
    channel.publish(Event::text("x")).unwrap();
    assert_eq!(client.data(), "x");
    drop(server);
    assert_eq!(client.read_to_end().1, Over::Complete);
    drop(channel);

    let events = Events::new(Config::new()).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let stream = events.open_request(&request, Access::allow()).stream.unwrap();
    events.adopt(stream, ours.into(), Framing::Close, Vec::new()).unwrap();
    drop(events);
    let (_, over) = Client::headless(Conn::new(theirs), common::Unframe::UntilClose).read_to_end();
    assert_eq!(over, Over::Complete);
}
