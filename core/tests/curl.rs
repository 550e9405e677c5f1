//! Streams as `curl` gets them: the client that everyone has.
#![cfg(feature = "runtime")]

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use common::serve;
use evstream::{Config, Event, Server};

/// A `curl` that reads a stream, ended with the test.
struct Curl {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Curl {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let url = format!("http://{}/events/?channel=a", server.address());
        let mut process = Command::new("curl")
            .args(["--silent", "--no-buffer", "--include", "--max-time", "60"])
            .args(arguments)
            .arg(url)
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl is there: scripts/need curl");
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The lines up to the next empty one.
    fn block(&mut self) -> Vec<String> {
        let lines = self.output.by_ref().lines().map(|line| line.expect("curl goes on in time"));
        lines.take_while(|line| !line.is_empty()).map(|line| line.trim_end().to_owned()).collect()
    }

    fn skip_to_open(&mut self) -> Vec<String> {
        loop {
            let block = self.block();
            if block.iter().any(|line| line == "event: stream-open") {
                return block;
            }
        }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn curl_reads_a_stream_and_resumes_it() {
    for version in ["--http1.1", "--http1.0"] {
        let (events, server) = serve(Config::new());
        let mut curl = Curl::start(&server, &[version]);
        let open = curl.skip_to_open();
        let position = open[2].strip_prefix("id: ").expect("stream-open ends with its id").to_owned();
        events.publish("a", Event::text("one\ntwo").name("n")).unwrap();
        assert_eq!(curl.block()[..3], ["event: n", "data: one", "data: two"]);
        drop(curl);

        let header = format!("Last-Event-ID: {position}");
        let mut again = Curl::start(&server, &[version, "--header", &header]);
        assert_eq!(again.skip_to_open()[2], format!("id: {position}"));
        assert_eq!(again.block()[..3], ["event: n", "data: one", "data: two"]);
        events.close(Duration::from_secs(10)).unwrap();
        assert_eq!(again.block()[0], "event: stream-close");
        assert!(again.process.wait().unwrap().success(), "the body was ended as it should be");
    }
}
