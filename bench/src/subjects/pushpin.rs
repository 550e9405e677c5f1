//! The core behind a real Pushpin, which holds the streams: published through its control port, with history and repair
//! as they come.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use evstream::{Address, Config, Events, Mount};

use super::{
    commands::{Ready, obey},
    programs::{Programs, first_bytes, free_ports},
};

pub(super) fn serve() -> Result<()> {
    let [http, control] = free_ports()?;
    let url = format!("http://127.0.0.1:{control}?verify-key={SIG_KEY}");
    let events = Events::new(Config::new().grip(vec![url.into()]).grip_sole_publisher(true))?;
    let server =
        events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0").context("cannot listen")?;
    let Address::Tcp(origin) = *server.address() else { bail!("the server does not listen on TCP") };
    let pushpin = Pushpin::start(http, control, Some(origin))?;
    let ready = Ready { opening: Some(OPENING), ..Ready::at(pushpin.http, "/events/?channel={channel}") };
    obey(&events, ready)?;
    events.close(Duration::from_secs(2)).unwrap();
    Ok(())
}

/// A Pushpin without limits on the rate of messages.
#[derive(Debug)]
pub(super) struct Pushpin {
    pub(super) http: SocketAddr,
    _programs: Programs,
}

impl Pushpin {
    /// Starts it and waits until it takes what is published and, when there is an `origin`, holds a stream of it.
    pub(super) fn start(http: u16, control: u16, origin: Option<SocketAddr>) -> Result<Self> {
        let mut programs = Programs::new()?;
        let directory =
            programs.directory().to_str().context("the temporary directory is not UTF-8")?.to_owned();
        std::fs::create_dir(programs.directory().join("l")).context("cannot make a directory")?;
        let run = format!("{directory}/r");
        std::fs::create_dir(&run).context("cannot make a directory")?;
        let fill = |text: &str| {
            text.replace("{d}", &directory)
                .replace("{r}", &run)
                .replace("{http}", &http.to_string())
                .replace("{control}", &control.to_string())
                .replace("{sig_key}", SIG_KEY)
                .replace("{message_wait}", "5000")
                .replace("client_maxconn=5000", &format!("client_maxconn={MAX_CONNECTIONS}"))
        };
        // `test` is an origin inside Pushpin.
        let target = origin.map_or_else(|| "test".to_owned(), |origin| origin.to_string());
        programs.write("routes", &format!("* {target}\n"))?;
        programs.write("pushpin.conf", &fill(include_str!("../../../core/tests/pushpin/pushpin.conf")))?;
        programs.write("zurl.conf", &fill(include_str!("../../../core/tests/pushpin/zurl.conf")))?;
        programs.start(
            "condure",
            &[
                "--log-level=2".into(),
                format!("--listen=127.0.0.1:{http},stream"),
                format!("--zclient-stream=ipc://{run}/p-condure"),
                "--buffer-size=8192".into(),
                format!("--stream-maxconn={MAX_CONNECTIONS}"),
            ],
        )?;
        programs.start("zurl", &[format!("--config={directory}/zurl.conf"), "--loglevel=2".into()])?;
        for program in ["pushpin-proxy", "pushpin-handler"] {
            let config = format!("--config={directory}/pushpin.conf");
            programs.start(program, &[config, "--ipc-prefix=p-".into(), "--loglevel=2".into()])?;
        }
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        programs.until(|| first_bytes(local(control), "/").starts_with("HTTP/1.1"))?;
        if origin.is_some() {
            // The first requests may be lost or refused while the programs find each other.
            let target = "/events/?channel=ready";
            programs.until(|| first_bytes(local(http), target).starts_with("HTTP/1.1 200"))?;
        }
        Ok(Self { http: local(http), _programs: programs })
    }
}

const SIG_KEY: &str = "the-sig-key-of-the-bench";
/// Several times the streams: a condure of Debian 12 crashes when a message goes to more than its share of connections.
const MAX_CONNECTIONS: usize = 25_000;
/// Pushpin 1.36 drops some connections when many are opened at a time.
const OPENING: usize = 4;
