//! Requests whose form is wrong, or that ask for what this server is not: refused as HTTP has it, by nobody's hook.
#![cfg(feature = "runtime")]

mod common;

use std::sync::Arc;

use common::{Client, Conn, Head, Over, publish};
use evstream::{Access, Answer, Config, Events, Mount, Request, Server};

/// A server whose hooks would answer anything.
fn serve(config: Config) -> (Events, Arc<Server>) {
    let events = Events::new(config).unwrap();
    let server = events.server().mount(Mount::new("/events/"));
    let server = server.fallback(|request, _| Answer::new(200, "text/plain", request.method));
    let server = server.bind("127.0.0.1:0").unwrap();
    (events, server)
}

/// The answer to `request`, and whether the connection is closed after it.
fn ask(server: &Server, request: &str) -> (Head, String, bool) {
    let mut conn = Conn::open(server);
    conn.send(request);
    let (head, body) = conn.response();
    let closes = head.header("connection") == Some("close");
    if closes {
        assert_eq!(conn.read_to_end().0, Over::Cut);
    }
    (head, body, closes)
}

#[test]
fn a_request_has_one_host() {
    let (_events, server) = serve(Config::new());
    for (version, headers, status) in [
        ("1.1", "", 400),
        ("1.1", "Host: a\r\nHost: a\r\n", 400),
        ("1.1", "Host: a\r\nX: y\r\nHost: b\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.1", "Host: u@a\r\n", 400),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
        ("1.1", "Host:\r\n", 200),
        ("1.1", "Host: [::1]:8000\r\n", 200),
        ("1.0", "", 200),
    ] {
        for path in ["/", "/events/?channel=a&lastEventId=error", "/publish/"] {
            let (head, body, closes) =
                ask(&server, &format!("GET {path} HTTP/{version}\r\n{headers}Connection: close\r\n\r\n"));
            let expected = if status == 200 && path.starts_with("/events/") { 400 } else { status };
            assert_eq!(head.status, expected, "{path} {version} {headers}: {body}");
            assert!(closes || version == "1.0");
            assert_eq!(body.contains("Host"), status == 400, "{body}");
        }
    }
}

#[test]
fn nothing_makes_a_tunnel() {
    let (_events, server) = serve(Config::new());
    for target in ["a:80", "/events/?channel=a", "127.0.0.1:1"] {
        let mut conn = Conn::open(&server);
        conn.send(format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = conn.head();
        // hyper refuses a CONNECT to something else than an authority itself.
        assert!([400, 501].contains(&head.status), "{head:?}");
        assert_eq!(conn.read_to_end().0, Over::Cut);
    }
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let (head, body, _) = ask(&server, &format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"));
    assert_eq!((head.status, body.as_str()), (200, "GET"), "an upgrade is an offer");
}

#[test]
fn http_2_is_told_that_it_is_not_spoken() {
    let (events, server) = serve(Config::new());
    let mut conn = Conn::open(&server);
    conn.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let (head, body) = conn.response();
    assert_eq!((head.status, head.header("connection")), (505, Some("close")));
    assert!(body.contains("HTTP/1.1"), "{body}");
    assert_eq!(conn.read_to_end(), (Over::Cut, vec![]));
    let mut client = Client::open(&server, "/events/?channel=a");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
}

#[test]
fn a_link_is_no_path_of_a_stream() {
    let link = "/events/evs1-AAAA";
    let request = Request { method: "GET", path: link, query: "channel=a", headers: &[], peer: None };
    for config in [Config::new(), Config::new().grip(vec!["http://127.0.0.1:1?key=secret".into()])] {
        let (events, server) = serve(config);
        for slash in ["", "/"] {
            let (head, body, _) =
                ask(&server, &format!("GET {link}{slash}?channel=a HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(head.status, 404, "{body}");
        }
        let reply = events.open_request(&request, Access::allow());
        assert!(reply.status == 404 && reply.stream.is_none());
        assert_eq!(events.stats().opened, 0);
    }
}

#[test]
fn a_stream_says_that_it_ends_with_its_connection() {
    let (_events, server) = serve(Config::new());
    let client = Client::get(&server, "/events/?channel=a");
    assert_eq!(client.head.header("connection"), Some("close"));
    let (_, _, closes) = ask(&server, "GET /events/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!closes, "what is no stream leaves it open");
}
