//! Publishing to GRIP proxies, seen from the proxy: what comes, in which order, and what becomes of it when it fails.

#![cfg(feature = "runtime")]

mod common;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use common::{Act, PATIENCE, Relay, Seen, until};
use evstream::{
    Config, ErrorKind, Event, Events,
    grip::{Action, Auth, Key, Prefix, parse_publish},
};

/// Events of a process that publishes alone.
fn events(url: &str, config: impl FnOnce(Config) -> Config) -> Events {
    Events::new(config(Config::new().grip(vec![url.into()]).grip_sole_publisher(true))).unwrap()
}

fn text(text: &str) -> Event<'_> {
    Event::text(text)
}

/// The contents of all requests, in order.
fn contents(seen: &[Seen]) -> Vec<String> {
    let items = seen.iter().flat_map(|seen| parse_publish(seen.body.as_bytes()).unwrap().items);
    let content = |action| match action {
        Action::Send(content) => String::from_utf8(content.as_bytes().to_vec()).unwrap(),
        Action::Hint => "hint".to_owned(),
        Action::Close => "close".to_owned(),
    };
    items.map(|item| content(item.action)).collect()
}

fn kind(receipt: &evstream::Receipt) -> Option<ErrorKind> {
    let results = receipt.wait(PATIENCE).unwrap();
    assert_eq!(results.len(), 1);
    results[0].result.as_ref().err().map(evstream::Error::kind)
}

