//! The address of a Redis.

use crate::{
    error::{Error, ErrorKind, Result},
    wire::percent_decode,
};

/// Where a Redis is, and which of its keys are the journal's.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
    pub(super) namespace: String,
    /// A file of certificate authorities that is trusted instead of the system's.
    pub(super) ca: Option<String>,
}

/// How to find the Redis that takes what is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Tcp {
        host: Host,
        is_tls: bool,
    },
    Unix(String),
    /// Sentinels, and what they call the master.
    Sentinel {
        sentinels: Vec<Host>,
        master: String,
    },
    /// Some nodes of a cluster.
    Cluster(Vec<Host>),
}

pub(super) type Host = (String, u16);

impl Address {
    /// Reads an address; `None` when its scheme is none of Redis. Fails with `invalid-config`, never showing a secret.
    pub(super) fn parse(address: &str) -> Option<Result<Self>> {
        let (scheme, rest) = address.split_once(':')?;
        let scheme = Scheme::of(scheme)?;
        Some(scheme.read(rest).map_err(|problem| {
            let text =
                format!("the journal's address is not good: {problem}; one is like {}", scheme.example());
            Error::new(ErrorKind::InvalidConfig, text)
        }))
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Scheme {
    Plain,
    Tls,
    Unix,
    Sentinel,
    Cluster,
}

impl Scheme {
    fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "redis" => Some(Self::Plain),
            "rediss" => Some(Self::Tls),
            "redis+unix" => Some(Self::Unix),
            "redis+sentinel" => Some(Self::Sentinel),
            "redis+cluster" => Some(Self::Cluster),
            _ => None,
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Plain => "redis://user:password@host:6379/0?namespace=app",
            Self::Tls => "rediss://user:password@host:6379/0?namespace=app",
            Self::Unix => "redis+unix:///run/redis.sock?db=0&namespace=app",
            Self::Sentinel => "redis+sentinel://host:26379,other:26379/master?db=0&namespace=app",
            Self::Cluster => "redis+cluster://host:7000,other:7001?namespace=app",
        }
    }

    fn read(self, rest: &str) -> Result<Address, String> {
        let rest = rest.strip_prefix("//").ok_or("it has no //")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (hosts, path) = rest.split_once('/').map_or((rest, None), |(hosts, path)| (hosts, Some(path)));
        let (user, password) = login.map_or(Ok((None, None)), read_login)?;
        let (mut database, mut namespace, mut ca) = (None, NAMESPACE.to_owned(), None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("namespace", value) => namespace = decode(value)?,
                ("db", value) if self != Self::Plain && self != Self::Tls => {
                    database = Some(read_number(value)?);
                }
                ("ca", value) if self == Self::Tls && !value.is_empty() => ca = Some(decode(value)?),
                (name, _) => return Err(format!("there is no parameter '{name}'")),
            }
        }
        if namespace.is_empty() || namespace.contains(['{', '}']) {
            return Err("a namespace is a text without braces".to_owned());
        }
        let path = path.filter(|path| !path.is_empty());
        let place = match self {
            Self::Plain | Self::Tls => {
                database = path.map(read_number).transpose()?;
                Place::Tcp { host: read_host(hosts, REDIS_PORT)?, is_tls: self == Self::Tls }
            }
            Self::Unix if hosts.is_empty() => {
                Place::Unix(format!("/{}", decode(path.ok_or("it names no socket")?)?))
            }
            Self::Unix => return Err("a socket's path begins with a third /".to_owned()),
            Self::Sentinel => Place::Sentinel {
                sentinels: read_hosts(hosts, SENTINEL_PORT)?,
                master: decode(path.ok_or("it names no master")?)?,
            },
            Self::Cluster if path.is_none() => Place::Cluster(read_hosts(hosts, REDIS_PORT)?),
            Self::Cluster => return Err("a cluster has one database only".to_owned()),
        };
        Ok(Address { place, user, password, database: database.unwrap_or(0), namespace, ca })
    }
}

fn read_login(login: &str) -> Result<(Option<String>, Option<String>), String> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let part = |text: &str| decode(text).map(|text| Some(text).filter(|text| !text.is_empty()));
    Ok((part(user)?, part(password)?))
}

fn read_hosts(hosts: &str, port: u16) -> Result<Vec<Host>, String> {
    hosts.split(',').map(|host| read_host(host, port)).collect()
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn read_host(text: &str, default_port: u16) -> Result<Host, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(""))),
        None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
    };
    let port = match port.ok_or_else(|| format!("'{text}' is no host"))? {
        "" => default_port,
        port => port.parse().map_err(|_| format!("'{port}' is no port"))?,
    };
    if host.is_empty() { Err("it names no host".to_owned()) } else { Ok((host.to_owned(), port)) }
}

fn read_number(text: &str) -> Result<i64, String> {
    text.parse().ok().filter(|number| *number >= 0).ok_or_else(|| format!("'{text}' is no database"))
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode(text)
        .map(std::borrow::Cow::into_owned)
        .map_err(|problem| format!("a part of it {problem}"))
}

const NAMESPACE: &str = "evstream";
const REDIS_PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

/// Shows no password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address")
            .field("place", &self.place)
            .field("database", &self.database)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Address {
        Address::parse(address).unwrap().unwrap()
    }

    fn host(host: &str, port: u16) -> Host {
        (host.to_owned(), port)
    }

    #[test]
    fn addresses() {
        let plain = read("redis://me:p%40ss@h:7/2?namespace=app");
        assert_eq!(plain.place, Place::Tcp { host: host("h", 7), is_tls: false });
        assert_eq!((plain.user.as_deref(), plain.password.as_deref()), (Some("me"), Some("p@ss")));
        assert_eq!((plain.database, &*plain.namespace), (2, "app"));
        let short = read("rediss://[::1]");
        assert_eq!(short.place, Place::Tcp { host: host("::1", 6379), is_tls: true });
        assert_eq!((short.database, &*short.namespace), (0, "evstream"));
        assert_eq!(short.ca, None);
        assert_eq!(read("rediss://h?ca=/etc/a%20b.pem").ca.as_deref(), Some("/etc/a b.pem"));
        assert_eq!(read("redis+unix:///run/r.sock?db=1").place, Place::Unix("/run/r.sock".to_owned()));
        let sentinels = vec![host("a", 26379), host("b", 5)];
        assert_eq!(
            read("redis+sentinel://:secret@a,b:5/main").place,
            Place::Sentinel { sentinels, master: "main".to_owned() }
        );
        assert_eq!(read("redis+cluster://a:1,b").place, Place::Cluster(vec![host("a", 1), host("b", 6379)]));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for address in [
            "redis:h",
            "redis://",
            "redis://u:secret@",
            "redis://u:secret@h:port",
            "redis://u:secret@h/x",
            "redis://u:secret@h/-1",
            "redis://u:secret@h?name=x",
            "redis://u:secret@h?namespace=",
            "redis://u:secret@h?ca=/ca.pem",
            "rediss://u:secret@h?ca=",
            "redis://u:secret@h?namespace=%7Ba",
            "redis+unix://u:secret@h",
            "redis+unix:///?db=x",
            "redis+sentinel://u:secret@h",
            "redis+cluster://u:secret@h/1",
            "redis+cluster://u:secret@,",
        ] {
            let error = Address::parse(address).unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{address}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(Address::parse("http://h").is_none());
    }
}
