//! Any text where a key, a URL, a token, a link or a `Grip-Last` belongs.

#![no_main]

use std::sync::LazyLock;

use evstream::grip::{Key, LinkKey, Prefix, Proxy, parse_grip_last, verify_request};
use libfuzzer_sys::fuzz_target;

const NOW_S: u64 = 1_800_000_000;

static PROXIES: LazyLock<[Proxy; 1]> =
    LazyLock::new(|| [Proxy::parse("http://localhost:5561/?key=secret").expect("the URL is good")]);
static LINK_KEY: LazyLock<LinkKey> =
    LazyLock::new(|| LinkKey::from_secret("a secret of many bytes").expect("the secret is good"));
static PREFIX: LazyLock<Prefix> = LazyLock::new(|| Prefix::new("events-").expect("the prefix is good"));

fuzz_target!(|input: (u8, &str)| {
    let (what, text) = input;
    match what % 7 {
        0 => drop(Key::parse(text)),
        1 => {
            if let Ok(proxy) = Proxy::parse(text) {
                if let Ok(Some(authorization)) = proxy.authorization(NOW_S) {
                    assert_eq!(proxy.auth().check(Some(authorization.value()), NOW_S), Ok(()));
                }
            }
        }
        2 => drop(parse_grip_last(text.split('\n'))),
        3 => drop(verify_request(&*PROXIES, Some(text), NOW_S)),
        4 => drop(PROXIES[0].auth().check(Some(text), NOW_S)),
        5 => drop(LINK_KEY.open(text, NOW_S)),
        _ => {
            assert_eq!(PREFIX.decode(&PREFIX.encode(text)).as_deref(), Some(text));
            drop(PREFIX.decode(text));
        }
    }
});
