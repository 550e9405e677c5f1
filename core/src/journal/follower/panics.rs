//! A follower goes on after a panic, and what it may have missed is told.

use std::time::Instant;

use super::*;
use crate::{
    config::Config,
    journal::{Lease, Writer},
    stream::{Access, Hub, Read, Request, open_request},
    wire::{Epoch, Event},
};

#[derive(Debug)]
struct Broken;

impl Journal for Broken {
    fn writer(&self) -> Box<dyn Writer> {
        unreachable!()
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(BrokenReader(0))
    }

    fn lease(&self) -> Box<dyn Lease> {
        unreachable!()
    }
}

/// Panics once, when it has handed out something.
struct BrokenReader(u64);

impl Reader for BrokenReader {
    fn read(&mut self, entries: &mut Vec<Entry>, _: Duration) -> Result<Option<u64>> {
        self.0 += 1;
        let mut place = |seq: u64, channel: &str| {
            let event = Event::text(seq.to_string());
            let what = What::Event { channel: channel.into(), event };
            entries.push(Entry::Placed { seq, at_unix_ms: unix_ms(), what });
        };
        match self.0 {
            1 => entries.push(Entry::Begin { epoch: Epoch(1), floor: 1 }),
            2 => {
                place(2, "a");
                panic!("of the reader");
            }
            3 => {
                place(3, ORDERS);
                place(4, "a");
            }
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
        Ok(Some([1, 1, 1, 4][self.0.min(3) as usize]))
    }
}

#[test]
fn it_goes_on_after_a_panic_and_tells_what_may_be_missing() {
    let hub = Hub::following(Config::new()).unwrap();
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let mut stream =
        open_request(&hub, &request, Access::allow(), crate::stream::Now::default()).stream.unwrap();
    let obey = |_: Heard<'_>| panic!("of what is obeyed");
    let follower = Follower::start(&Broken, hub.log(), Clock::start(), obey).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = String::new();
    while !seen.contains("stream-reset") || hub.log().head() < 4 || !follower.is_connected() {
        assert!(Instant::now() < deadline, "{seen}");
        let mut items = Vec::new();
        match stream.read(usize::MAX, &mut items) {
            Read::Events => {
                for item in items {
                    seen += std::str::from_utf8(item.frame.sse()).unwrap();
                }
            }
            Read::Notice(frame) => seen += std::str::from_utf8(frame.sse()).unwrap(),
            Read::End(words) => panic!("{words:?}"),
        }
    }
    follower.close();
}
