//! nginx with nchan, one worker: subscribers read `EventSource`, the application publishes with a POST over a kept
//! connection. It keeps as many messages, for as long, as evstream does. What it costs is nginx and the publisher.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};

use super::{
    commands::{EVENT_NAME, Publish, Ready, obey},
    programs::{Programs, first_bytes, free_ports},
};

pub(super) fn serve() -> Result<()> {
    let [port] = free_ports()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut programs = Programs::new()?;
    let directory = programs.directory().to_str().context("the temporary directory is not UTF-8")?.to_owned();
    programs.write("nginx.conf", &CONFIG.replace("{d}", &directory).replace("{port}", &port.to_string()))?;
    let arguments = ["-p", &directory, "-e", "stderr", "-c", "nginx.conf"].map(str::to_owned);
    programs.start("/usr/sbin/nginx", &arguments)?;
    programs.until(|| first_bytes(address, "/publish?channel=ready").starts_with("HTTP/1.1"))?;
    let socket = TcpStream::connect(address).context("cannot connect to nginx")?;
    socket.set_nodelay(true)?;
    obey(
        Publisher { connection: BufReader::new(socket), line: String::new() },
        Ready::at(address, "/events?channel={channel}"),
    )
}

const CONFIG: &str = include_str!("nchan.conf");

struct Publisher {
    connection: BufReader<TcpStream>,
    line: String,
}

impl Publish for Publisher {
    fn publish(&mut self, channel: &str, data: &str) -> Result<()> {
        let request = format!(
            "POST /publish?channel={channel} HTTP/1.1\r\nHost: localhost\r\nX-EventSource-Event: {EVENT_NAME}\r\n\
            Content-Length: {}\r\n\r\n{data}",
            data.len()
        );
        self.connection.get_mut().write_all(request.as_bytes()).context("cannot publish")?;
        self.read_answer().context("cannot read the answer to a publish")
    }
}

impl Publisher {
    fn read_answer(&mut self) -> Result<()> {
        let (mut first, mut body_bytes) = (true, 0);
        loop {
            self.line.clear();
            ensure!(self.connection.read_line(&mut self.line)? > 0, "nginx closed the connection");
            let line = self.line.trim_end();
            if first {
                ensure!(line.starts_with("HTTP/1.1 20"), "nginx answered {line:?}");
                first = false;
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                body_bytes = value.trim().parse()?;
            }
        }
        let body = &mut (&mut self.connection).take(body_bytes);
        std::io::copy(body, &mut std::io::sink())?;
        Ok(())
    }
}
