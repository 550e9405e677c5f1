//! Connections that begin with what a proxy says of its client.
#![cfg(feature = "runtime")]

mod common;

use std::{
    fmt::Write,
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use common::{Client, Conn, PATH, PATIENCE, serve, until};
use evstream::{Config, ErrorKind, Events, Mount, Who};
use socket2::Socket;

fn config() -> Config {
    Config::new().proxy_protocol(true).trusted_proxies(vec!["127.0.0.1".to_owned()])
}

fn behind(proxied: &str, conn: &mut Conn, headers: &[(&str, &str)]) {
    let mut request = format!("{proxied}GET /events/?channel=a HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    // It may be closed before.
    conn.send_what_is_taken(request + "\r\n");
}

#[test]
fn the_client_is_whom_the_proxy_names() {
    let (events, server) = serve(config().max_streams_per_address(1));
    let addresses = |events: &Events| -> Vec<String> {
        let streams = events.streams(Who::everyone()).unwrap();
        streams.iter().map(|stream| stream.address.unwrap().to_string()).collect()
    };
    let open = |proxied: &str, headers: &[(&str, &str)]| -> Client {
        let mut conn = Conn::open(&server);
        behind(proxied, &mut conn, headers);
        conn.into_stream()
    };
    let mut first = open("PROXY TCP4 192.0.2.1 198.51.100.2 53248 80\r\n", &[]);
    first.expect("stream-open");
    let mut second =
        open("PROXY TCP6 2001:db8::7 2001:db8::1 53248 80\r\n", &[("X-Forwarded-For", "192.0.2.9")]);
    second.expect("stream-open");
    until("both are there", || addresses(&events).len() == 2);
    assert_eq!(addresses(&events), ["192.0.2.1", "2001:db8::7"], "a client's word on itself does not count");
    let mut again = Conn::open(&server);
    behind("PROXY TCP4 192.0.2.1 198.51.100.2 53249 80\r\n", &mut again, &[]);
    assert_eq!(again.head().status, 429, "its address has a stream already");
    // One of the trusted proxies in front of the other: its header counts.
    let mut far = open("PROXY TCP4 127.0.0.1 127.0.0.1 53249 80\r\n", &[("X-Forwarded-For", "192.0.2.77")]);
    far.expect("stream-open");
    until("it is there", || addresses(&events).contains(&"192.0.2.77".to_owned()));
    // A check of health, or a client that the proxy does not know, and for whom it has not looked at what is said here.
    let mut checking = open("PROXY UNKNOWN\r\n", &[("X-Forwarded-For", "192.0.2.66")]);
    checking.expect("stream-open");
    until("it is there", || addresses(&events).contains(&"127.0.0.1".to_owned()));
}

#[test]
fn connections_are_limited_by_the_client() {
    let (events, server) = serve(config().max_connections_per_address(2));
    let connect = |last: u8| {
        let mut conn = Conn::open(&server);
        conn.send(format!("PROXY TCP4 192.0.2.{last} 198.51.100.2 53248 80\r\n"));
        conn
    };
    let mut idle = [connect(1), connect(1)];
    for conn in &mut idle {
        assert_eq!(conn.request("GET", "/elsewhere", &[]).response().0.status, 404);
    }
    connect(1).read_to_end();
    assert_eq!(events.stats().connections_refused, 1);
    let mut other = connect(2);
    behind("", &mut other, &[]);
    other.into_stream().expect("stream-open");
    drop(idle);
    until("both are gone", || events.stats().connections == 0);
    let mut again = connect(1);
    behind("", &mut again, &[]);
    again.into_stream().expect("stream-open");
}

#[test]
fn whoever_asks_whether_anybody_listens_is_none_that_is_refused() {
    let (events, server) = serve(config());
    let probe = Conn::open(&server);
    until("it is there", || events.stats().connections == 1);
    drop(probe);
    until("it is gone", || events.stats().connections == 0);
    assert_eq!(events.stats().connections_refused, 0);
}

#[test]
fn by_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("evstream-proxied-{:x}", fastrand::u64(..)));
    let address = format!("unix:{}", path.display());
    let bind = |config: Config| {
        let events = Events::new(config).unwrap();
        events.server().mount(Mount::new(PATH)).bind(&address).map(|server| (events, server))
    };
    assert_eq!(bind(config()).unwrap_err().kind(), ErrorKind::InvalidConfig);
    let (events, server) = bind(config().trusted_proxies(vec!["unix".to_owned()])).unwrap();
    let mut conn = Conn::open(&server);
    behind("PROXY TCP4 192.0.2.1 198.51.100.2 53248 80\r\n", &mut conn, &[]);
    let mut client = conn.into_stream();
    client.expect("stream-open");
    until("it is there", || !events.streams(Who::everyone()).unwrap().is_empty());
    assert_eq!(events.streams(Who::everyone()).unwrap()[0].address, Some([192, 0, 2, 1].into()));
}

