//! What the application's hook sees, what it can say, and what happens when it misbehaves.
#![cfg(feature = "runtime")]

mod common;

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, Sender, channel},
};

use common::{Client, Conn, Over, PATIENCE, publish, serve_mounts, until};
use evstream::{Access, CloseReason, Config, Mount, Observer, Stream, StreamRequest};

fn guarded(authorize: impl Fn(&StreamRequest<'_>) -> Access + Send + Sync + 'static) -> Mount {
    Mount::new("/events/").authorize(authorize)
}

#[test]
fn the_hook_is_shown_the_channels_that_the_stream_gets() {
    let (seen, names) = channel();
    let seen = Mutex::new(seen);
    let mount = guarded(move |request| {
        seen.lock().unwrap().send(request.channels().to_vec()).unwrap();
        Access::allow()
    });
    let (_events, server) = serve_mounts(Config::new(), [mount]);
    for (query, channels) in
        [("channel=b&x=%ff&ch%61nnel=a&channel=b", ["b", "a"]), ("channel=a%23&channel=%62+c", ["a#", "b c"])]
    {
        let mut client = Client::get(&server, &format!("/events/?{query}"));
        let opened = client.expect("stream-open").data;
        assert_eq!(names.recv_timeout(PATIENCE).unwrap(), channels);
        assert_eq!(opened, format!("{{\"channels\":[\"{}\",\"{}\"]}}", channels[0], channels[1]));
    }
}

#[test]
fn it_sees_the_request() {
    let (seen, requests) = channel();
    let seen = Mutex::new(seen);
    let mount = guarded(move |request| {
        let text = format!(
            "{} {} {} cookie={:?} odd={:?} peer={:?}",
            request.method,
            request.path,
            request.query,
            request.header("Cookie"),
            request.headers.iter().find(|(name, _)| *name == "x-odd").map(|(_, value)| value.to_vec()),
            request.peer,
        );
        seen.lock().unwrap().send(text).unwrap();
        Access::allow()
    });
    let (_events, server) = serve_mounts(Config::new(), [mount]);
    let mut conn = Conn::open(&server);
    conn.send(
        b"GET /events?channel=a%20b&x=1 HTTP/1.1\r\nHost: x\r\nCOOKIE: id=7\r\nX-Odd: \xff\xfe\r\n\r\n",
    );
    conn.into_stream().expect("stream-open");
    assert_eq!(
        requests.recv_timeout(PATIENCE).unwrap(),
        "GET /events channel=a%20b&x=1 cookie=Some(\"id=7\") odd=Some([255, 254]) peer=Some(127.0.0.1)"
    );
}

#[test]
fn it_can_allow_narrow_and_forbid() {
    let mount = guarded(|request| match request.header("x-user") {
        Some("none") => Access::channels(Vec::<String>::new()),
        Some("many") => Access::channels((0..11).map(|i| i.to_string())),
        Some("bad") => Access::channels(["a\n"]),
        Some(user) => Access::channels([format!("user-{user}"), "all".to_owned()]).user(user),
        None if request.query.contains("private") => Access::forbid("please \"log in\""),
        None => Access::allow(),
    });
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let mut open = Client::open(&server, "/events/?channel=a");
    publish(&events, "a", ["x"]);
    assert_eq!(open.data(), "x");

    let mut conn = Conn::open(&server);
    let mut narrowed = {
        conn.request("GET", "/events/?channel=user-eve", &[("X-User", "bob")]);
        conn.into_stream()
    };
    assert_eq!(narrowed.expect("stream-open").data, r#"{"channels":["user-bob","all"]}"#);
    publish(&events, "user-eve", ["secret"]);
    publish(&events, "user-bob", ["hi"]);
    assert_eq!(narrowed.data(), "hi");

    // On one connection: an in-band error is a response like any other.
    let mut conn = Conn::open(&server);
    for (headers, condition, text) in [
        (&[][..], "forbidden", r#"please \"log in\""#),
        (&[("X-User", "none")], "bad-request", "no channel"),
        (&[("X-User", "many")], "bad-request", "11 channels"),
        (&[("X-User", "bad")], "bad-request", "control character"),
    ] {
        let (head, body) = conn.request("GET", "/events/?channel=private", headers).response();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert!(body.starts_with("event: stream-error\n") && body.ends_with("\nid: error\n\n"), "{body}");
        assert!(body.contains(&format!(r#""condition":"{condition}""#)), "{body}");
        assert!(body.contains(text), "{body}");
    }
    assert_eq!(events.stats().open, 2);
}

#[test]
fn a_client_comes_back_after_a_panic() {
    let mount = guarded(|request| {
        assert!(!request.query.contains("boom"), "a test asked for it");
        Access::allow()
    });
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let mut conn = Conn::open(&server);
    for _ in 0..3 {
        let event_source = [("Accept", "text/event-stream")];
        let (head, body) = conn.request("GET", "/events/?channel=boom", &event_source).response();
        assert_eq!(head.status, 200);
        assert!(
            body.starts_with("event: stream-close\n") && body.contains(r#"{"reason":"failed"}"#),
            "{body}"
        );
        let (head, _) = conn.request("GET", "/events/?channel=boom", &[]).response();
        assert_eq!(head.status, 503);
    }
    conn.request("GET", "/events/?channel=a", &[]);
    let mut client = conn.into_stream();
    client.expect("stream-open");
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
}

#[test]
fn one_that_blocks_holds_up_nobody_else() {
    let (started, starts) = channel();
    let (release, gate) = channel();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let mount = guarded(move |request| {
        if request.query.contains("slow") {
            started.lock().unwrap().send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        Access::allow()
    });
    let (events, server) = serve_mounts(Config::new().server_threads(1), [mount]);
    let slow: Vec<Conn> = (0..20)
        .map(|_| {
            let mut conn = Conn::open(&server);
            conn.request("GET", "/events/?channel=slow", &[]);
            conn
        })
        .collect();
    starts.recv_timeout(PATIENCE).unwrap();
    let mut quick = Client::open(&server, "/events/?channel=a");
    publish(&events, "a", ["x"]);
    assert_eq!(quick.data(), "x");
    for _ in &slow {
        release.send(()).unwrap();
    }
    for conn in slow {
        conn.into_stream().expect("stream-open");
    }
}

#[test]
fn a_client_that_leaves_while_it_is_asked_leaves_nothing_behind() {
    let (started, starts) = channel();
    let (release, gate) = channel();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let mount = guarded(move |_| {
        started.lock().unwrap().send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        Access::allow()
    });
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let mut conn = Conn::open(&server);
    conn.request("GET", "/events/?channel=a", &[]);
    starts.recv_timeout(PATIENCE).unwrap();
    drop(conn);
    release.send(()).unwrap();
    // Whether the hook's answer is still used depends on when the end of the connection is seen.
    drop(release);
    until("nothing is open", || events.stats().open == 0 && events.channel("a").unwrap().streams() == 0);
    assert!(server.close(PATIENCE));
}

#[test]
fn closing_does_not_wait_longer_than_told_for_one_that_hangs() {
    let (started, starts) = channel();
    let (release, gate) = channel::<()>();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let mount = guarded(move |request| {
        if request.query.contains("slow") {
            started.lock().unwrap().send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }
        Access::allow()
    });
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let mut stream = Client::open(&server, "/events/?channel=a");
    let mut hanging = Conn::open(&server);
    hanging.request("GET", "/events/?channel=slow", &[]);
    starts.recv_timeout(PATIENCE).unwrap();
    let before = std::time::Instant::now();
    events.close(std::time::Duration::from_millis(300)).unwrap();
    assert!(before.elapsed() < PATIENCE / 2, "it took {:?}", before.elapsed());
    // The stream was ended well all the same.
    assert_eq!(stream.read_to_end(), (vec![], Over::Complete));
    assert_eq!(stream.close_notice(), Some("shutdown"));
    drop(release);
    assert_eq!(hanging.read_to_end().1, b"");
}

#[test]
fn an_observer_hears_of_every_stream() {
    struct Log(Mutex<Sender<String>>);
    impl Observer for Log {
        fn stream_opened(&self, stream: &Stream) {
            let names: Vec<&str> = stream.channels().collect();
            let text = format!("opened {:?} {:?} {:?}", stream.user(), names, stream.peer());
            self.0.lock().unwrap().send(text).unwrap();
            assert!(stream.user() != Some("panic"), "a test asked for it");
        }

        fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
            let text = format!("closed {:?} {}", stream.user(), reason.name());
            self.0.lock().unwrap().send(text).unwrap();
        }
    }
    let mount = guarded(|request| Access::channels(["a"]).user(request.header("x-user").unwrap()));
    let (events, server) = serve_mounts(Config::new(), [mount]);
    let (log, heard): (_, Receiver<String>) = channel();
    events.observe(Log(Mutex::new(log.clone()))).unwrap();
    assert_eq!(events.observe(Log(Mutex::new(log))).unwrap_err().code(), "invalid-argument");
    let next = || heard.recv_timeout(PATIENCE).unwrap();

    let open = |user: &str| {
        let mut conn = Conn::open(&server);
        conn.request("GET", "/events/", &[("X-User", user)]);
        let mut client = conn.into_stream();
        client.expect("stream-open");
        client
    };
    let bob = open("bob");
    assert_eq!(next(), r#"opened Some("bob") ["a"] Some(127.0.0.1)"#);
    drop(bob);
    assert_eq!(next(), r#"closed Some("bob") client"#);
    let eve = open("panic");
    assert!(next().starts_with("opened"));
    let events = Arc::new(events);
    server.close(PATIENCE);
    assert_eq!(next(), r#"closed Some("panic") shutdown"#);
    drop((eve, events));
}
