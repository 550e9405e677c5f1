//! Metrics: true, in a format that their readers accept, and without a word that a client has chosen.
#![cfg(feature = "runtime")]
#![allow(clippy::float_cmp, reason = "the values are counts, which a float holds exactly")]

mod common;

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use common::{Client, Conn, PATH, PATIENCE, Relay, noise, publish, serve, serve_mounts, until};
use evstream::{Access, Config, Event, Events, Mount};

/// Values by series, as the text writes them.
type Series = BTreeMap<String, f64>;

/// What a name may be that is legal nowhere but in a label's value.
const HOSTILE: &str = "x\"} 1 {\\ # EOF é,=";

#[test]
fn the_text_is_what_its_readers_accept() {
    let (proxy, folder) =
        (Relay::accepting(), std::env::temp_dir().join(format!("evs-metrics-{}", std::process::id())));
    std::fs::create_dir_all(&folder).unwrap();
    // The same proxy twice, with other keys: one series.
    let [a, b] = ["geheim1", "geheim2"].map(|key| {
        let url = proxy.url();
        format!("{}?iss=realm&key={key}", url.replace("http://", "http://geheim:geheim@")).into()
    });
    for config in [
        Config::new(),
        Config::new().grip(vec![a, b]),
        Config::new().journal(format!("file:{}", folder.join("j").display()).into()),
    ] {
        let (events, server) = serve_mounts(
            config.max_streams(2),
            [
                Mount::new(PATH),
                Mount::new("/of")
                    .authorize(|request| Access::allow().user(request.header("x-user").unwrap_or("bob"))),
            ],
        );
        let _client = Client::open(&server, "/events/?channel=x%22%7D+1+%7B%5C+%23+EOF+%C3%A9%2C%3D");
        let mut conn = Conn::open(&server);
        conn.request(
            "GET",
            "/of?channel=a",
            &[("X-User", HOSTILE), ("User-Agent", HOSTILE), ("Origin", HOSTILE)],
        );
        conn.head();
        assert_eq!(Conn::open(&server).request("GET", "/events/?channel=a", &[]).head().status, 503);
        until("all of it shows", || {
            // A stream reads for itself what came before its socket had a thread.
            publish(&events, HOSTILE, ["1", "2"]);
            let text = events.metrics(false);
            let value = |name: &str| parse(&text, false)[name];
            value("evstream_streams") == 2.0
                && value("evstream_requests_refused_total{reason=\"total\"}") == 1.0
                && value("evstream_delivery_seconds_count") > 0.0
        });
        for openmetrics in [false, true] {
            let text = events.metrics(openmetrics);
            for line in ["EOF é", "geheim", "bob", "realm"] {
                assert!(!text.contains(line), "{line} in {text}");
            }
            let series = parse(&text, openmetrics);
            assert!(series.len() > 40, "{text}");
            assert_eq!(series.len(), text.lines().filter(|line| !line.starts_with('#')).count());
        }
        assert_eq!(
            parse(&events.metrics(true), true).keys().collect::<Vec<_>>(),
            parse(&events.metrics(false), false).keys().collect::<Vec<_>>()
        );
        promtool(&events.metrics(false));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn promtool_complains_where_there_is_reason_to() {
    let complaint = std::panic::catch_unwind(|| promtool("# TYPE a_total gauge\na_total 1\n"));
    assert!(complaint.is_err());
}

/// What Prometheus' own tool has to say to it: nothing.
fn promtool(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed: scripts/need promtool");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
}

#[test]
fn what_streams_do_shows() {
    let (events, server) = serve(Config::new().shards(1).write_timeout_ms(600_000));
    let get = |name: &str| parse(&events.metrics(true), true)[name];
    let mut reads = Client::open(&server, "/events/?channel=a");
    let mut stuck = Conn::with_small_buffer(&server);
    stuck.request("GET", "/events/?channel=a", &[]).head();
    until("both are there", || get("evstream_streams") == 2.0);
    assert_eq!(get("evstream_streams_full"), 0.0);
    let texts: Vec<String> = (0..16).map(|seed| noise(1_000_000, seed)).collect();
    for text in &texts {
        publish(&events, "a", [&**text]);
        assert!(reads.data() == *text);
    }
    until("one socket is full", || get("evstream_streams_full") == 1.0);
    // But perhaps the first, if that came before the sockets had a thread.
    until("each batch is counted", || get("evstream_delivery_seconds_count") >= 15.0);
    assert_eq!(get("evstream_delivery_seconds_bucket{le=\"+Inf\"}"), get("evstream_delivery_seconds_count"));
    assert!(get("evstream_history_events") == 16.0 && get("evstream_history_bytes") > 16e6);
    drop(stuck);
    until("it is gone", || get("evstream_streams_closed_total{reason=\"client\"}") == 1.0);
    assert_eq!(get("evstream_streams_full"), 0.0);
    assert_eq!(get("evstream_stream_seconds_count"), 1.0);
}

#[test]
fn a_stream_that_ends_while_its_socket_is_full_is_full_no_more() {
    let (events, server) = serve(Config::new().write_timeout_ms(600_000));
    let get = |name: &str| parse(&events.metrics(true), true)[name];
    let mut stuck = Conn::with_small_buffer(&server);
    stuck.request("GET", "/events/?channel=a", &[]).head();
    let text = noise(1_000_000, 1);
    publish(&events, "a", [&*text; 16]);
    until("its socket is full", || get("evstream_streams_full") == 1.0);
    assert!(!server.close(Duration::ZERO) || get("evstream_streams") == 0.0);
    until("it is gone", || get("evstream_streams") == 0.0);
    until("its socket does not count", || get("evstream_streams_full") == 0.0);
}

#[test]
fn what_a_proxy_does_not_get_shows() {
    let proxy = Relay::accepting();
    let url = proxy.url();
    let events = Events::new(Config::new().grip(vec![url.clone().into()]).grip_deadline_ms(100)).unwrap();
    let get = |name: &str| parse(&events.metrics(true), true)[&format!("{name}{{proxy=\"{url}\"}}")];
    assert_eq!((get("evstream_grip_queue_events"), get("evstream_grip_publish_failures_total")), (0.0, 0.0));
    let receipt = events.publish("a", Event::text("1")).unwrap();
    receipt.wait(PATIENCE).unwrap()[0].result.as_ref().unwrap();
    assert_eq!((get("evstream_grip_queue_events"), get("evstream_grip_publish_failures_total")), (0.0, 0.0));
    proxy.act(|_| common::Act::Answer(403));
    let receipt = events.publish("a", Event::text("2")).unwrap();
    receipt.wait(PATIENCE).unwrap()[0].result.as_ref().unwrap_err();
    assert_eq!((get("evstream_grip_queue_events"), get("evstream_grip_publish_failures_total")), (0.0, 1.0));
}

#[test]
fn counters_never_go_back() {
    let (events, server) = serve(Config::new().max_streams(8).history_events(10));
    let mut before = Series::new();
    let mut check = || {
        let text = events.metrics(true);
        let now: Series = parse(&text, true).into_iter().filter(|(name, _)| is_cumulative(name)).collect();
        for (name, value) in &before {
            assert!(now[name] >= *value, "{name}: {value}, then {}", now[name]);
        }
        before = now;
    };
    for round in 0..20 {
        let client = || {
            let mut client = Conn::open(&server);
            client.request("GET", "/events/?channel=a", &[]).head();
            client
        };
        let clients: Vec<Conn> = (0..10).map(|_| client()).collect();
        check();
        publish(&events, "a", ["x"; 20]);
        publish(&events, &format!("of-{round}"), ["x"]);
        check();
        drop(clients);
        until("all are gone", || events.stats().open == 0);
        check();
    }
    assert!(events.close(PATIENCE).unwrap().ended);
    check();
}

fn is_cumulative(series: &str) -> bool {
    let name = series.split('{').next().unwrap();
    ["_total", "_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix))
}

/// Reads a text as strictly as the formats allow: each family once and whole, each series once.
fn parse(text: &str, openmetrics: bool) -> Series {
    let (mut series, mut families, mut current) = (Series::new(), HashSet::new(), None);
    let body = if openmetrics { text.strip_suffix("# EOF\n").expect("it ends with # EOF") } else { text };
    assert!(body.ends_with('\n'));
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            current = Some((name.to_owned(), None));
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let (family, of) = current.as_mut().unwrap();
            assert_eq!((name, of.replace(kind.to_owned())), (&**family, None), "{line}");
        } else {
            let (family, kind) = current.as_ref().expect("families come before samples");
            let (name, value) = read_sample(line);
            let base = name.split('{').next().unwrap();
            let suffix = base.strip_prefix(&**family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            match (kind.as_deref().unwrap(), openmetrics) {
                ("counter", true) => assert_eq!(suffix, "_total"),
                ("counter", false) => assert!(suffix.is_empty() && family.ends_with("_total"), "{line}"),
                ("info", true) => assert_eq!((suffix, value), ("_info", 1.0)),
                ("histogram", _) => assert!(["_bucket", "_count", "_sum"].contains(&suffix), "{line}"),
                (kind, _) => assert_eq!((kind, suffix), ("gauge", ""), "{line}"),
            }
            assert!(value >= 0.0, "{line}");
            assert!(series.insert(name, value).is_none(), "{line} comes twice");
        }
    }
    series
}

/// A line as the series, with its labels as they stand there, and its value.
fn read_sample(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = series.split_once('{') else {
        assert!(is_name(series), "{line}");
        return (series.to_owned(), value.parse().unwrap());
    };
    assert!(is_name(name), "{line}");
    let mut rest = labels.strip_suffix('}').expect("labels end");
    loop {
        let (label, value) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(label) && !label.contains(':'), "{line}");
        // Up to the first quotation mark that is not escaped.
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("the value ends") {
                (_, '\\') => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{line}"),
                (end, '"') => break end,
                _ => {}
            }
        };
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return (series.to_owned(), value_of(line)),
            None => panic!("{line}"),
        }
    }
}

fn value_of(line: &str) -> f64 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}
