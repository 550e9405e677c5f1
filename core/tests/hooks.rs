//! How many functions of the application run at once, and what becomes of requests that are too many.
#![cfg(feature = "runtime")]

mod common;

use std::{
    sync::{Arc, Mutex, mpsc::channel},
    time::Duration,
};

use common::{Client, Conn, PATIENCE, until};
use evstream::{Access, Answer, Config, Events, Mount};

const STREAM: &[(&str, &str)] = &[("Accept", "text/event-stream")];

/// Those of one kind that block hold up neither the others nor, for long, those who wait for them.
#[test]
fn blocked_functions_hold_up_their_own_kind_only_and_not_for_long() {
    let (entered, entries) = channel();
    let (leave, may_leave) = channel::<()>();
    let (entered, may_leave) = (Mutex::new(entered), Arc::new(Mutex::new(may_leave)));
    let block = Arc::new(move |target: &str| {
        if target.contains("block") {
            entered.lock().unwrap().send(()).unwrap();
            let _ = may_leave.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    let (authorize, fallback) = (block.clone(), block);
    let events = Events::new(Config::new().hook_threads(1).hook_wait_ms(50)).unwrap();
    let mount = Mount::new("/events/").authorize(move |request| {
        authorize(request.query);
        Access::allow()
    });
    let server = events.server().mount(mount).mount(Mount::new("/open/")).fallback(move |request, _| {
        fallback(request.path);
        Answer::new(200, "text/plain", "a page")
    });
    let server = server.bind("127.0.0.1:0").unwrap();

    let mut blocked = Conn::open(&server);
    blocked.request("GET", "/events/?channel=block", STREAM);
    entries.recv_timeout(PATIENCE).unwrap();
    assert_eq!(Conn::open(&server).request("GET", "/", &[]).response().1, "a page");
    Client::open(&server, "/open/?channel=a");
    let mut waiting = Conn::open(&server);
    let head = waiting.request("GET", "/events/?channel=a", STREAM).head();
    let mut told = waiting.continue_stream(head);
    told.read_to_end();
    assert_eq!(told.close_notice(), Some("failed"));
    assert_eq!(Conn::open(&server).request("GET", "/events/?channel=a", &[]).response().0.status, 503);
    leave.send(()).unwrap();
    blocked.into_stream().expect("stream-open");
    Client::open(&server, "/events/?channel=a");

    let mut blocked = Conn::open(&server);
    blocked.request("GET", "/block", &[]);
    entries.recv_timeout(PATIENCE).unwrap();
    let (head, _) = Conn::open(&server).request("GET", "/", &[]).response();
    assert_eq!((head.status, head.header("retry-after").is_some()), (503, true));
    Client::open(&server, "/events/?channel=a");
    leave.send(()).unwrap();
    assert_eq!(blocked.response().1, "a page");
    until("there is room again", || Conn::open(&server).request("GET", "/", &[]).response().0.status == 200);
    assert!(events.close(Duration::from_secs(30)).unwrap().ended);
}
