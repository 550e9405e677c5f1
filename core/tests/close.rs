//! Closing a server, or everything, while streams are open: in time, and with a word to each client.
#![cfg(feature = "runtime")]

mod common;

use std::{
    collections::HashSet,
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use common::{Client, Conn, Over, PATH, PATIENCE, closed, noise, publish, serve, until};
use evstream::{Access, Address, CloseReason, Config, Event, Events, Message, Mount, Request};

/// Reads what is left and checks that the stream was ended well, by a server that means it.
fn ends_well(mut client: Client) -> Vec<String> {
    let (data, over) = client.read_to_end();
    assert_eq!(over, Over::Complete, "after {} events", data.len());
    assert!(client.retry_ms().is_some(), "it says when to come back");
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
    let mut pull = events.pull(events.open(&request, Access::allow()).stream.unwrap()).unwrap();
    let subscriptions: Vec<_> = (0..4)
        .map(|_| events.subscribe(["0"]).unwrap())
        .map(|s| thread::spawn(|| s.into_iter().count()))
        .collect();
    for i in 0..7 {
        publish(&events, &i.to_string(), ["the last"]);
    }
    events.close(PATIENCE);
    events.close(PATIENCE);
    assert_eq!(events.stats().open, 1, "the one that is pulled has not been read to its end");
    for client in clients {
        assert_eq!(ends_well(client), ["the last"]);
    }
    let mut text = Vec::new();
    while let Some(chunk) = pull.next_timeout(PATIENCE).unwrap() {
        text.extend(chunk);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("data: the last\n\nretry: "), "{text}");
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
        events.close(Duration::ZERO);
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
            events.close(Duration::from_millis(300));
        } else {
            assert!(!server.close(Duration::from_millis(300)));
        }
        let took = before.elapsed();
        assert!((Duration::from_millis(290)..PATIENCE / 2).contains(&took), "it took {took:?}");
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
            events.close(Duration::from_secs(3_600));
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
                        conn.send_what_is_taken("GET /events/?channel=a HTTP/1.1\r\nHost: x\r\n\r\n");
                        let Ok(head) = conn.try_head() else { continue };
                        served += 1;
                        let mut client = conn.continue_stream(head);
                        let over = client.read_to_end().1;
                        if round % 3 < 2 {
                            assert_eq!(over, Over::Complete);
                            assert!(client.retry_ms().is_some());
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
            1 => drop(events.close(PATIENCE)),
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
        events.close(PATIENCE);
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
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let stream = events.open(&request, Access::allow()).stream.unwrap();
    events.adopt(stream, ours.into(), evstream::Framing::Close, Vec::new()).unwrap();
    drop(events);
    let (_, over) = Client::headless(Conn::new(theirs), common::Unframe::UntilClose).read_to_end();
    assert_eq!(over, Over::Complete);
}
