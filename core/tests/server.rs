//! The server: what a client gets on a good day, over each kind of connection.
#![cfg(feature = "runtime")]

mod common;

use std::{
    collections::HashSet,
    os::unix::net::UnixListener,
    time::{Duration, Instant},
};

use common::{Client, Conn, Over, PATH, closed, publish, resets, serve, serve_mounts, until};
use evstream::{Address, CloseReason, Config, Event, Events, Mount, ResetReason};

#[test]
fn events_arrive_in_the_order_of_publishing() {
    let (events, server) = serve(Config::new());
    let mut client = Client::open(&server, "/events/?channel=a&channel=b");
    let published: Vec<(String, String)> = (0..1_000)
        .map(|i| {
            let channel = ["a", "b", "unread"][fastrand::usize(0..3)];
            let receipt = events.publish(channel, Event::text(format!("{channel} {i}"))).unwrap();
            assert_eq!(receipt.streams, usize::from(channel != "unread"));
            (format!("{channel} {i}"), receipt.position().unwrap().to_string())
        })
        .filter(|(text, _)| !text.starts_with("unread"))
        .collect();
    for (text, position) in published {
        let event = client.expect("message");
        assert_eq!((event.data, event.id), (text, position));
    }
    assert_eq!(events.stats().open, 1);
}

