//! One of several servers that share a journal; `tests/browser` drives a browser through a proxy to all of them.
//!
//! `EVSTREAM_JOURNAL` names the journal. It prints its address, publishes each line of its input on the channel `lines`, and
//! closes when its input ends; then it prints how many streams it has opened. Streams end of age after some moments, and
//! their clients come back at once.

use std::{
    error::Error,
    io::{BufRead, stdin},
    time::Duration,
};

use evstream::{Config, Event, Events, Mount};

fn main() -> Result<(), Box<dyn Error>> {
    let events = Events::new(Config::new().retry_ms(10).max_age_ms(120))?;
    let server = events.server().mount(Mount::new("/events/").channels(["lines"])).bind("127.0.0.1:0")?;
    println!("http://{}", server.address());
    for line in stdin().lock().lines() {
        events.publish("lines", Event::text(line?))?;
    }
    println!("{}", events.stats().opened);
    events.close(Duration::from_secs(5))?;
    Ok(())
}
