//! Requests and streams in the hands of a client who is up to no good, or just slow.

use std::sync::Arc;

use super::{Access, CloseReason, Hub, Now, Read, Reply, Request, ResetReason, Stream, open_request};
use crate::{
    Config, Event, SlowClient,
    wire::{Decoded, Decoder, Epoch},
};

const GET: Request<'_> = Request { method: "GET", path: "/", query: "", headers: &[], peer: None };

fn new_hub(config: Config) -> Arc<Hub> {
    Hub::new(config, Epoch(0x5f3a_9c01)).unwrap()
}

fn publish(hub: &Hub, channel: &str, data: &str) {
    hub.log().publish(&hub.log().channel(channel, 0), &Event::text(data), 0);
}

fn get(hub: &Arc<Hub>, query: &str, last_event_id: &[u8]) -> Reply {
    let headers = [("Last-Event-ID", last_event_id)];
    open_request(hub, &Request { query, headers: &headers, ..GET }, Access::allow(), Now::default())
}

fn events(sse: &[u8]) -> Vec<Decoded> {
    Decoder::new().feed(sse)
}

fn stream(hub: &Arc<Hub>, query: &str) -> Stream {
    get(hub, query, b"").stream.expect("the request is good")
}

#[test]
fn a_client_that_was_told_to_stop_is_stopped_whatever_else_is_wrong() {
    let hub = new_hub(Config::new());
    for query in ["", "channel=%ff", "channel=", "channel=a"] {
        assert_eq!(get(&hub, query, b"error").status, 400, "{query}");
        assert_eq!(get(&hub, &format!("lastEventId=error&{query}"), b"").status, 400, "{query}");
        let request = Request { query, headers: &[("last-event-id", b"error")], ..GET };
        assert_eq!(open_request(&hub, &request, Access::forbid("no"), Now::default()).status, 400, "{query}");
    }
}

#[test]
fn a_position_that_is_not_even_text_is_a_gap() {
    let hub = new_hub(Config::new());
    let reply = get(&hub, "channel=a", b"\xff");
    let names: Vec<_> = events(&reply.body).into_iter().filter_map(|event| event.name).collect();
    assert_eq!(names, ["stream-open", "stream-reset"]);
    assert_eq!(
        hub.stats().resets,
        [(ResetReason::Expired, 0), (ResetReason::Overflow, 0), (ResetReason::Epoch, 1)]
    );
}

#[test]
fn head_opens_nothing_but_is_told_when_all_is_full() {
    let hub = new_hub(Config::new().max_streams(1));
    let head = || {
        open_request(
            &hub,
            &Request { method: "HEAD", query: "channel=a", ..GET },
            Access::allow(),
            Now::default(),
        )
    };
    let reply = head();
    assert_eq!((reply.status, reply.body.len(), reply.stream.is_none()), (200, 0, true));
    let stats = hub.stats();
    assert_eq!((stats.open, stats.opened, stats.channels), (0, 0, 0));
    let _open = stream(&hub, "channel=a");
    assert_eq!(head().status, 503);
}

