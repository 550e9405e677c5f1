//! The core's own server, with settings as they come.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use evstream::{Address, Config, Event, Events, Mount};

use super::commands::{EVENT_NAME, Publish, Ready, obey};

pub(super) fn serve() -> Result<()> {
    let events = Events::new(Config::new())?;
    let server =
        events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0").context("cannot listen")?;
    let Address::Tcp(address) = *server.address() else { bail!("the server does not listen on TCP") };
    obey(&events, Ready::at(address, "/events/?channel={channel}"))?;
    events.close(CLOSE_TIMEOUT).unwrap();
    Ok(())
}

impl Publish for &Events {
    fn publish(&mut self, channel: &str, data: &str) -> Result<()> {
        Events::publish(self, channel, Event::text(data).name(EVENT_NAME))?;
        Ok(())
    }
}

const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
