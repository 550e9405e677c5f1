//! A journal in a Redis as it is deployed: with TLS, in a cluster, short of memory, and for a user that may not do everything.
//!
//! Failovers are tried with several processes, by `make test-slow`.
#![cfg(all(feature = "runtime", feature = "redis"))]

mod common;
#[path = "common/redis.rs"]
mod redis;

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use common::{Client, PATH, PATIENCE, publish_placed, until};
use evstream::{Config, Error, ErrorKind, Event, Events, Mount, Position, Server};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use redis::{Cluster, Redis};

fn process(journal: &str, config: Config) -> (Events, Arc<Server>) {
    let events = Events::new(config.journal(journal.into())).unwrap();
    let server = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
    (events, server)
}

/// What becomes of an event that is published there, by a process that does not try for long.
fn publish_to(journal: &str) -> Result<(), Error> {
    let events = Events::new(Config::new().journal(journal.into()).journal_deadline_ms(500)).unwrap();
    events.publish("a", Event::text("x")).unwrap().wait(PATIENCE).map(drop)
}

/// Publishes in one process what a client of another reads, on a channel of its own.
fn works(journal: &str) {
    let [(a, _in_a), (_b, in_b)] = [(); 2].map(|()| process(journal, Config::new()));
    let channel = format!("{:x}", fastrand::u64(..));
    let mut client = Client::open(&in_b, &format!("/events/?channel={channel}"));
    for text in ["1", "2"] {
        let receipt = a.publish(&channel, Event::text(text)).unwrap();
        receipt.wait(PATIENCE).unwrap();
        let event = client.event();
        assert_eq!((&*event.data, event.id.parse().ok()), (text, receipt.position()));
    }
}

#[test]
fn a_certificate_of_an_authority_that_the_address_names_is_good() {
    let authority = Authority::new();
    let redis = authority.redis("127.0.0.1");
    works(&authority.journal(&redis));
}