#[test]
fn what_is_told_back_is_small_and_clean() {
    let hub = new_hub(Config::new());
    let query: String = (0..100_000).map(|n| ["channel=", &n.to_string(), "%0a&"].concat()).collect();
    for access in [Access::allow(), Access::forbid("no")] {
        let reply = open_request(&hub, &Request { query: &query, ..GET }, access, Now::default());
        assert!(reply.body.len() < 1_000, "{} bytes", reply.body.len());
    }
    let long = "x".repeat(257);
    let request = Request { query: &format!("channel=ok&channel=%00&channel={long}"), ..GET };
    let reply = open_request(&hub, &request, Access::forbid("no"), Now::default());
    assert!(events(&reply.body)[0].data.contains(r#""channels":["ok"]"#));
    assert_eq!(hub.stats().channels, 0);
}

#[test]
fn a_slow_stream_is_told_all_it_misses_and_goes_on() {
    let hub = new_hub(Config::new().history_events(0).backlog_events(2));
    let mut stream = stream(&hub, "channel=lossy&channel=quiet&channel=whole");
    publish(&hub, "whole", "held, but skipped");
    for _ in 0..3 {
        publish(&hub, "lossy", "x");
    }
    let mut items = Vec::new();
    let Read::Notice(frame) = stream.read(usize::MAX, &mut items) else { panic!("it has fallen behind") };
    let [reset] = &events(frame.sse())[..] else { panic!("one event") };
    assert_eq!(reset.data, r#"{"channels":["lossy","whole"],"reason":"overflow"}"#);
    assert_eq!((&*reset.id, stream.position().seq), ("5f3a9c01-000000000004", 4));

    publish(&hub, "whole", "y");
    assert!(matches!(stream.read(usize::MAX, &mut items), Read::Events));
    assert_eq!(items.iter().map(|item| item.seq).collect::<Vec<_>>(), [5]);
    assert_eq!(hub.stats().resets[1], (ResetReason::Overflow, 1));
}

#[test]
fn a_slow_stream_is_closed_where_that_is_the_policy() {
    let hub = new_hub(Config::new().backlog_events(1).history_events(1).slow_client(SlowClient::Close));
    let mut stream = stream(&hub, "channel=a");
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    let position = stream.position().to_string();
    let Read::End(close_notice) = stream.read(usize::MAX, &mut Vec::new()) else {
        panic!("it has fallen behind")
    };
    let [close] = &events(stream.last_words(&close_notice).sse())[..] else { panic!("one event") };
    assert_eq!((close.name.as_deref(), &*close.data), (Some("stream-close"), r#"{"reason":"slow"}"#));
    assert_eq!(close.id, position, "its next connection finds the gap");
    stream.close(close_notice.close_reason());
    let closed = hub.stats().closed;
    assert!(closed.contains(&(CloseReason::Slow, 1)) && closed.contains(&(CloseReason::Dropped, 0)));
}

#[test]
fn clients_are_asked_back_at_different_times() {
    let hub = new_hub(Config::new().retry_ms(1_000));
    let mut tenths = [0; 11];
    for _ in 0..100 {
        let later_ms = hub.retry_ms().checked_sub(1_000).unwrap();
        tenths[later_ms as usize / 100] += 1;
    }
    assert!(tenths[..10].iter().all(|&clients| (8..=12).contains(&clients)), "{tenths:?}");
    let hub = new_hub(Config::new().retry_ms(0));
    assert_eq!(hub.retry_ms(), 0);
    assert!((1_000..=2_000).contains(&hub.later_ms()), "who got no stream waits a second at least");
}

/// Whatever a client came with, it comes back with what means the same. It might forget its id if the first event of a
/// connection had none (WHATWG HTML 9.2.6).
#[test]
fn a_client_that_gets_no_stream_keeps_its_position() {
    for (came_with, told_back) in [
        ("", None),
        ("5f3a9c01-000000000002", Some("5f3a9c01-000000000002")),
        ("5f3a9c01-000000000001", Some("5f3a9c01-000000000001")), // a gap
        ("5f3a9c01-000000000009", Some("unknown")),               // in the future, which would come
        ("00000001-000000000001", Some("00000001-000000000001")),
        ("no position", Some("unknown")),
        ("a\nid: 5f3a9c01-000000000003", Some("unknown")), // from a query
    ] {
        for (why, access, max_streams) in [
            ("full", Access::allow(), 1),
            ("failed", Access::fail("the database is away"), 0),
            ("shutdown", Access::allow(), 0),
        ] {
            let hub = new_hub(Config::new().max_streams(max_streams).history_events(1));
            (0..3).for_each(|n| publish(&hub, "a", &n.to_string()));
            let _other = stream(&hub, "channel=a");
            if why == "shutdown" {
                hub.close();
            }
            let encoded: Vec<String> = came_with.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let request = Request {
                query: &format!("channel=a&lastEventId={}", encoded.concat()),
                headers: &[("Accept", b"text/event-stream")],
                ..GET
            };
            let reply = open_request(&hub, &request, access, Now::default());
            assert_eq!((reply.status, reply.stream.is_none()), (200, true), "{why}");
            let text = String::from_utf8(reply.body).unwrap();
            let (before, id) = match text.strip_suffix("\n\n").unwrap().split_once("\nid: ") {
                Some((before, id)) => (before, Some(id)),
                None => (text.trim_end(), None),
            };
            let [event, retry, data] = before.split('\n').collect::<Vec<_>>()[..] else { panic!("{text}") };
            assert_eq!((event, data), ("event: stream-close", &*format!("data: {{\"reason\":\"{why}\"}}")));
            assert!(retry.starts_with("retry: "), "{text}");
            assert_eq!(id, told_back, "{why}, {came_with:?}");
        }
    }
}

#[test]
fn who_does_not_ask_for_a_stream_by_name_gets_a_status() {
    let hub = new_hub(Config::new().max_streams(1));
    let _other = stream(&hub, "channel=a");
    let ask = |method, headers: &[(&str, &[u8])], access: Access| {
        let reply = open_request(
            &hub,
            &Request { method, query: "channel=a", headers, ..GET },
            access,
            Now::default(),
        );
        assert!(reply.stream.is_none());
        let retry_after = reply.headers.iter().any(|(name, _)| *name == "Retry-After");
        (reply.status, retry_after, !reply.body.is_empty())
    };
    for access in [Access::allow(), Access::fail("the database is away")] {
        for accept in [&b"*/*"[..], b"text/*", b"text/html"] {
            let status = if accept == b"text/html" { (406, false, true) } else { (503, true, true) };
            assert_eq!(ask("GET", &[("Accept", accept)], access.clone()), status);
        }
        assert_eq!(ask("GET", &[], access.clone()), (503, true, true));
        assert_eq!(ask("HEAD", &[("Accept", b"text/event-stream")], access.clone()), (503, true, false));
        // Whoever was told to stay away still is.
        let error = [("Accept", &b"text/event-stream"[..]), ("Last-Event-ID", b"error")];
        assert_eq!(ask("GET", &error, access), (400, false, true));
    }
}

#[test]
fn a_keep_alive_moves_the_position_on_in_either_form() {
    for (comment, events) in [(false, 1), (true, 0)] {
        let hub = new_hub(Config::new().keep_alive_comment(comment));
        let mut decoder = Decoder::new();
        assert_eq!(decoder.feed(hub.keep_alive(hub.log().position(31)).sse()).len(), events);
        assert_eq!(decoder.last_event_id(), "5f3a9c01-00000000001f");
    }
}

#[test]
fn a_place_comes_back_when_its_stream_ends_in_any_way() {
    let hub = new_hub(Config::new().max_streams(1).max_streams_per_address(1));
    let peer = Some("10.0.0.1".parse().unwrap());
    let get =
        || open_request(&hub, &Request { query: "channel=a", peer, ..GET }, Access::allow(), Now::default());
    for end in [drop, |stream: Stream| stream.close(CloseReason::Client)] {
        let stream = get().stream.unwrap();
        assert_eq!(get().status, 503);
        end(stream);
        assert_eq!(hub.stats().open, 0);
    }
    assert_eq!(hub.stats().refused, 2);
}

/// The proxy says where it is once per link timeout, which may be long.
#[test]
fn a_quiet_channel_is_remembered_until_the_proxy_asks() {
    let hub = new_hub(behind_a_proxy().grip_sole_publisher(true).grip_link_timeout_ms(600_000));
    publish(&hub, "other", "x");
    let ask = |path: &str, headers: &[(&str, &[u8])], ms: u64| {
        let headers = [headers, &[("Grip-Sig", b"x")]].concat();
        let request = Request { path, query: "channel=quiet", headers: &headers, ..GET };
        open_request(&hub, &request, Access::allow(), Now { ms, ..Now::default() })
    };
    let held = ask("/", &[], 0);
    let header = |name: &str| &held.headers.iter().find(|(header, _)| *header == name).unwrap().1;
    let link = header("Grip-Link").split(['<', '>']).nth(1).unwrap();
    let (channel, position) = header("Grip-Channel").split_once("; prev-id=").unwrap();
    let position = position.split(',').next().unwrap();

    publish(&hub, "other", "y");
    hub.log().sweep(599_000); // by then the other channel's events are too old
    let last = format!("{channel}; last-id={position}");
    let reply = ask(link, &[("Grip-Last", last.as_bytes())], 600_000);
    assert_eq!(String::from_utf8_lossy(&reply.body), "", "nothing was lost on this one");
}

#[test]
fn an_empty_grip_url_is_no_proxy() {
    let urls = |urls: &[&str]| Config::new().grip(urls.iter().map(|url| url.to_string().into()).collect());
    assert!(new_hub(urls(&["", " "])).grip().is_none());
    assert_eq!(new_hub(urls(&["", "http://127.0.0.1:9"])).grip().unwrap().proxies.len(), 1);
}

fn behind_a_proxy() -> Config {
    Config::new().grip(vec!["http://127.0.0.1:9".to_owned().into()]).grip_trust_unverified(true)
}

/// A client takes over the id of each event it reads, and may be cut off after any.
#[test]
fn a_client_cut_off_before_the_reset_is_told_again() {
    for (config, grip_sig) in [(Config::new(), false), (behind_a_proxy(), true)] {
        for lost in ["5f3a9c01-000000000000", "5f3a9c01-000000000009", "00000001-000000000002", "no position"]
        {
            let hub = new_hub(config.clone().history_events(1));
            let mut id = lost.to_owned();
            for attempt in 0..3 {
                (0..5).for_each(|n| publish(&hub, "a", &n.to_string())); // the log moves on meanwhile
                let mut headers = vec![("Last-Event-ID", id.as_bytes())];
                headers.extend(grip_sig.then_some(("Grip-Sig", &b"x"[..])));
                let request = Request { query: "channel=a", headers: &headers, ..GET };
                let reply = open_request(&hub, &request, Access::allow(), Now::default());
                assert_eq!(reply.stream.is_none(), grip_sig, "it is held where it should be");
                let [open, reset] = &events(&reply.body)[..] else { panic!("{lost} {attempt}") };
                assert_eq!(reset.name.as_deref(), Some("stream-reset"), "{lost} {attempt}");
                assert_ne!(open.id, "", "{lost}");
                id.clone_from(&open.id);
            }
        }
    }
}

/// Those who read a journal that is another all of a sudden would otherwise all load their data anew at once.
#[cfg(feature = "runtime")]
#[test]
fn streams_are_told_of_another_epoch_one_after_the_other_and_miss_nothing_of_it() {
    use std::sync::atomic::{AtomicU64, Ordering};

    let hub = Hub::following(Config::new().retry_ms(1_000)).unwrap();
    let clock = Arc::new(AtomicU64::new(5_000));
    hub.set_time({
        let clock = clock.clone();
        move || clock.load(Ordering::Relaxed)
    });
    let check = hub.log().begin_check();
    hub.log().rebase(Epoch(1), 1, 5_000);
    hub.log().end_check(check);
    let mut streams: Vec<Stream> = (0..200).map(|_| stream(&hub, "channel=a")).collect();
    let mut items = Vec::new();
    let mut read = |stream: &mut Stream| {
        items.clear();
        match stream.read(usize::MAX, &mut items) {
            Read::Events => Ok(items.len()),
            Read::Notice(frame) => Err(events(frame.sse())[0].clone()),
            Read::End(words) => panic!("{words:?}"),
        }
    };
    assert!(streams.iter_mut().all(|stream| read(stream) == Ok(0)), "there is nothing to tell");

    let base = hub.log().rebase(Epoch(2), 7, 5_000);
    let channel = hub.log().channel("a", 5_000);
    hub.log().append_at(base + 1, &channel, &Event::text("first of the new one"), 5_000);
    let mut told = vec![0];
    for now_ms in (5_000..=6_000).step_by(100) {
        clock.store(now_ms, Ordering::Relaxed);
        let mut count = 0;
        streams.retain_mut(|stream| {
            let Err(reset) = read(stream) else { return true };
            assert_eq!(reset.name.as_deref(), Some("stream-reset"));
            assert_eq!(stream.position().seq, base);
            assert_eq!(read(stream), Ok(1), "what came meanwhile is not missed");
            count += 1;
            false
        });
        told.push(count);
    }
    assert_eq!(streams.len(), 0, "each was told within retry_ms");
    assert!(told.iter().all(|&count| count < 60), "they come one after the other: {told:?}");
}
