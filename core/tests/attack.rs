//! Clients that do not read or send what they should, before there is a stream: what they may cost, and for how long.
#![cfg(feature = "runtime")]

mod common;

use std::{
    io::ErrorKind,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Client, Conn, Over, until};
use evstream::{Access, Address, Answer, Config, Events, Mount, Server};
use socket2::{Domain, Socket, Type};

/// Much more than a socket takes.
const PAGE_BYTES: usize = 8_000_000;

/// A server whose fallback answers `/page` with much, and anything else with the length of its body.
fn serve(config: Config) -> (Events, Arc<Server>) {
    serve_at(config, "127.0.0.1:0")
}

fn serve_at(config: Config, address: &str) -> (Events, Arc<Server>) {
    let events = Events::new(config).unwrap();
    let server = events.server().mount(Mount::new("/events/")).fallback(|request, body| match request.path {
        "/page" => Answer::new(200, "text/plain", vec![b'x'; PAGE_BYTES]),
        _ => Answer::new(200, "text/plain", body.len().to_string()),
    });
    let server = server.bind(address).unwrap();
    (events, server)
}

fn until_connections(events: &Events, count: u64) {
    until(&format!("{count} connections"), || events.stats().connections == count);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_given_up() {
    let path = std::env::temp_dir().join(format!("evstream-attack-{}", std::process::id()));
    for address in ["127.0.0.1:0", &format!("unix:{}", path.display())] {
        // The system gives up clients of TCP too, but later, and those of a Unix socket never.
        do_not_read(&serve_at(Config::new().write_timeout_ms(200), address));
    }
}

fn do_not_read((events, server): &(Events, Arc<Server>)) {
    let open = || match server.address() {
        Address::Tcp(_) => Conn::with_small_buffer(server),
        _ => Conn::open(server),
    };
    let mut clients: Vec<Conn> = (0..20).map(|_| open()).collect();
    for client in &mut clients {
        client.request("GET", "/page", &[]).request("GET", "/page", &[]);
        client.fill_at_most(1).unwrap();
    }
    // Small answers, but so many that they fill every buffer on the way.
    let mut piped: Vec<Conn> = (0..5).map(|_| open()).collect();
    for client in &mut piped {
        client.request("OPTIONS", "/events/", &[]).fill_at_most(1).unwrap();
        client.socket.set_nonblocking(true).unwrap();
        let requests = "OPTIONS /events/ HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
        until("the connection takes no more, or is cut", || match client.socket.send(requests.as_bytes()) {
            Ok(_) => false,
            Err(error) => {
                // Once more after a while, in case that the server was only slow.
                std::thread::sleep(Duration::from_millis(50));
                error.kind() != ErrorKind::WouldBlock || client.socket.send(requests.as_bytes()).is_err()
            }
        });
    }
    until_connections(events, 0);
    for mut client in clients {
        let (over, received) = client.read_to_end();
        assert!(over != Over::Complete && received.len() < PAGE_BYTES, "{over:?} after {}", received.len());
    }
    // The server is as well as before.
    let mut client = Conn::open(server);
    assert_eq!(client.request("GET", "/page", &[]).response().1.len(), PAGE_BYTES);
}

#[test]
fn a_client_that_reads_slowly_is_served_to_the_end() {
    let (_events, server) = serve(Config::new().write_timeout_ms(1_000));
    let mut client = Conn::with_small_buffer(&server);
    client.request("GET", "/page", &[("Connection", "close")]);
    let head = client.head();
    let mut received = client.received.len();
    // Pauses shorter than the timeout, which together are longer than it.
    for _ in 0..15 {
        std::thread::sleep(Duration::from_millis(150));
        received += client.fill_at_most(20_000).unwrap();
    }
    client.received.clear();
    while let Ok(count) = client.fill() {
        received += count;
        client.received.clear();
    }
    assert_eq!(head.header("content-length"), Some(PAGE_BYTES.to_string().as_str()));
    assert_eq!(received, PAGE_BYTES);
}

#[test]
fn closing_cuts_who_does_not_read_by_its_deadline() {
    let (events, server) = serve(Config::new());
    let mut client = Conn::with_small_buffer(&server);
    client.request("GET", "/page", &[]);
    client.fill_at_most(1).unwrap();
    assert!(!server.close(Duration::from_millis(200)), "the answer could not be finished");
    until_connections(&events, 0);
    let (over, received) = client.read_to_end();
    assert!(over != Over::Complete && received.len() < PAGE_BYTES);
}

#[test]
fn bodies_take_a_bounded_part_of_memory() {
    let config = Config::new().max_body_bytes(100_000).max_bodies_bytes(250_000).body_timeout_ms(600_000);
    let (events, server) = serve(config);
    let announce = |bytes: usize| {
        let mut client = Conn::open(&server);
        client.request("POST", "/", &[("Content-Length", &bytes.to_string())]);
        client
    };
    // What is announced takes no room, and what has come does.
    let mut idle: Vec<Conn> = (0..10).map(|_| announce(90_000)).collect();
    let mut slow: Vec<Conn> = (0..10).map(|_| announce(90_000)).collect();
    for client in &mut slow {
        client.send_what_is_taken(vec![b'x'; 80_000]);
    }
    let mut refused = 0;
    until("all but three are refused", || {
        for client in &mut slow {
            if client.received.is_empty() && client.fill_before(4_096, Instant::now()).is_some() {
                assert_eq!(client.head().status, 503);
                refused += 1;
                client.received = b"seen".to_vec();
            }
        }
        refused >= 7
    });
    assert!(refused < 10, "those that were first go on");

    drop(slow);
    until_connections(&events, 10);
    for client in &mut idle {
        // One after the other there is room for all.
        client.send(vec![b'x'; 90_000]);
        assert_eq!(client.response().1, "90000");
    }
}

#[test]
fn a_body_that_could_never_have_room_is_too_large() {
    let (_events, server) = serve(Config::new().max_body_bytes(100_000).max_bodies_bytes(1_000));
    let mut client = Conn::open(&server);
    client.request("POST", "/", &[("Content-Length", "1001")]);
    assert_eq!(client.response().0.status, 413);
}

#[test]
fn connections_are_capped() {
    let (events, server) = serve(Config::new().max_connections(3));
    let mut held: Vec<Conn> = (0..3).map(|_| Conn::open(&server)).collect();
    until_connections(&events, 3);
    let mut refused = Conn::open(&server);
    assert_eq!(refused.read_to_end().1, b"", "it is closed without an answer");
    assert_eq!(events.stats().connections_refused, 1);
    assert_eq!(held[0].request("POST", "/", &[]).response().1, "0", "the others go on");

    // Streams leave room for other requests.
    let streams: Vec<Client> = held
        .into_iter()
        .map(|mut conn| {
            conn.request("GET", "/events/?channel=a", &[]);
            conn.into_stream()
        })
        .collect();
    until_connections(&events, 0);
    assert_eq!(events.stats().open, streams.len() as u64);
    assert_eq!(Conn::open(&server).request("POST", "/", &[]).response().1, "0");
    assert_eq!(events.stats().connections_refused, 1);
}

#[test]
fn behind_a_trusted_proxy_limits_and_functions_see_the_client() {
    let config = Config::new()
        .trusted_proxies(vec!["127.0.0.1".to_owned()])
        .max_streams_per_address(1)
        .max_connections_per_address(1);
    let mount = Mount::new("/events/").authorize(|request| {
        Access::channels([request.peer.map_or_else(|| "none".to_owned(), |peer| peer.to_string())])
    });
    let events = Events::new(config).unwrap();
    let server = events.server().mount(mount).bind("127.0.0.1:0").unwrap();
    let ask = |forwarded_for: &str| {
        let mut conn = Conn::open(&server);
        conn.request("GET", "/events/", &[("X-Forwarded-For", forwarded_for)]);
        conn
    };
    let mut first = ask("198.51.100.7, 192.0.2.1").into_stream();
    assert_eq!(first.expect("stream-open").data, r#"{"channels":["192.0.2.1"]}"#);
    let mut second = ask("198.51.100.7, 192.0.2.2").into_stream();
    assert_eq!(second.expect("stream-open").data, r#"{"channels":["192.0.2.2"]}"#);
    let mut refused = ask("203.0.113.5, 192.0.2.1");
    assert_eq!(refused.response().0.status, 429);
    // The proxy has as many connections as it needs.
    let mut others = [ask("192.0.2.1"), ask("192.0.2.2")];
    assert_eq!(others.each_mut().map(|conn| conn.response().0.status), [429, 429]);
    assert_eq!(events.stats().connections_refused, 0);
    drop(first);
    until("its place is free", || events.stats().open == 1);
    ask("192.0.2.1").into_stream().expect("stream-open");
}

#[test]
fn connections_are_capped_for_each_address() {
    let (events, server) = serve(Config::new().max_connections_per_address(2));
    let from = |address: &str| {
        let Address::Tcp(server) = *server.address() else { panic!() };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
        socket.connect(&server.into()).unwrap();
        Conn::new(socket)
    };
    let held = [from("127.0.0.2"), from("127.0.0.2")];
    until_connections(&events, 2);
    assert_eq!(from("127.0.0.2").read_to_end().1, b"");
    assert_eq!(from("127.0.0.3").request("POST", "/", &[]).response().1, "0");
    assert_eq!(events.stats().connections_refused, 1);
    drop(held);
    until_connections(&events, 0);
    assert_eq!(from("127.0.0.2").request("POST", "/", &[]).response().1, "0");
}