#[test]
fn a_connection_without_a_header_is_closed() {
    let (events, server) = serve(config());
    let mut bare = Conn::open(&server);
    behind("", &mut bare, &[]);
    bare.read_to_end();
    assert_eq!(events.stats().connections_refused, 1);

    let (events, server) = serve(config().trusted_proxies(vec!["192.0.2.1".to_owned()]));
    let mut stranger = Conn::open(&server);
    behind("PROXY TCP4 192.0.2.1 198.51.100.2 53248 80\r\n", &mut stranger, &[]);
    stranger.read_to_end();
    assert_eq!(events.stats().connections_refused, 1);

    let (events, server) = serve(config().header_timeout_ms(50));
    let mut silent = Conn::open(&server);
    silent.send("PROXY TCP4 192.");
    silent.read_to_end();
    assert_eq!(events.stats().connections_refused, 1);
}

#[test]
fn closing_does_not_wait_for_a_header() {
    let (events, server) = serve(config().header_timeout_ms(600_000));
    let mut silent = Conn::open(&server);
    silent.send("PROXY ");
    until("it is there", || events.stats().connections == 1);
    assert!(events.close(PATIENCE).unwrap().ended);
    silent.read_to_end();
}

/// `HAProxy` comes from another address than its clients.
#[test]
fn haproxy_tells_of_its_clients() {
    for how in ["send-proxy", "send-proxy-v2"] {
        let (events, server) = serve(config().trusted_proxies(vec!["127.0.0.3".to_owned()]));
        let haproxy =
            Haproxy::start(&format!("{} {how} source 127.0.0.3 check inter 50ms", server.address()));
        let mut conn = Conn::tcp(haproxy.address);
        conn.request("GET", "/events/?channel=a", &[]);
        let mut client = conn.into_stream();
        client.expect("stream-open");
        until("it is there", || !events.streams(Who::everyone()).unwrap().is_empty());
        let streams = events.streams(Who::everyone()).unwrap();
        assert_eq!(streams[0].address, Some([127, 0, 0, 1].into()), "{how}");
        assert_eq!(events.stats().connections_refused, 0, "it looks whether the server is there");
    }
}

/// One in front of one server.
struct Haproxy {
    child: Child,
    address: SocketAddr,
    config: PathBuf,
}

impl Haproxy {
    fn start(server: &str) -> Self {
        // It is given a socket that listens: no port is guessed, and what connects before it is up waits.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Socket::from(listener);
        listener.set_cloexec(false).unwrap();
        let config = std::env::temp_dir().join(format!("evstream-haproxy-{:x}", fastrand::u64(..)));
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n\
             listen front\n  bind fd@{}\n  server evstream {server}\n",
            listener.as_raw_fd()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("haproxy").args(["-db", "-f"]).arg(&config).stderr(Stdio::null()).spawn();
        let child = child.expect("haproxy is there: scripts/need haproxy installs it");
        Self { child, address, config }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.config);
    }
}

#[test]
fn somebody_has_to_be_trusted() {
    let events = Events::new(Config::new().proxy_protocol(true)).unwrap();
    let refused = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
}