#[test]
fn fastly_gets_what_its_api_asks_for() {
    let fake = Relay::accepting();
    let events = events(&format!("{}/service/SID?key=an-api-token&verify-iss=fastly:SID", fake.url()), |c| c);
    let receipt = events.publish("room 1", text("hi").name("note")).unwrap();
    assert_eq!(kind(&receipt), None);
    let seen = &fake.seen()[0];
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/service/SID/publish/"));
    assert_eq!(seen.header("authorization"), Some("Bearer an-api-token"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("content-length"), Some(&*seen.body.len().to_string()));
    let id = receipt.position().unwrap().to_string();
    let before = id.split('-').next().unwrap().to_owned() + "-000000000000";
    assert_eq!(
        seen.body,
        format!(
            r#"{{"items":[{{"channel":"events-room%201","formats":{{"http-stream":{{"content":"event: note\ndata: hi\nid: {id}\n\n"}}}},"id":"{id}","prev-id":"{before}","no-seq":true}}]}}"#
        )
    );
}

#[test]
fn fanout_cloud_gets_a_token_that_its_key_verifies() {
    let fake = Relay::accepting();
    let url = format!("{}/realm/me?iss=me&key=base64:AAECAwQFBgcICQoLDA0ODw==", fake.url());
    let events = events(&url, |c| c);
    for data in ["1", "2"] {
        assert_eq!(kind(&events.publish("a", text(data)).unwrap()), None);
    }
    let seen = fake.seen();
    assert_eq!(seen[0].target, "/realm/me/publish/");
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let auth = Auth::jwt("me", Key::parse("base64:AAECAwQFBgcICQoLDA0ODw==").unwrap());
    assert_eq!(auth.check(seen[0].header("authorization"), now_s), Ok(()));
    assert_eq!(seen[0].header("authorization"), seen[1].header("authorization"), "it is made once");
}

#[test]
fn other_authorization() {
    let fake = Relay::accepting();
    for (url, expected) in [
        (fake.url(), None),
        (fake.url().replace("http://", "http://me:s%3Acret@"), Some("Basic bWU6czpjcmV0")),
    ] {
        assert_eq!(kind(&events(&url, |c| c).publish("a", text("x")).unwrap()), None);
        assert_eq!(fake.seen().last().unwrap().header("authorization"), expected);
    }
}

#[test]
fn events_that_pile_up_share_requests_in_order() {
    let fake = Relay::accepting();
    fake.act(|_| Act::Delay(Duration::ZERO)); // no upstream: cut, so that it is tried again
    let events = events(&fake.url(), |c| c);
    let texts: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    let receipts: Vec<_> = texts.iter().map(|data| events.publish("a", text(data)).unwrap()).collect();
    fake.until_seen(1);
    fake.act(|_| Act::Answer(200));
    for receipt in &receipts {
        assert_eq!(kind(receipt), None);
    }
    let taken = fake.seen();
    let last = contents(&taken[taken.len() - 3..]);
    let got: Vec<&str> =
        last.iter().filter_map(|event| event.lines().find_map(|l| l.strip_prefix("data: "))).collect();
    assert_eq!(got, texts[texts.len() - got.len()..], "in order");
    assert!(taken.len() < 20, "{} requests for {} events", taken.len(), texts.len());
}

#[test]
fn each_item_names_the_one_before_it_on_its_channel() {
    let fake = Relay::accepting();
    let events = events(&fake.url(), |c| c);
    let receipts: Vec<_> =
        ["a", "b", "a", "b"].map(|channel| events.publish(channel, text("x")).unwrap()).into();
    for receipt in &receipts {
        assert_eq!(kind(receipt), None);
    }
    let items: Vec<_> =
        fake.seen().iter().flat_map(|seen| parse_publish(seen.body.as_bytes()).unwrap().items).collect();
    let id = |index: usize| Some(receipts[index].position().unwrap().to_string());
    assert_eq!(items[2].prev_id.as_deref().map(str::to_owned), id(0));
    assert_eq!(items[3].prev_id.as_deref().map(str::to_owned), id(1));
    assert_eq!(items.iter().map(|item| item.no_seq).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn items_have_a_place_in_a_sequence_only_where_gaps_can_be_repaired() {
    for (history_events, sole) in [(0, true), (1_000, false)] {
        let fake = Relay::accepting();
        let events = events(&fake.url(), |c| c.history_events(history_events).grip_sole_publisher(sole));
        let receipt = events.publish("a", text("x")).unwrap();
        assert_eq!(kind(&receipt), None);
        let item = parse_publish(fake.seen()[0].body.as_bytes()).unwrap().items.remove(0);
        assert_eq!(
            (item.id.as_deref(), item.prev_id),
            (Some(&*receipt.position().unwrap().to_string()), None)
        );
        assert!(!item.no_seq);
        // Nor are there hints for what was missed.
        fake.act(|_| Act::Answer(400));
        assert_eq!(kind(&events.publish("a", text("y")).unwrap()), Some(ErrorKind::ProxyRejected));
        fake.act(|_| Act::Answer(200));
        assert_eq!(kind(&events.publish("a", text("z")).unwrap()), None);
        assert!(!contents(&fake.seen()).iter().any(|content| content == "hint"));
    }
}

#[test]
fn errors_that_may_pass_are_tried_again_and_others_are_not() {
    let fake = Relay::accepting();
    let events = events(&fake.url(), |c| c);
    for status in [500, 503, 429, 408] {
        let count = AtomicUsize::new(0);
        fake.act(move |_| Act::Answer(if count.fetch_add(1, Ordering::Relaxed) == 0 { status } else { 200 }));
        assert_eq!(kind(&events.publish("a", text("x")).unwrap()), None, "{status}");
    }
    for status in [400, 401, 403, 404, 413, 301] {
        fake.act(move |_| Act::Answer(status));
        let before = fake.seen().len();
        let receipt = events.publish("a", text("x")).unwrap();
        assert_eq!(kind(&receipt), Some(ErrorKind::ProxyRejected), "{status}");
        // A hint for the one before comes first, and may be all that is sent.
        let items = contents(&fake.seen()[before..]).into_iter().filter(|content| content != "hint").count();
        assert!(items <= 1, "{status} is not tried again");
    }
    assert_eq!(events.stats().publish_failures, 6);
}

#[test]
fn a_proxy_that_takes_nothing_from_us_is_not_asked_for_each_event() {
    for status in [401, 403, 404] {
        let fake = Relay::accepting();
        fake.act(move |_| Act::Answer(status));
        let events = events(&fake.url(), |c| c);
        let receipts: Vec<_> = (0..400).map(|_| events.publish("a", text("x")).unwrap()).collect();
        for receipt in &receipts {
            assert_eq!(kind(receipt), Some(ErrorKind::ProxyRejected), "{status}");
        }
        assert_eq!(events.stats().publish_failures, 400);
        let requests = fake.seen().len();
        assert!(requests < 20, "{requests} requests for 400 events that were answered with {status}");
        // The application does not start again when somebody has mended the proxy.
        fake.act(|_| Act::Answer(200));
        assert_eq!(kind(&events.publish("a", text("mended")).unwrap()), None);
    }
}

#[test]
fn the_proxy_of_the_environment_is_used_only_when_a_setting_says_so() {
    for (setting, through) in [("false", false), ("true", true)] {
        let [fake, other] = [Relay::accepting(), Relay::accepting()];
        // Its own process, for an environment is shared by all tests.
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publish_as_the_environment_says", "--ignored"])
            .env("GRIP_URL", format!("{}/?key=a-secret-token", fake.url()))
            .env("GRIP_ENV_PROXY", setting)
            .envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, other.url())))
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        assert_eq!((fake.seen().len(), other.seen().len()), (usize::from(!through), usize::from(through)));
    }
}

