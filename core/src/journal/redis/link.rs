//! Connections to the Redis that takes what is written, and what its errors mean.

use std::time::Duration;

use redis::{
    Client, Connection, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    TlsCertificates, Value,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{ANSWER_TIMEOUT, Address, Host, Place, Server};
use crate::{
    error::{Error, ErrorKind, Result},
    sync::lock,
};

impl Server {
    /// Connects, to the master where there are several.
    pub(super) fn connect(&self) -> Result<Connection> {
        match &self.address.place {
            Place::Tcp { host, is_tls } => self.connect_to(tcp(host, *is_tls)),
            Place::Unix(path) => self.connect_to(ConnectionAddr::Unix(path.into())),
            Place::Sentinel { sentinels, master } => {
                // One that is cut off names a master that is none any more.
                first_of(sentinels, |sentinel| {
                    let host = self.ask_sentinel(sentinel, master)?;
                    let mut connection = self.connect_to(tcp(&host, false))?;
                    self.check_role(&mut connection).map(|()| connection)
                })
            }
            Place::Cluster(nodes) => {
                let known = lock(&self.moved_to).take().map_or_else(Vec::new, |host| at(host, nodes));
                // One that answers may be no part of the cluster any more: any of them is the first.
                let first = fastrand::usize(..nodes.len());
                let others = nodes[first..].iter().chain(&nodes[..first]).cloned();
                let nodes: Vec<Host> = known.into_iter().chain(others).collect();
                first_of(&nodes, |node| self.connect_to(tcp(node, false)))
            }
        }
    }

    /// What an error of Redis means. One that names another node has that asked next.
    pub(super) fn failed(&self, error: &RedisError) -> Error {
        if let Some((address, _slot)) = error.redirect_node()
            && let Some((host, port)) = address.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            *lock(&self.moved_to) = Some((host.to_owned(), port));
        }
        let code = error.code().unwrap_or_default();
        let text = format!("{} says: {error}", self.name());
        // The texts of scripts begin with the code, or have it behind their own.
        let is = |what: &str| code == what || text.contains(what);
        if is("UnknownIssuer") {
            let text = format!(
                "{}: the issuer of its TLS certificate is not trusted; the file that the address names (ca), or else the one that \
                SSL_CERT_FILE names, or the system's store, must have it",
                self.name()
            );
            return Error::new(ErrorKind::JournalUnavailable, text);
        }
        if is("NOREPLID") || (is("INFO") && is("NOPERM")) {
            let text = format!(
                "{} does not tell what it replicates from: allow INFO (ACL +info), or set journal_unfenced",
                self.name()
            );
            return Error::new(ErrorKind::JournalRejected, text);
        }
        if is("NEWFORMAT") {
            let text = format!("the journal at {} is of another version of evstream: {error}", self.name());
            return Error::new(ErrorKind::JournalRejected, text);
        }
        let is_refused = ["AuthenticationFailed", "WRONGPASS", "NOAUTH", "NOPERM"].into_iter().any(is);
        let kind = if is_refused { ErrorKind::JournalRejected } else { ErrorKind::JournalUnavailable };
        Error::new(kind, text)
    }

    /// How it is called in errors.
    fn name(&self) -> String {
        match &self.address.place {
            Place::Tcp { host: (host, port), .. } => format!("Redis at {host}:{port}"),
            Place::Unix(path) => format!("Redis at {path}"),
            Place::Sentinel { master, .. } => format!("Redis {master}"),
            Place::Cluster(_) => "the Redis cluster".to_owned(),
        }
    }

    fn connect_to(&self, place: ConnectionAddr) -> Result<Connection> {
        if matches!(place, ConnectionAddr::TcpTls { .. }) && CryptoProvider::get_default().is_none() {
            // The client takes the provider of the process, and panics where it cannot choose one.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let Address { user, password, database, .. } = &self.address;
        let mut login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_db(*database);
        login = user.iter().fold(login, RedisConnectionInfo::set_username);
        login = password.iter().fold(login, RedisConnectionInfo::set_password);
        let authorities = self.address.ca.as_deref().map(read_authorities).transpose()?;
        let connect = || {
            let info = place.clone().into_connection_info()?.set_redis_settings(login);
            let client = match authorities.clone() {
                Some(root_cert) => Client::build_with_tls(
                    info,
                    TlsCertificates { client_tls: None, root_cert: Some(root_cert) },
                ),
                None => Client::open(info),
            };
            let connection = client?.get_connection_with_timeout(ANSWER_TIMEOUT)?;
            connection.set_write_timeout(Some(ANSWER_TIMEOUT))?;
            connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(connection)
        };
        let mut connection = connect().map_err(|error: RedisError| self.failed(&error))?;
        self.check_version(&mut connection)?;
        Ok(connection)
    }

    /// Refuses a Redis that has no `XADD ... MINID`.
    fn check_version(&self, connection: &mut Connection) -> Result<()> {
        // Who may not ask will see.
        let Ok(info) = redis::cmd("INFO").arg("server").query::<String>(connection) else { return Ok(()) };
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default();
        let mut numbers = version.split('.').map_while(|number| number.trim().parse::<u32>().ok());
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return Ok(()) };
        if (major, minor) >= LEAST_VERSION {
            return Ok(());
        }
        let text = format!("{} is version {}; 6.2 is needed at least", self.name(), version.trim());
        Err(Error::new(ErrorKind::JournalRejected, text))
    }

    fn check_role(&self, connection: &mut Connection) -> Result<()> {
        let role: Value = match redis::cmd("ROLE").query(connection) {
            Ok(role) => role,
            // Who may not ask will see.
            Err(error) if error.code() == Some("NOPERM") => return Ok(()),
            Err(error) => return Err(self.failed(&error)),
        };
        match list(&role).first().map(text) {
            Some("master") => Ok(()),
            _ => Err(Error::new(ErrorKind::JournalUnavailable, format!("{} is a replica", self.name()))),
        }
    }

    fn ask_sentinel(&self, (host, port): &Host, master: &str) -> Result<Host> {
        let ask = || {
            let info = ConnectionAddr::Tcp(host.clone(), *port).into_connection_info()?;
            let login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
            let mut sentinel =
                Client::open(info.set_redis_settings(login))?.get_connection_with_timeout(ANSWER_TIMEOUT)?;
            sentinel.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(master).query(&mut sentinel)
        };
        let found: Option<(String, u16)> = ask().map_err(|error: RedisError| self.failed(&error))?;
        found.ok_or_else(|| {
            let text = format!("the sentinel at {host}:{port} knows no master '{master}'");
            Error::new(ErrorKind::JournalUnavailable, text)
        })
    }
}