#[test]
fn an_event_arrives_as_it_was_published() {
    let (events, server) = serve(Config::new());
    let mut client = Client::open(&server, "/events/?channel=%C3%BC+x");
    let event = Event::text("one\ntwo\r\nthree\n").name("note").retry_ms(1_234).comment("hi");
    events.publish("ü x", event).unwrap();
    events.publish("ü x", Event::json(&["a", "ü"]).unwrap()).unwrap();
    assert_eq!(client.expect("note").data, "one\ntwo\nthree\n");
    assert_eq!(client.retry_ms(), Some(1_234));
    assert_eq!(client.data(), r#"["a","ü"]"#);
    assert!(String::from_utf8_lossy(&client.text).contains("\n: hi\n"));
}

#[test]
fn the_head_and_stream_open_come_at_once() {
    let (events, server) = serve(Config::new());
    events.publish("a", Event::text("before")).unwrap();
    let mut client = Client::get(&server, "/events/?channel=a&channel=b");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(client.head.header(name), Some(value), "{name}");
    }
    assert_eq!(client.head.version, "HTTP/1.1");
    assert_eq!(client.expect("stream-open").data, r#"{"channels":["a","b"]}"#);
    assert!(client.last_id().ends_with("-000000000001"), "{}", client.last_id());
}

#[test]
fn a_client_resumes_by_header_or_query() {
    let (events, server) = serve(Config::new());
    let ids: Vec<String> = (1..=6)
        .map(|i| {
            let channel = if i == 4 { "b" } else { "a" };
            events.publish(channel, Event::text(i.to_string())).unwrap().position().unwrap().to_string()
        })
        .collect();
    let (second, last) = (&ids[1], &ids[5]);
    let by_header = Client::resume(&server, "/events/?channel=a", second);
    // The header is newer than the URL, which an EventSource repeats as it was made.
    let by_both = Client::resume(&server, &format!("/events/?channel=a&lastEventId={last}"), second);
    let by_query = ["lastEventId", "last_event_id", "last-event-id"]
        .map(|name| Client::get(&server, &format!("/events/?{name}={second}&channel=a&{name}=")));
    for mut client in [by_header, by_both].into_iter().chain(by_query) {
        assert_eq!(client.expect("stream-open").id, *second);
        assert_eq!([client.data(), client.data(), client.data()], ["3", "5", "6"]);
    }
    let mut level = Client::resume(&server, "/events/?channel=a", last);
    level.expect("stream-open");
    publish(&events, "a", ["7"]);
    assert_eq!(level.data(), "7");
}

#[test]
fn a_client_that_cannot_be_connected_is_told() {
    for (seq, same_epoch, reason, lost) in [
        (1, true, ResetReason::Expired, &["a"][..]),
        (0xf, true, ResetReason::Epoch, &["a", "b"]),
        (4, false, ResetReason::Epoch, &["a", "b"]),
    ] {
        let (events, server) = serve(Config::new().history_events(2));
        publish(&events, "a", ["1", "2", "3"]);
        let head = events.publish("a", Event::text("4")).unwrap().position().unwrap();
        let mut id = head;
        id.seq = seq;
        id.epoch.0 ^= u32::from(!same_epoch);
        let mut client = Client::resume(&server, "/events/?channel=a&channel=b", &id.to_string());
        let open = client.expect("stream-open");
        let repeated = if seq == 0xf { "unknown".to_owned() } else { id.to_string() };
        assert_eq!(open.id, repeated, "whoever is cut off now is told again");
        let reset = client.expect("stream-reset");
        let told = format!(r#"{{"channels":{lost:?},"reason":"{}"}}"#, reason.name()).replace(", ", ",");
        assert_eq!((reset.data, reset.id), (told, head.to_string()));
        publish(&events, "b", ["next"]);
        assert_eq!(client.data(), "next");
        assert_eq!(resets(&events, reason), 1);
    }
    let (events, server) = serve(Config::new());
    let mut client = Client::resume(&server, "/events/?channel=a", "garbage of some length: é");
    assert_eq!(client.expect("stream-open").id, "unknown");
    assert_eq!(client.expect("stream-reset").data, r#"{"channels":["a"],"reason":"epoch"}"#);
    publish(&events, "a", ["next"]);
    assert_eq!(client.data(), "next");
}

#[test]
fn a_client_of_http_1_0_reads_to_the_close() {
    let (events, server) = serve(Config::new());
    for headers in ["", "Connection: keep-alive\r\nHost: x\r\n"] {
        let mut conn = Conn::open(&server);
        conn.send(format!("GET {PATH}?channel=a HTTP/1.0\r\n{headers}\r\n"));
        let mut client = conn.into_stream();
        assert_eq!(client.head.header("transfer-encoding"), None);
        assert_eq!(client.head.header("content-length"), None);
        client.expect("stream-open");
        publish(&events, "a", ["x", "y"]);
        assert_eq!([client.data(), client.data()], ["x", "y"]);
    }
    let mut conn = Conn::open(&server);
    let mut client = {
        conn.send(format!("GET {PATH}?channel=a HTTP/1.0\r\n\r\n"));
        conn.into_stream()
    };
    client.expect("stream-open");
    assert!(server.close(common::PATIENCE));
    assert_eq!(client.read_to_end(), (vec![], Over::Complete));
    assert_eq!(client.close_notice(), Some("shutdown"));
}

#[test]
fn a_stream_may_come_after_other_requests() {
    let (events, server) = serve(Config::new());
    let mut conn = Conn::open(&server);
    let (head, body) = conn.request("GET", "/elsewhere", &[]).response();
    assert_eq!((head.status, &*body), (404, "there is no stream here\n"));

    let head = conn.request("HEAD", "/events/?channel=a", &[]).head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));

    let (head, _) = conn.request("DELETE", "/events/?channel=a", &[]).response();
    assert_eq!((head.status, head.header("allow")), (405, Some("GET, HEAD, OPTIONS")));

    let (head, _) = conn.request("OPTIONS", "/events/", &[]).response();
    assert_eq!(head.status, 204);

    let (head, _) = conn.request("GET", "/events/?channel=a", &[("Accept", "text/html")]).response();
    assert_eq!(head.status, 406);

    let mut client = {
        conn.request("GET", "/events/?channel=a", &[("Accept", "text/event-stream")]);
        conn.into_stream()
    };
    client.expect("stream-open");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
}

#[test]
fn requests_may_come_in_one_packet() {
    let (events, server) = serve(Config::new());
    let mut conn = Conn::open(&server);
    let stream = format!("GET {PATH}?channel=a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    conn.send(format!(
        "GET /none HTTP/1.1\r\nHost: x\r\n\r\n{stream}GET /ignored HTTP/1.1\r\nHost: x\r\n\r\n"
    ));
    assert_eq!(conn.response().0.status, 404);
    let mut client = conn.into_stream();
    client.expect("stream-open");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
}

