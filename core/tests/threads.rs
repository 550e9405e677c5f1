//! No thread outlives what it was started for. Alone in its process, because it counts them.
#![cfg(all(feature = "runtime", target_os = "linux"))]

mod common;

use std::{fs, time::Duration};

use common::{Client, Conn, PATIENCE, publish, serve, serve_mounts, until};
use evstream::{Access, Config, Events, Mount};

/// The names of this library's threads.
fn threads() -> Vec<String> {
    let names = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // A thread may end while we look.
        fs::read_to_string(task.ok()?.path().join("comm")).ok()
    });
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("evstream-")).collect()
}

#[test]
fn threads_come_late_and_go_in_time() {
    let config = Config::new().shards(3).server_threads(2);
    let events = Events::new(config.clone()).unwrap();
    publish(&events, "a", ["x"]);
    assert_eq!(threads(), [""; 0], "publishing needs none");
    events.close(PATIENCE).unwrap();
    drop(events);

    let (events, server) = serve(config.clone());
    let clients: Vec<Client> = (0..10).map(|_| Client::open(&server, "/events/?channel=a")).collect();
    let subscription = events.subscribe(["a"]).unwrap();
    // A thread gives itself its name, so the last may not have one yet.
    until("all threads have names", || threads().len() == 6);
    let mut names = threads();
    names.sort();
    assert_eq!(
        names,
        ["evstream-0", "evstream-1", "evstream-2", "evstream-io", "evstream-io", "evstream-sweep"]
    );
    assert!(server.close(PATIENCE));
    events.close(PATIENCE).unwrap();
    assert_eq!(threads(), [""; 0], "closing waits for them");
    drop((clients, subscription));

    // Without closing, they end on their own.
    let mount = Mount::new("/events/").authorize(|_| Access::allow());
    let (events, server) = serve_mounts(config.clone(), [mount]);
    let client = Client::open(&server, "/events/?channel=a");
    let silent = Conn::open(&server);
    drop((events, server));
    until("all threads have ended", || threads().is_empty());
    drop((client, silent));

    // Those of some are not those of others.
    let (events, server) = serve(config.clone());
    let (others, other) = serve(config);
    let _client = Client::open(&server, "/events/?channel=a");
    let mut client = Client::open(&other, "/events/?channel=a");
    events.close(Duration::ZERO).unwrap();
    publish(&others, "a", ["x"]);
    assert_eq!(client.data(), "x");
    others.close(PATIENCE).unwrap();
    until("all threads have ended", || threads().is_empty());
}
