//! A server that puts its clients into situations; `tests/clients` drives client libraries against it.
//!
//! It prints its two addresses: the first has `/refused/`, which is forbidden, and `/changing/`, whose streams end of age and
//! whose every second request fails; the second has `/busy/`, which is full until one client has been sent away. On the channel
//! `ticks` a number is published again and again. It closes when its input ends, as a server does that is restarted.

use std::{
    error::Error,
    io::{Read, stdin},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use evstream::{Access, Config, Event, Events, Mount, Request};

fn main() -> Result<(), Box<dyn Error>> {
    let config = || Config::new().retry_ms(1_500);
    let changing = Events::new(config().max_age_ms(500))?;
    let requests = AtomicUsize::new(0);
    let first = changing
        .server()
        .mount(Mount::new("/refused/").authorize(|_| Access::forbid("you may not read this")))
        .mount(Mount::new("/changing/").authorize(move |_| {
            match requests.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => Access::channels(["ticks"]),
                _ => Access::fail("the database is away"),
            }
        }))
        .bind("127.0.0.1:0")?;

    let busy = Events::new(config().max_streams(1))?;
    let request = Request { method: "GET", path: "/busy/", query: "", headers: &[], peer: None };
    let taken = busy.open_request(&request, Access::channels(["ticks"])).stream;
    let second = busy.server().mount(Mount::new("/busy/").channels(["ticks"])).bind("127.0.0.1:0")?;
    println!("http://{} http://{}", first.address(), second.address());

    let (closing, all) = (busy.clone(), [changing, busy]);
    thread::scope(|scope| {
        scope.spawn(|| {
            while closing.stats().refused == 0 && closing.check_open().is_ok() {
                thread::sleep(TICK);
            }
            drop(taken);
        });
        for events in &all {
            scope.spawn(|| {
                for number in 0.. {
                    if events.publish("ticks", Event::text(number.to_string()).name("tick")).is_err() {
                        return; // closed
                    }
                    thread::sleep(TICK);
                }
            });
        }
        let ended = stdin().read_to_end(&mut Vec::new());
        for events in &all {
            events.close(Duration::from_secs(2)).unwrap();
        }
        ended.map(|_| ())
    })?;
    Ok(())
}

const TICK: Duration = Duration::from_millis(50);
