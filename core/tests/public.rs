//! Mounts whose clients choose among channels that anybody may read, and those whose clients choose among all.
#![cfg(feature = "runtime")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Client, hear_log, publish, serve_mounts};
use evstream::{Config, ErrorKind, Events, Mount, PublicChannels};

#[test]
fn clients_read_public_channels_and_no_others() {
    let warnings = Arc::new(AtomicUsize::new(0));
    let counted = warnings.clone();
    hear_log(move |metadata| {
        if metadata.target() == "evstream::server" && *metadata.level() == tracing::Level::WARN {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let public = || PublicChannels::new(["clock", "news-*"]).unwrap();
    let own = || Mount::new("/room").channels(["room-1"]);

    let (events, server) = serve_mounts(Config::new(), [Mount::new("/events/").public(public()), own()]);
    let mut client = Client::get(&server, "/events/?channel=clock&channel=news-de");
    assert_eq!(client.expect("stream-open").data, r#"{"channels":["clock","news-de"]}"#);
    publish(&events, "news-de", ["x"]);
    assert_eq!(client.data(), "x");
    for query in ["channel=room-1", "channel=clock&channel=room-1", "channel=%72oom-1"] {
        let mut client = Client::get(&server, &format!("/events/?{query}"));
        assert!(
            client.expect("stream-error").data.contains(r#"the channel \"room-1\" is not public"#),
            "{query}"
        );
    }
    assert!(Client::get(&server, "/events/").expect("stream-error").data.contains("bad-request"));
    assert_eq!(warnings.load(Ordering::SeqCst), 0);

    // A mount for any channel beside one that has its own undoes it.
    let _other = serve_mounts(Config::new(), [Mount::new("/events/"), own()]);
    assert_eq!(warnings.load(Ordering::SeqCst), 1);

    let events = Events::new(Config::new()).unwrap();
    let bound = events.server().mount(Mount::metrics("/metrics").public(public())).bind("127.0.0.1:0");
    assert_eq!(bound.unwrap_err().kind(), ErrorKind::InvalidConfig);
}
