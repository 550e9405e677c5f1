//! Any request, also through a proxy: the reply is well formed, and a stream begins as the protocol says.

#![no_main]

use std::sync::{Arc, LazyLock};

use evstream::{
    __internal::{Decoder, Epoch, Hub, Now, open_request},
    Access, Config, Event, Request,
    grip::{Link, LinkKey},
};
use libfuzzer_sys::fuzz_target;

const NOW: Now = Now { ms: 0, unix_s: 1_800_000_000 };
const LINK_SECRET: &str = "a secret of many bytes";

static HUB: LazyLock<Arc<Hub>> = LazyLock::new(|| {
    let config = Config::new().history_events(2).cors_origins(vec!["https://example.com".to_owned()]);
    let config = config.grip(vec!["http://localhost:5561/".into()]).grip_link_secret(LINK_SECRET.into());
    // So that the fuzzer need not sign.
    let hub =
        Hub::new(config.grip_trust_unverified(true), Epoch(0x5f3a_9c01)).expect("the settings are good");
    for n in 0..5 {
        hub.log().publish(&hub.log().channel("a", 0), &Event::text(n.to_string()), 0);
    }
    hub
});

/// The path of a stream that a proxy holds, which the fuzzer writes as `/link`.
static LINK: LazyLock<String> = LazyLock::new(|| {
    let key = LinkKey::from_secret(LINK_SECRET).expect("the secret is good");
    key.path(&Link::new("/events", ["a", "b"], None, NOW.unix_s, 3_600))
});

// A request as it is written: method, path and query, then headers, each on a line.
fuzz_target!(|request: &[u8]| {
    let mut lines = request.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let (method, target) = first.split_once(' ').unwrap_or(("GET", &first));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = if path == "/link" { &*LINK } else { path };
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    });
    let headers: Vec<(&str, &[u8])> = headers.collect();
    let request = Request { method, path, query, headers: &headers, peer: None };
    let reply = open_request(&HUB, &request, Access::allow(), NOW);

    assert!([200, 204, 400, 403, 404, 405, 406, 500].contains(&reply.status), "{}", reply.status);
    for (name, value) in &reply.headers {
        assert!(value.bytes().all(|byte| byte >= b' ' && byte != 0x7f), "{name}: {value:?}");
    }
    assert!(reply.stream.is_none() || reply.status == 200);
    if reply.status == 200 && method == "GET" {
        let events = Decoder::new().feed(&reply.body);
        let names: Vec<_> = events.iter().map(|event| event.name.as_deref().unwrap_or("")).collect();
        let is_link = LinkKey::is_link(path);
        let is_held = reply.headers.iter().any(|(name, _)| *name == "Grip-Hold");
        let good = match names[..] {
            ["stream-open" | "stream-reset"] | ["stream-open", "stream-reset"] => {
                is_held || reply.stream.is_some()
            }
            ["stream-error" | "stream-close"] => !is_held && reply.stream.is_none(),
            // A link that is not good ends what the proxy holds.
            [] if is_link => reply.stream.is_none(),
            ["stream-open", ref rest @ ..] | ref rest => is_held && rest.iter().all(|name| name.is_empty()),
        };
        assert!(good, "{names:?}");
    }
});
