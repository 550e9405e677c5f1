//! Publishing to a Pushpin that holds nothing: `with-pushpin` starts one for any publisher, `grip-evstream` is ours.

use std::{
    env,
    net::SocketAddr,
    process::{Command, id},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use evstream::{Config, Event, Events, Receipt};

use super::{
    commands::{EVENT_NAME, Publish, Ready, obey},
    programs::free_ports,
    pushpin::Pushpin,
};
use crate::machine::on_all_cores;

/// Runs a command with `GRIP_URL` and `GRIP_CONTROL` (its address) in the environment, and a Pushpin there, which has the
/// other cores: its own cost is not the publisher's.
pub(crate) fn with_pushpin(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("with-pushpin needs a command")?;
    let [http, control] = free_ports()?;
    let _pushpin = on_all_cores(|| Pushpin::start(http, control, None))?;
    let status = Command::new(program)
        .args(arguments)
        .env("GRIP_CONTROL", format!("127.0.0.1:{control}"))
        .env("GRIP_URL", format!("http://127.0.0.1:{control}"))
        .status()
        .with_context(|| format!("cannot start {program:?}"))?;
    ensure!(status.success(), "{program} ended: {status}");
    Ok(())
}

/// The core's publisher, with settings as they come.
pub(super) fn publish() -> Result<()> {
    let control: SocketAddr = env::var("GRIP_CONTROL").context("run it by with-pushpin")?.parse()?;
    // Without a key there is nothing to hold streams with; publishing needs none.
    let events = Events::new(Config::new().grip_from_env())?;
    let publisher = Publisher { events: events.clone(), sent: Vec::new() };
    obey(publisher, Ready { pid: Some(id()), ..Ready::at(control, "/") })?;
    events.close(Duration::from_secs(2)).unwrap();
    Ok(())
}

struct Publisher {
    events: Events,
    sent: Vec<Receipt>,
}

impl Publish for Publisher {
    fn publish(&mut self, channel: &str, data: &str) -> Result<()> {
        self.sent.push(self.events.publish(channel, Event::text(data).name(EVENT_NAME))?);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        for receipt in self.sent.drain(..) {
            for delivered in receipt.wait(Duration::from_secs(20))? {
                delivered.result?;
            }
        }
        Ok(())
    }
}