/// Reads a file of certificates, of which there has to be one: who names a file trusts nobody else.
fn read_authorities(path: &str) -> Result<Vec<u8>> {
    let cannot = |problem: &str| {
        let text = format!("the certificates of authorities in {path} (ca) cannot be read: {problem}");
        Error::new(ErrorKind::JournalUnavailable, text)
    };
    let text = std::fs::read(path).map_err(|error| cannot(&error.to_string()))?;
    let is_one = |result: Result<CertificateDer<'_>, _>| result.is_ok();
    if CertificateDer::pem_slice_iter(&text).any(is_one) { Ok(text) } else { Err(cannot("there is none")) }
}

fn tcp((host, port): &Host, is_tls: bool) -> ConnectionAddr {
    let (host, port) = (host.clone(), *port);
    if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Where a node is that another has named. One that does not know its own host names a port alone, on the host where it was asked,
/// which is one of these.
fn at((host, port): Host, nodes: &[Host]) -> Vec<Host> {
    if !host.is_empty() {
        return vec![(host, port)];
    }
    let mut hosts: Vec<Host> = nodes.iter().map(|(host, _)| (host.clone(), port)).collect();
    hosts.dedup();
    hosts
}

/// What the first of several can do, or what was wrong with the last.
fn first_of<T>(hosts: &[Host], mut attempt: impl FnMut(&Host) -> Result<T>) -> Result<T> {
    let mut last = Error::new(ErrorKind::JournalUnavailable, "no host is named");
    for host in hosts {
        match attempt(host) {
            Ok(made) => return Ok(made),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Has answers awaited for so long from now on.
pub(super) fn patience(connection: &Connection, timeout: Duration) -> redis::RedisResult<()> {
    connection.set_read_timeout(Some(timeout))
}

/// A text of an answer; empty when it is none.
pub(super) fn text(value: &Value) -> &str {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        Value::SimpleString(text) => text,
        _ => "",
    }
}

/// A list of an answer; empty when it is none.
pub(super) fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        _ => &[],
    }
}

const LEAST_VERSION: (u32, u32) = (6, 2);
