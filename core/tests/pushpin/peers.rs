//! Other GRIP libraries as peers. `scripts/test-peers` installs them and runs these tests.

use std::{
    path::Path,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use evstream::{
    Config, Events, Mount,
    grip::{Auth, Key},
};

use super::{Source, start, target};
use crate::common::PATH;

/// The programs, which take the same arguments.
const PEERS: [&[&str]; 2] =
    [&["target/peers/bin/python", "tests/peers/peer.py"], &["node", "tests/peers/peer.js"]];

const KEY: &str = "a key of thirty-two bytes or so, as these libraries ask for";

fn run(peer: &[&str], arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(peer[0])
        .args(&peer[1..])
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap_or_else(|error| panic!("{peer:?} cannot be run; use scripts/test-peers: {error}"))
}

fn expect_success(peer: &[&str], arguments: &[&str]) -> String {
    let output = run(peer, arguments);
    assert!(output.status.success(), "{peer:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn jwt(iss: &str, key: &str) -> Auth {
    Auth::jwt(iss, Key::parse(key).unwrap())
}

#[test]
#[ignore = "needs what scripts/test-peers installs"]
fn peers_publish_to_a_process_that_serves_its_streams_itself() {
    let encoded = KEY.replace(' ', "%20").replace(',', "%2C");
    for (auth, query, wrong) in [
        (Auth::none(), String::new(), None),
        (jwt("me", KEY), format!("?iss=me&key={encoded}"), Some(format!("?iss=you&key={encoded}"))),
        (Auth::bearer("a-token").unwrap(), "?key=a-token".to_owned(), Some("?key=b-token".to_owned())),
    ] {
        let events = Events::new(Config::new()).unwrap();
        let server =
            events.server().mount(Mount::new(PATH)).accept_publish(auth.clone()).bind("127.0.0.1:0").unwrap();
        let address = server.address().to_string().parse().unwrap();
        let source = Source::open(address, &target(["a"])).opened();
        let url = |query: &str| format!("http://{address}/{query}");
        for peer in PEERS {
            expect_success(peer, &["publish", &url(&query), "events-a", "data: é\n\n"]);
            if let Some(wrong) = &wrong {
                let refused = run(peer, &["publish", &url(wrong), "events-a", "data: wrong\n\n"]);
                assert!(!refused.status.success(), "{peer:?} {auth:?}");
            }
        }
        source.expect_texts(&["é", "é"]);
    }
}

#[test]
#[ignore = "needs what scripts/test-peers installs"]
fn peers_publish_to_streams_that_pushpin_holds_for_us() {
    // Without history the channels have no sequence, which these libraries know nothing of.
    let (pushpin, app) = start(|config| config.history_events(0));
    let source = Source::open(pushpin.http, &target(["a b"])).opened();
    let url = format!("http://{}", pushpin.control);
    for peer in PEERS {
        expect_success(peer, &["publish", &url, "events-a%20b", "data: theirs\n\n"]);
        app.publish_well("a b", "ours");
    }
    source.expect_texts(&["theirs", "ours", "theirs", "ours"]);
}

#[test]
#[ignore = "needs what scripts/test-peers installs"]
fn peers_verify_what_we_sign() {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = |now_s| {
        let header = jwt("me", KEY).header(now_s).unwrap().unwrap();
        header.value().strip_prefix("Bearer ").unwrap().to_owned()
    };
    for peer in PEERS {
        let verify = |token: &str, key: &str, iss: &str| expect_success(peer, &["verify", token, key, iss]);
        assert_eq!(verify(&token(now_s), KEY, "me"), "true", "{peer:?}");
        assert_eq!(verify(&token(now_s), KEY, "you"), "false", "{peer:?}");
        assert_eq!(verify(&token(now_s), &KEY.replace('a', "b"), "me"), "false", "{peer:?}");
        assert_eq!(verify(&token(now_s - 7_200), KEY, "me"), "false", "{peer:?}");
    }
}