/// The head of the stream meets a socket that is just full of responses.
#[test]
fn a_stream_may_come_after_responses_that_are_not_read() {
    let path = std::env::temp_dir().join(format!("evstream-full-{}.sock", std::process::id()));
    let events = Events::new(Config::new()).unwrap();
    let server = events.server().mount(Mount::new(PATH)).bind(&format!("unix:{}", path.display())).unwrap();
    // Whether the stream opens after so many responses that nobody reads; it must work once they are read.
    let opens_after = |before: usize| {
        let opened = events.stats().opened;
        let mut conn = Conn::open(&server);
        conn.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n".repeat(before));
        conn.request("GET", "/events/?channel=a", &[]);
        let deadline = Instant::now() + Duration::from_millis(30);
        while events.stats().opened == opened && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let opens = events.stats().opened > opened;
        for _ in 0..before {
            assert_eq!(conn.response().0.status, 404);
        }
        let mut client = conn.into_stream();
        client.expect("stream-open");
        publish(&events, "a", ["x"]);
        assert_eq!(client.data(), "x");
        opens
    };
    let (mut open, mut full) = (0, 1_500);
    while full - open > 1 {
        let middle = usize::midpoint(open, full);
        if opens_after(middle) { open = middle } else { full = middle }
    }
    for before in full.saturating_sub(8)..full + 2 {
        opens_after(before);
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let (events, server) = serve(Config::new());
    let mut conn = Conn::open(&server);
    conn.socket.set_tcp_nodelay(true).unwrap();
    for byte in format!("GET {PATH}?channel=a HTTP/1.1\r\nHost: x\r\n\r\n").bytes() {
        conn.send([byte]);
    }
    let mut client = conn.into_stream();
    client.expect("stream-open");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
}

#[test]
fn it_listens_on_every_kind_of_address() {
    let directory = std::env::temp_dir().join(format!("evstream-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("server.sock");
    // What a crashed server leaves behind: a socket file that nobody listens on.
    drop(UnixListener::bind(&path).unwrap());
    let unix = format!("unix:{}", path.display());
    let events = Events::new(Config::new()).unwrap();
    let build = || events.server().mount(Mount::new(PATH));
    for address in ["127.0.0.1:0", "[::1]:0", "localhost:0", &unix] {
        let server = build().bind(address).unwrap();
        if address == unix {
            assert_eq!(*server.address(), Address::Unix(path.clone()));
            assert_eq!(server.address().to_string(), unix);
            assert!(build().bind(&unix).is_err(), "it must not be taken from a server that is up");
        }
        let mut client = Client::open(&server, "/events/?channel=a");
        publish(&events, "a", [address]);
        assert_eq!(client.data(), address);
        drop(client);
        until("the stream has ended", || events.stats().open == 0);
        assert!(server.close(common::PATIENCE));
    }
    assert!(!path.exists(), "the socket file goes with its server");
    std::fs::write(&path, "not a socket").unwrap();
    assert!(build().bind(&unix).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"not a socket", "only socket files are taken away");
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "unix:"] {
        let error = build().bind(address).unwrap_err();
        assert!(["io", "invalid-argument"].contains(&error.code()), "{address}: {error}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_port_in_use_is_an_error() {
    let (events, server) = serve(Config::new());
    let error = events.server().bind(&server.address().to_string()).unwrap_err();
    assert_eq!(error.code(), "io");
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
}

#[test]
fn mounts_are_chosen_by_path() {
    let mounts = [Mount::new("/chosen/"), Mount::new("/fixed").channels(["clock", "news"]), Mount::new("/")];
    let (events, server) = serve_mounts(Config::new(), mounts);
    for (target, channels) in [
        ("/chosen/?channel=a", r#"["a"]"#),
        ("/chosen?channel=a", r#"["a"]"#),
        ("/fixed?channel=a", r#"["clock","news"]"#),
        ("/fixed/", r#"["clock","news"]"#),
        ("/?channel=b", r#"["b"]"#),
    ] {
        let mut client = Client::get(&server, target);
        let open = client.expect("stream-open");
        assert_eq!(open.data, format!(r#"{{"channels":{channels}}}"#), "{target}");
    }
    let mut conn = Conn::open(&server);
    for target in ["/chosen/more?channel=a", "/fix", "/Fixed", "*"] {
        assert_eq!(conn.request("GET", target, &[]).response().0.status, 404, "{target}");
    }
    let mut client = Client::open(&server, "/fixed");
    publish(&events, "news", ["x"]);
    assert_eq!(client.data(), "x");
    let error = events.server().mount(Mount::new("events")).bind("127.0.0.1:0").unwrap_err();
    assert_eq!(error.code(), "invalid-config");
}

#[test]
fn caps_are_answered_and_places_come_back() {
    let (events, server) = serve(Config::new().max_streams(3).max_streams_per_address(2));
    let ipv6 = events.server().mount(Mount::new(PATH)).bind("[::1]:0").unwrap();
    let first = Client::open(&server, "/events/?channel=a");
    let second = Client::open(&server, "/events/?channel=a");

    let mut conn = Conn::open(&server);
    let (head, body) = conn.request("GET", "/events/?channel=a", &[]).response();
    assert_eq!((head.status, head.header("retry-after")), (429, Some("2")), "{body}");
    let event_source = [("Accept", "text/event-stream")];
    let (head, body) = conn.request("GET", "/events/?channel=a", &event_source).response();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert!(
        body.starts_with("event: stream-close\nretry: ") && body.contains(r#"{"reason":"full"}"#),
        "{body}"
    );
    let third = Client::open(&ipv6, "/events/?channel=a");
    let mut other = Conn::open(&ipv6);
    let (head, body) = other.request("GET", "/events/?channel=a", &[]).response();
    assert_eq!((head.status, head.header("retry-after")), (503, Some("3")), "{body}");
    let stats = events.stats();
    assert_eq!((stats.open, stats.refused), (3, 3));

    // Refusing has taken no place, and the connections that were refused are still good.
    drop((first, third));
    until("their places are free", || events.stats().open == 1);
    for mut conn in [conn, other] {
        conn.request("GET", "/events/?channel=a", &[]);
        let mut client = conn.into_stream();
        client.expect("stream-open");
        publish(&events, "a", ["x"]);
        assert_eq!(client.data(), "x");
        drop(client);
        until("its place is free", || events.stats().open == 1);
    }
    drop(second);
    until("all places are free", || events.stats().open == 0);
    assert_eq!(closed(&events, CloseReason::Client), 5);
}

#[test]
fn a_head_must_come_in_time() {
    let (events, server) = serve(Config::new().header_timeout_ms(200));
    let silent = Conn::open(&server);
    let mut slow = Conn::open(&server);
    slow.send("GET /events/?channel=a HTTP/1.1\r\nHost: x\r\n");
    let mut idle = Conn::open(&server);
    assert_eq!(idle.request("GET", "/none", &[]).response().0.status, 404);
    let mut stream = Client::open(&server, "/events/?channel=a");
    for mut conn in [silent, slow, idle] {
        let (over, rest) = conn.read_to_end();
        assert_eq!((over, String::from_utf8_lossy(&rest).into_owned()), (Over::Cut, String::new()));
    }
    // A stream is no request that is late.
    publish(&events, "a", ["x"]);
    assert_eq!(stream.data(), "x");
}

#[test]
fn clients_of_the_same_channels_may_name_them_in_any_order() {
    let (events, server) = serve(Config::new().shards(2));
    let targets = ["?channel=a&channel=b", "?channel=b&channel=a", "?channel=a", "?channel=a&channel=a"];
    let mut clients: Vec<Client> =
        (0..40).map(|i| Client::open(&server, &format!("/events/{}", targets[i % targets.len()]))).collect();
    for round in 0..10 {
        publish(&events, "a", [&*format!("round {round}")]);
        for client in &mut clients {
            assert_eq!(client.data(), format!("round {round}"));
        }
        // Some leave in each round, from anywhere.
        for _ in 0..3 {
            clients.swap_remove(fastrand::usize(0..clients.len()));
        }
        let open = clients.len() as u64;
        until("they have left", || events.stats().open == open);
    }
    let positions: HashSet<String> = clients.iter().map(|client| client.last_id().to_owned()).collect();
    assert_eq!(positions.len(), 1);
    assert_eq!(events.channel("a").unwrap().streams(), clients.len());
}

#[test]
fn a_server_is_dropped_with_its_streams() {
    let (events, server) = serve(Config::new());
    let other = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
    let mut client = Client::open(&server, "/events/?channel=a");
    let mut kept = Client::open(&other, "/events/?channel=a");
    let Address::Tcp(address) = *server.address() else { panic!() };
    drop(server);
    assert_eq!(client.read_to_end().1, Over::Complete);
    publish(&events, "a", ["x"]);
    assert_eq!(kept.data(), "x");
    until("its port is free", || std::net::TcpListener::bind(address).is_ok());
    assert_eq!(events.stats().open, 1);
    assert!(other.close(Duration::MAX), "any time is allowed");
}