#[test]
#[ignore = "a part of the test above, which runs it in a process of its own"]
fn publish_as_the_environment_says() {
    let setting = std::env::var("GRIP_ENV_PROXY").unwrap().parse().unwrap();
    let events = Events::new(Config::new().grip_from_env().grip_env_proxy(setting)).unwrap();
    assert_eq!(kind(&events.publish("a", text("x")).unwrap()), None);
}

#[test]
fn one_bad_item_does_not_take_its_batch_with_it() {
    let fake = Relay::accepting();
    fake.act(|_| Act::Cut);
    let events = events(&fake.url(), |c| c);
    let receipts: Vec<_> = ["1", "2", "bad", "4"].map(|data| events.publish("a", text(data)).unwrap()).into();
    fake.until_seen(2);
    fake.act(|seen| Act::Answer(if seen.body.contains("bad") { 400 } else { 200 }));
    let kinds: Vec<_> = receipts.iter().map(kind).collect();
    assert_eq!(kinds, [None, None, Some(ErrorKind::ProxyRejected), None]);
    let contents = contents(&fake.seen());
    let hint = contents.iter().rposition(|content| content == "hint").expect("a hint for what is missing");
    assert!(contents[hint + 1].contains("data: 4"), "before anything else: {contents:?}");
}

#[test]
fn a_queue_that_is_full_says_so_at_once() {
    let fake = Relay::accepting();
    fake.act(|_| Act::Stall);
    let events = events(&fake.url(), |c| c.grip_queue_events(3).grip_deadline_ms(3_600_000));
    let reader = events.subscribe(["a"]).unwrap();
    let receipts: Vec<_> = (0..5).map(|_| events.publish("a", text("x")).unwrap()).collect();
    assert_eq!(receipts[0].streams, 1);
    assert_eq!(kind(&receipts[3]), Some(ErrorKind::QueueFull));
    assert_eq!(kind(&receipts[4]), Some(ErrorKind::QueueFull));
    assert!(receipts[0].wait(Duration::ZERO).is_err_and(|error| error.kind() == ErrorKind::Timeout));
    let local = reader.into_iter().filter(|message| matches!(message, evstream::Message::Event(_)));
    assert_eq!(local.take(5).count(), 5, "readers of this process get all of them");
    let begun = Instant::now();
    assert_eq!(events.close(Duration::from_millis(200)).unwrap().undelivered, 3);
    assert!(begun.elapsed() < PATIENCE, "closing waits no longer than told");
    for receipt in &receipts[..3] {
        assert_eq!(kind(receipt), Some(ErrorKind::Closed));
    }
}

#[test]
fn after_the_deadline_an_event_is_given_up() {
    for act in [Act::Stall, Act::Cut, Act::Answer(503)] {
        let fake = Relay::accepting();
        fake.act(move |_| act);
        let events = events(&fake.url(), |c| c.grip_deadline_ms(1_500));
        let receipts = ["1", "2"].map(|data| events.publish("a", text(data)).unwrap());
        for receipt in &receipts {
            assert_eq!(kind(receipt), Some(ErrorKind::ProxyUnavailable), "{act:?}");
        }
        fake.act(|_| Act::Answer(200));
        let before = fake.seen().len();
        assert_eq!(kind(&events.publish("b", text("3")).unwrap()), None);
        let contents = contents(&fake.seen()[before..]);
        assert_eq!(contents[0], "hint", "the proxy is told that it has missed something: {contents:?}");
    }
}

