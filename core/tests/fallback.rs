//! Requests that are for no mount, as an application without a web framework answers them.
#![cfg(feature = "runtime")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use evstream::{Address, Answer, Config, Events, Mount, Server};

/// A server with a fallback that tells what it was given.
struct Echo {
    events: Events,
    server: Arc<Server>,
}

impl Echo {
    fn start(config: Config) -> Self {
        let events = Events::new(config).unwrap();
        let server = events.server().mount(Mount::new("/events/")).fallback(|request, body| {
            let body = String::from_utf8_lossy(body);
            match request.path {
                "/panic" => panic!("the application has a bug"),
                "/split" => Answer::new(200, "text/plain\r\nX-Injected: 1", ""),
                "/status" => Answer::new(99, "text/plain", ""),
                "/framing" => {
                    let mut answer = Answer::new(200, "text/plain", "four");
                    answer.headers.push(("content-length".into(), "1000".into()));
                    answer.headers.push(("Transfer-Encoding".into(), "chunked".into()));
                    answer
                }
                path => {
                    let text = format!("{} {path} {} {body}", request.method, request.query);
                    Answer::new(201, "text/plain", text)
                }
            }
        });
        let server = server.bind("127.0.0.1:0").unwrap();
        Self { events, server }
    }

    /// Sends `request` as it is, and gives back the answer up to its end.
    fn ask(&self, request: &str) -> String {
        let mut connection = TcpStream::connect(self.address()).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn address(&self) -> SocketAddr {
        let Address::Tcp(address) = *self.server.address() else { panic!("not TCP") };
        address
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.events.close(Duration::from_secs(10)).unwrap();
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

fn post(length: usize, body: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn status(answer: &str) -> &str {
    &answer[9..12]
}

#[test]
fn it_is_given_request_and_body() {
    let echo = Echo::start(Config::new());
    let answer = echo.ask(&get("/some/page?x=1"));
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nGET /some/page x=1 "), "{answer}");
    assert!(echo.ask(&post(5, "hello")).ends_with("POST /p  hello"));
    let chunked = "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(echo.ask(&format!("{chunked}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")).ends_with("POST /p  hello"));
}

#[test]
fn mounts_come_first() {
    let echo = Echo::start(Config::new());
    assert_eq!(status(&echo.ask(&get("/events/"))), "200");
    assert!(echo.ask(&get("/events/")).contains("bad-request"));
    let posted = post(0, "").replace("/p", "/events/");
    assert_eq!(status(&echo.ask(&posted)), "405");
}

#[test]
fn bodies_are_bounded() {
    let echo = Echo::start(Config::new().max_body_bytes(5));
    assert_eq!(status(&echo.ask(&post(5, "12345"))), "201");
    let answer = echo.ask(&post(6, ""));
    assert!(answer.ends_with("a request may have 5 bytes of body at most\n"), "{answer}");
    assert_eq!(status(&answer), "413");
    let chunked = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n";
    assert_eq!(status(&echo.ask(chunked)), "413");
}

#[test]
fn slow_and_broken_bodies_are_refused() {
    let echo = Echo::start(Config::new().body_timeout_ms(10));
    assert_eq!(status(&echo.ask(&post(5, "1234"))), "408");
    let garbled = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n";
    assert_eq!(status(&echo.ask(garbled)), "400");
}

#[test]
fn a_bug_in_it_is_a_500() {
    let echo = Echo::start(Config::new());
    for path in ["/panic", "/split", "/status"] {
        let answer = echo.ask(&get(path));
        assert_eq!(status(&answer), "500", "{path}: {answer}");
        assert!(!answer.contains("X-Injected"), "{answer}");
    }
    let answer = echo.ask(&get("/framing"));
    assert!(answer.contains("content-length: 4\r\n") && answer.ends_with("\r\n\r\nfour"), "{answer}");
    assert!(!answer.contains("1000") && !answer.contains("chunked"), "{answer}");
}
