//! The demo stops when it is told to, whatever its clients do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The demo, which does not outlive its test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start() -> (Demo, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evstream-demo"));
    command.env("PORT", "0").env_remove("GRIP_URL").stdout(Stdio::piped());
    let mut demo = Demo(command.spawn().unwrap());
    // It says more after this line, which must still find a reader.
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let address = line.trim().trim_start_matches("Listening on http://").trim_end_matches('/');
    (demo, address.parse().unwrap())
}

/// A stream of all messages, on a connection that buffers little.
fn stream(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut connection = TcpStream::from(socket);
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(b"GET /events/?channel=messages HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 1);
    connection
}

fn post(address: SocketAddr, text: &str) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = format!(r#"{{"text":"{text}"}}"#);
    let head = "POST /messages/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_client_that_does_not_read_holds_up_nothing() {
    let (mut demo, address) = start();
    let _deaf = stream(address);
    for _ in 0..12 {
        post(address, &"x".repeat(900_000));
    }
    let mut reading = stream(address);
    kill(Pid::from_raw(demo.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    let mut text = String::new();
    reading.read_to_string(&mut text).unwrap();
    assert!(text.contains("event: stream-close\n"), "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "its response ends well: {text}");

    let deadline = Instant::now() + PATIENCE;
    while demo.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(demo.0.wait().unwrap().success());
}