#[test]
fn a_certificate_that_proves_nothing_is_refused_and_named() {
    let authority = Authority::new();
    let (redis, elsewhere) = (authority.redis("127.0.0.1"), authority.redis("example.com"));
    let refused = |journal: &str, expected: &str| {
        let error = publish_to(journal).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::JournalUnavailable, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let untrusted = "the issuer of its TLS certificate is not trusted";
    refused(&format!("rediss://127.0.0.1:{}", redis.port()), untrusted);
    refused(&Authority::new().journal(&redis), untrusted);
    refused(&authority.journal(&elsewhere), "certificate not valid for name");
    let file = |path: &str| format!("rediss://127.0.0.1:{}?ca={path}", redis.port());
    refused(&file("/nonexistent/ca.pem"), "the certificates of authorities in /nonexistent/ca.pem");
    refused(&file("/dev/null"), "there is none");
    assert_eq!(redis.ask("DBSIZE"), ":0\r\n", "nothing was written");
}

/// Which authorities a process trusts is settled by its environment, so this publishes from a process of its own.
#[test]
fn a_certificate_of_an_authority_that_the_environment_names_is_good() {
    let authority = Authority::new();
    let redis = authority.redis("127.0.0.1");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "publishing_process", "--nocapture"])
        .env("SSL_CERT_FILE", authority.file())
        .env(JOURNAL, format!("rediss://127.0.0.1:{}", redis.port()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "another test starts it, with its environment"]
fn publishing_process() {
    works(&std::env::var(JOURNAL).unwrap());
}

#[test]
fn a_cluster_is_used_whichever_of_its_nodes_are_named() {
    let cluster = Cluster::start(&[]);
    assert_ne!(cluster.owner(), 0, "the one that is named does not have it");
    works(&cluster.journal());
    // Others are named that are none of its nodes, or are so no more.
    let alone = Redis::listen("", &["--cluster-enabled", "yes"]);
    let named = cluster.journal().replace("//", &format!("//127.0.0.1:1,127.0.0.1:{},", alone.port()));
    works(&named);
    let (first, second) = (cluster.owner(), 0);
    let (a, in_a) = process(&cluster.journal(), Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "before");
    assert_eq!(client.data(), "before");
    cluster.migrate(first, second);
    // It replicates from another history there, and what was lost is not known.
    client.expect("stream-reset");
    publish_placed(&a, "after");
    assert_eq!(next_data(&mut client, &in_a), "after");
}

/// As behind a balancer: `MOVED` names a port alone.
#[test]
fn a_cluster_that_does_not_know_where_it_is_is_found_where_it_was_asked() {
    let cluster = Cluster::start(&["--cluster-preferred-endpoint-type", "unknown-endpoint"]);
    assert_ne!(cluster.owner(), 0, "the one that is named does not have it");
    works(&cluster.journal());
}

#[test]
fn a_redis_without_memory_takes_no_events_until_it_has_some() {
    let redis = Redis::start(&["--maxmemory-policy", "noeviction"]);
    let (a, in_a) = process(&redis.journal(), Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "before");
    assert_eq!(client.data(), "before");
    redis.ask("CONFIG SET maxmemory 1");
    // One process waits, and another does not for long.
    let waiting = a.publish("a", Event::text("waits")).unwrap();
    let (hasty, _in_hasty) = process(&redis.journal(), Config::new().journal_deadline_ms(300));
    let error = hasty.publish("b", Event::text("lost")).unwrap().wait(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalUnavailable, "{error}");
    assert!(error.to_string().contains("OOM"), "{error}");
    // What is there is served.
    let (_late, in_late) = process(&redis.journal(), Config::new());
    let mut late = Client::resume(&in_late, "/events/?channel=a&channel=b", client.last_id());
    late.expect("stream-open");
    redis.ask("CONFIG SET maxmemory 0");
    waiting.wait(PATIENCE).unwrap();
    assert_eq!(client.data(), "waits");
    // It reads the channel that has lost one besides, before or after.
    let told = [late.event(), late.event()];
    assert!(told.iter().any(|event| event.data == "waits"), "{told:?}");
    assert!(told.iter().any(|event| event.data.contains(r#"["b"]"#)), "{told:?}");
    publish_placed(&hasty, "after");
    assert_eq!(client.data(), "after");
}

#[test]
fn what_a_redis_evicts_is_told() {
    let redis = Redis::start(&["--maxmemory-policy", "allkeys-lru"]);
    let (a, in_a) = process(&redis.journal(), Config::new());
    let mut client = Client::open(&in_a, "/events/?channel=a");
    publish_placed(&a, "before");
    assert_eq!(client.data(), "before");
    redis.ask("CONFIG SET maxmemory 1");
    let receipt = a.publish("a", Event::text("meanwhile")).unwrap();
    until("all is evicted", || redis.ask("DBSIZE") == ":0\r\n");
    redis.ask("CONFIG SET maxmemory 0");
    receipt.wait(PATIENCE).unwrap();
    client.expect("stream-reset");
    let after: Position = publish_placed(&a, "after").parse().unwrap();
    let mut seen = next_data(&mut client, &in_a);
    // It may have been there, and have been evicted with the rest.
    if receipt.position().unwrap().epoch == after.epoch {
        assert_eq!(seen, "meanwhile");
        seen = next_data(&mut client, &in_a);
    }
    assert_eq!(seen, "after");
}

#[test]
fn a_user_needs_few_rights_and_is_told_which() {
    let redis = Redis::start(&[]);
    let user = |name: &str, rights: &str| {
        assert_eq!(redis.ask(&format!("ACL SETUSER {name} on >pass {rights}")), "+OK\r\n");
        redis.journal().replace("//", &format!("//{name}:pass@"))
    };
    let least = "~{test}* -@all +@read +@write +@connection +time +info +eval +evalsha";
    works(&user("least", &format!("{least} +script|load")));
    redis.ask("SCRIPT FLUSH");
    let error = publish_to(&user("nolearn", least)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    assert!(error.to_string().contains("script|load"), "{error}");
    let error = publish_to(&user("nodanger", "~* +@all -@dangerous")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    assert!(error.to_string().contains("allow INFO (ACL +info)"), "{error}");
    let error = publish_to(&user("elsewhere", "~{other}* +@all")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    assert!(error.to_string().contains("no permissions to access one of the keys"), "{error}");
}

/// The data of the next event of the application, for a client that comes back when it is asked to.
fn next_data(client: &mut Client, server: &Server) -> String {
    loop {
        match client.next() {
            Ok(event) if event.name.is_none() => return event.data,
            Ok(_) => {}
            Err(_) => *client = Client::resume(server, "/events/?channel=a", client.last_id()),
        }
    }
}

/// A private authority, with what it has issued.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let id = fastrand::u64(..);
        let mut parameters = CertificateParams::new([]).unwrap();
        // Authorities are found by their names.
        parameters.distinguished_name.push(DnType::CommonName, format!("authority {id}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("authority-{id:x}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(parameters, key), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A server on a port of its own with a certificate of this authority for a host.
    fn redis(&self, host: &str) -> Redis {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let path = |what: &str| self.folder.join(format!("{host}-{what}.pem")).display().to_string();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        fs::write(path("certificate"), certificate.pem()).unwrap();
        let (key, certificate, ca) = (path("key"), path("certificate"), self.file().display().to_string());
        Redis::listen(
            "",
            &[
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
                "--tls-ca-cert-file",
                &ca,
                "--tls-auth-clients",
                "no",
            ],
        )
    }

    /// The address of a journal in it, for who trusts this authority.
    fn journal(&self, redis: &Redis) -> String {
        format!("rediss://127.0.0.1:{}?namespace=test&ca={}", redis.port(), self.file().display())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const JOURNAL: &str = "EVSTREAM_TEST_JOURNAL";
