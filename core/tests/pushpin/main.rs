//! Streams and events through a real Pushpin.
//!
//! They need the programs of Debian's packages `pushpin` and `condure` (`scripts/need pushpin`), and fail without them.

#![cfg(feature = "runtime")]
#![allow(unreachable_pub, reason = "the modules of a test")]

mod close_notices;
#[path = "../common/mod.rs"]
mod common;
mod gaps;
mod held;
mod peers;
mod proxy;
#[cfg(feature = "redis")]
#[path = "../common/redis.rs"]
mod redis;
mod restarts;
mod rights;
mod scenarios;
mod several;
mod shared;
mod signatures;
mod source;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use evstream::{Address, Config, Event, Events, Mount, Receipt, Server};

use crate::{
    common::{PATH, PATIENCE, until},
    proxy::{Pushpin, Settings},
    source::Source,
};

/// An application behind a Pushpin.
struct App {
    events: Events,
    server: Arc<Server>,
}

impl App {
    fn new(config: Config) -> Self {
        Self::at("127.0.0.1:0", config, Mount::new(PATH))
    }

    fn at(address: &str, config: Config, mount: Mount) -> Self {
        let events = Events::new(config).unwrap();
        let server = events.server().mount(mount).bind(address).unwrap();
        Self { events, server }
    }

    fn address(&self) -> SocketAddr {
        let Address::Tcp(address) = self.server.address() else { panic!("TCP only") };
        *address
    }

    fn publish(&self, channel: &str, text: &str) -> Receipt {
        self.events.publish(channel, Event::text(text)).unwrap()
    }

    /// Publishes, and waits until the proxy has taken it.
    fn publish_well(&self, channel: &str, text: &str) {
        self.publish(channel, text).expect_delivered();
    }

    fn close(self) {
        self.events.close(Duration::from_secs(10)).unwrap();
    }
}

trait Expect {
    /// Waits until every proxy has taken the event.
    fn expect_delivered(&self);
}

impl Expect for Receipt {
    fn expect_delivered(&self) {
        for result in self.wait(PATIENCE).unwrap() {
            result.result.unwrap_or_else(|error| panic!("{}: {error:?}", result.proxy));
        }
    }
}

/// A Pushpin with an application behind it.
fn start(config: impl FnOnce(Config) -> Config) -> (Pushpin, App) {
    start_with(Settings::default(), config)
}

fn start_with(settings: Settings, config: impl FnOnce(Config) -> Config) -> (Pushpin, App) {
    let mut pushpin = Pushpin::new(settings);
    let app = App::new(config(settings_for(&pushpin.grip_url())));
    pushpin.start(app.address());
    (pushpin, app)
}

/// Settings for a proxy that may be away for as long as a test may take, of an application that publishes alone.
fn settings_for(grip_url: &str) -> Config {
    settings_of_several(grip_url).grip_sole_publisher(true)
}

/// The same for applications that publish side by side.
fn settings_of_several(grip_url: &str) -> Config {
    Config::new().grip(vec![grip_url.into()]).grip_deadline_ms(PATIENCE.as_millis() as u64)
}

/// The target of a stream of these channels.
fn target<'a>(channels: impl IntoIterator<Item = &'a str>) -> String {
    let mut target = PATH.to_owned();
    for (index, channel) in channels.into_iter().enumerate() {
        target += if index == 0 { "?channel=" } else { "&channel=" };
        for byte in channel.bytes() {
            write!(target, "%{byte:02X}").unwrap();
        }
    }
    target
}

/// Many different texts, in order.
fn texts(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}
