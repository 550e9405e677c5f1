//! Requests and events that are wrong: what each is told, and that the next is served.
#![cfg(feature = "runtime")]

mod common;

use common::{Client, Conn, Over, PATIENCE, publish, serve, until};
use evstream::{Config, Event, Events, Server};

/// On the connection of a request that was refused, and on a new one, a stream works.
fn next_is_fine(events: &Events, server: &Server, conn: Option<Conn>) {
    for mut conn in conn.into_iter().chain([Conn::open(server)]) {
        conn.request("GET", "/events/?channel=fine", &[]);
        let mut client = conn.into_stream();
        client.expect("stream-open");
        publish(events, "fine", ["x"]);
        assert_eq!(client.data(), "x");
    }
}

#[test]
fn wrong_channels_are_told_in_band() {
    let (events, server) = serve(Config::new());
    let eleven: Vec<String> = (0..11).map(|i| format!("channel={i}")).collect();
    let long = format!("channel={}", "x".repeat(257));
    for (query, text) in [
        ("", "no channel was given; name one with ?channel=NAME"),
        ("channle=a", "no channel was given; name one with ?channel=NAME"),
        (&eleven.join("&"), "11 channels were given; a stream may have 10"),
        ("channel=%ff", "the query parameter 'channel' is not UTF-8"),
        (
            "channel=%4",
            "the query parameter 'channel' has a '%' that is not followed by two hexadecimal digits",
        ),
        ("channel=a&lastEventId=%ff", "the query parameter 'lastEventId' is not UTF-8"),
        ("channel=", "empty"),
        ("channel=a%00", "control character"),
        ("channel=a%0Ab", "control character"),
        (&long, "256"),
    ] {
        let mut conn = Conn::open(&server);
        let (head, body) = conn.request("GET", &format!("/events/?{query}"), &[]).response();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{query}");
        assert!(
            body.starts_with("event: stream-error\nretry: 86400000\ndata: {")
                && body.ends_with("}\nid: error\n\n"),
            "{query}: {body}"
        );
        assert!(body.contains(r#""condition":"bad-request""#), "{query}: {body}");
        assert!(body.contains(text), "{query}: {body}");
        next_is_fine(&events, &server, Some(conn));
    }
}

#[test]
fn wrong_methods_and_positions_get_a_status() {
    let (events, server) = serve(Config::new());
    let error = [("Last-Event-ID", "error")];
    let length = [("Content-Length", "5")];
    for (method, headers, body, status) in [
        ("POST", &length[..], "hello", 405),
        ("PUT", &[], "", 405),
        ("get", &[], "", 405),
        ("BREW", &[], "", 405),
        ("GET", &error, "", 400),
        ("GET", &[("Accept", "image/png")], "", 406),
    ] {
        let mut conn = Conn::open(&server);
        let headers: String =
            headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        conn.send(format!("{method} /events/?channel=a HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}"));
        let (head, text) = conn.response();
        assert_eq!(head.status, status, "{method} {headers:?}: {text}");
        assert!(head.header("content-type").unwrap().starts_with("text/plain"), "{head:?}");
        assert_eq!(head.header("allow").is_some(), status == 405);
        assert!(!text.is_empty());
        next_is_fine(&events, &server, Some(conn));
    }
    // The position of an error may also come in the query.
    let mut conn = Conn::open(&server);
    assert_eq!(conn.request("GET", "/events/?channel=a&lastEventId=error", &[]).response().0.status, 400);
    next_is_fine(&events, &server, Some(conn));
}

#[test]
fn a_large_body_is_not_waited_for() {
    let (events, server) = serve(Config::new());
    let mut conn = Conn::open(&server);
    conn.request("POST", "/events/?channel=a", &[("Content-Length", "100000000")]);
    assert_eq!(conn.response().0.status, 405);
    // What was on its way already does not have the connection reset.
    conn.send("x".repeat(500_000));
    assert_eq!(conn.read_to_end(), (Over::Cut, vec![]));
    let mut conn = Conn::open(&server);
    conn.request("GET", "/events/?channel=a", &[("Content-Length", "100000000")]);
    conn.into_stream().expect("stream-open");
    next_is_fine(&events, &server, None);
}

#[test]
fn oversized_heads_are_refused() {
    let (events, server) = serve(Config::new());
    let url =
        |bytes: usize| format!("/events/?channel=a&{}", "x".repeat(bytes - "/events/?channel=a&".len()));
    let many = "X-Many: y\r\n".repeat(200);
    let large = format!("X-Large: {}\r\n", "y".repeat(20_000));
    let flood = format!("X-Flood: {}\r\n", "y".repeat(1_000_000));
    for (url, headers, statuses) in [
        (url(8_193), "", &[414][..]),
        (url(64 * 1_024), "", &[414, 431]),
        (url(1_000_000), "", &[414, 431]),
        (url(100), &many, &[431]),
        (url(100), &large, &[431]),
        (url(100), &flood, &[431]),
    ] {
        let what = format!("{} bytes of URL, {} of headers", url.len(), headers.len());
        let mut conn = Conn::open(&server);
        conn.send_what_is_taken(format!("GET {url} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"));
        let head = conn.try_head().unwrap_or_else(|over| panic!("{what}: {over:?}"));
        assert!(statuses.contains(&head.status), "{what}: {head:?}");
        next_is_fine(&events, &server, None);
    }
    let mut conn = Conn::open(&server);
    conn.request("GET", &url(8_192), &[]);
    conn.into_stream().expect("stream-open");

    let wide = Config::new().max_url_bytes(65_534).max_header_bytes(1_048_576);
    let (events, server) = serve(wide);
    let mut conn = Conn::open(&server);
    conn.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", url(65_534), flood));
    let mut client = conn.into_stream();
    client.expect("stream-open");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
}

#[test]
fn what_is_not_http_is_refused() {
    let (events, server) = serve(Config::new());
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /events/?channel=\xff HTTP/1.1\r\n\r\n",
        b"GET /events/?channel=a HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /events/?channel=a HTTP/9.9\r\n\r\n",
        b"GET /events/?channel=a HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /events/?channel=a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut conn = Conn::open(&server);
        conn.send(bytes);
        if let Ok(head) = conn.try_head() {
            assert_eq!(head.status, 400, "{:?}", String::from_utf8_lossy(bytes));
        }
        drop(conn);
        next_is_fine(&events, &server, None);
    }
    until("nothing is open", || events.stats().open == 0);
}

#[test]
fn what_cannot_be_published_is_refused() {
    let (events, server) = serve(Config::new().max_event_bytes(1_000));
    let mut client = Client::open(&server, "/events/?channel=a");
    let refused = |channel: &str, event: Event<'_>| {
        let error = events.publish(channel, event).unwrap_err();
        assert!(!error.to_string().is_empty());
        error.code()
    };
    for name in ["a\rb", "a\nb", "a\0b", "stream-open", "stream-", "stream-x"] {
        assert_eq!(refused("a", Event::text("x").name(name)), "invalid-event", "{name:?}");
    }
    assert_eq!(refused("a", Event::text("x".repeat(1_001))), "too-large");
    assert_eq!(refused("a", Event::text("x".repeat(500)).comment("y".repeat(501))), "too-large");
    for channel in ["", "a\n", "a\0", &"x".repeat(257)] {
        assert_eq!(refused(channel, Event::text("x")), "invalid-channel", "{channel:?}");
        assert_eq!(events.channel(channel).unwrap_err().code(), "invalid-channel");
        assert_eq!(events.subscribe([channel]).unwrap_err().code(), "invalid-channel");
    }
    assert_eq!(events.stats().published, 0);
    publish(&events, "a", ["x".repeat(1_000).as_str()]);
    assert_eq!(client.data().len(), 1_000);
    let handle = events.channel("a").unwrap();
    assert!(server.close(PATIENCE));
    events.close(PATIENCE).unwrap();
    assert_eq!(refused("a", Event::text("x")), "closed");
    assert_eq!(handle.publish(Event::text("x")).unwrap_err().code(), "closed");
    assert_eq!(events.subscribe(["a"]).unwrap_err().code(), "closed");
    assert_eq!(events.server().bind("127.0.0.1:0").unwrap_err().code(), "closed");
}