#[test]
fn closing_delivers_what_waits() {
    let fake = Relay::accepting();
    let slow = Relay::to(fake.address);
    slow.act(|_| Act::Delay(Duration::from_millis(300)));
    let events = events(&slow.url(), |c| c);
    let receipts: Vec<_> = (0..50).map(|_| events.publish("a", text("x")).unwrap()).collect();
    assert_eq!(events.close(PATIENCE).unwrap().undelivered, 0);
    for receipt in &receipts {
        assert!(receipt.wait(Duration::ZERO).unwrap()[0].result.is_ok());
    }
    assert_eq!(contents(&fake.seen()).len(), 50);
    assert_eq!(events.publish("a", text("x")).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn dropping_the_events_leaves_no_receipt_open() {
    let fake = Relay::accepting();
    fake.act(|_| Act::Stall);
    let events = events(&fake.url(), |c| c.grip_deadline_ms(3_600_000));
    let receipts = ["1", "2"].map(|data| events.publish("a", text(data)).unwrap());
    fake.until_seen(1);
    drop(events);
    for receipt in &receipts {
        assert_eq!(kind(receipt), Some(ErrorKind::Closed));
    }
}

#[test]
fn an_event_too_large_for_a_proxy_is_delivered_here_alone() {
    let fake = Relay::accepting();
    let events = events(&fake.url(), |c| c);
    let large = "x".repeat(1_000_000);
    let receipt = events.publish("a", text(&large)).unwrap();
    assert_eq!(kind(&receipt), Some(ErrorKind::TooLarge));
    assert_eq!(kind(&events.publish("a", text("small")).unwrap()), None);
    until("hints and the event", || contents(&fake.seen()).len() == 3);
    assert_eq!(contents(&fake.seen())[..2], ["hint", "hint"]);
}

#[test]
fn what_a_proxy_misses_while_it_is_told_of_a_gap_is_told_next() {
    let fake = Relay::accepting();
    let events = events(&fake.url(), |c| c);
    let large = "x".repeat(1_000_000); // too much for a proxy, which is known at once
    events.publish("b", text(&large)).unwrap();
    let (meanwhile, first) = (events.clone(), AtomicBool::new(true));
    fake.act(move |_| {
        if first.swap(false, Ordering::Relaxed) {
            for channel in ["a", "b"] {
                meanwhile.publish(channel, text(&large)).unwrap();
            }
        }
        Act::Answer(200)
    });
    assert_eq!(kind(&events.publish("c", text("x")).unwrap()), None);
    let items = fake.seen().into_iter().flat_map(|seen| parse_publish(seen.body.as_bytes()).unwrap().items);
    let channels: Vec<String> = items.map(|item| item.channel.into_owned()).collect();
    let prefix = Prefix::new("events-").unwrap();
    let (all, a, b) = (prefix.hint_for_all(), prefix.hint("events-a"), prefix.hint("events-b"));
    assert_eq!(channels, [&*all, &*b, &*all, &*a, &*b, "events-c"]);
}

#[test]
fn no_error_shows_a_secret() {
    let fake = Relay::accepting();
    fake.act(|_| Act::Answer(401));
    let url = format!("{}/?key=geheim-geheim&x=geheim", fake.url());
    let refused = events(&url, |c| c);
    let receipt = refused.publish("a", text("x")).unwrap();
    let shown = format!("{:?}", receipt.wait(PATIENCE).unwrap());
    assert!(shown.contains("401") && !shown.contains("geheim"), "{shown}");

    let dead = events("http://user:geheim@127.0.0.1:1/?key=geheim&x=geheim", |c| c.grip_deadline_ms(100));
    let receipt = dead.publish("a", text("x")).unwrap();
    let shown = format!("{:?}", receipt.wait(PATIENCE).unwrap());
    assert!(shown.contains("could not be reached") && !shown.contains("geheim"), "{shown}");
}
