//! Streams that the caller takes piece by piece, and reading channels inside the process.
#![cfg(feature = "runtime")]

mod common;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use common::{PATIENCE, closed, noise, publish, resets, until};
use evstream::{
    __internal::Decoder, Access, CloseReason, Config, Event, Events, Message, Pull, Request, ResetReason,
    SlowClient,
};
use http_body_util::BodyExt;

fn events(config: Config) -> Events {
    Events::new(config).unwrap()
}

/// A stream of these channels, after its first bytes.
fn pull(events: &Events, channels: &[&str]) -> Pull {
    let request = Request { method: "GET", path: "/", query: "", headers: &[], peer: None };
    let reply = events.open_request(&request, Access::channels(channels.iter().copied()));
    assert!(reply.body.starts_with(b"event: stream-open\n"));
    events.pull(reply.stream.unwrap()).unwrap()
}

/// Reads on until `decoder` gives an event.
fn next_event(pull: &mut Pull, decoder: &mut Decoder) -> String {
    loop {
        let chunk = pull.next_timeout(PATIENCE).unwrap().expect("the stream goes on");
        if let Some(event) = decoder.feed(&chunk).pop() {
            return event.data;
        }
    }
}

fn read_to_end(pull: &mut Pull) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = pull.next_timeout(PATIENCE).unwrap() {
        text.extend(chunk);
    }
    assert!(pull.next_timeout(Duration::ZERO).unwrap().is_none(), "the end is the end");
    String::from_utf8(text).unwrap()
}

fn text_of(message: Option<Message>) -> String {
    match message {
        Some(Message::Event(event)) => event.data,
        other => panic!("{other:?} is no event"),
    }
}

/// Counts its calls.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn it_gives_what_there_is_or_waits() {
    let events = events(Config::new());
    let mut pull = pull(&events, &["a", "b"]);
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        let error = pull.next_timeout(timeout).unwrap_err();
        assert!(error.code() == "timeout" && error.is_retryable());
    }
    publish(&events, "a", ["1"]);
    publish(&events, "b", ["2", "3"]);
    let mut decoder = Decoder::new();
    let chunk = pull.next_timeout(Duration::MAX).unwrap().unwrap();
    let data: Vec<String> = decoder.feed(&chunk).into_iter().map(|event| event.data).collect();
    assert_eq!(data, ["1", "2", "3"]);

    let big = noise(100_000, 1);
    publish(&events, "a", [&*big, &*big, "small"]);
    let mut chunks = 0;
    let mut data = Vec::new();
    while data.len() < 3 {
        chunks += 1;
        data.extend(decoder.feed(&pull.next_timeout(PATIENCE).unwrap().unwrap()));
    }
    assert!(chunks > 1, "it comes in pieces");
    assert!(data[0].data == big && data[1].data == big && data[2].data == "small");
    let stats = events.stats();
    assert_eq!((stats.deliveries, stats.open), (6, 1));
    drop(pull);
    assert_eq!((events.stats().open, closed(&events, CloseReason::Dropped)), (0, 1));
}

#[test]
fn a_task_is_woken_when_there_is_something() {
    let events = events(Config::new());
    let mut pull = pull(&events, &["a"]);
    let mut subscription = events.subscribe(["a"]).unwrap();
    let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
    let wakers = bells.clone().map(Waker::from);
    let rung = |bell: usize| bells[bell].0.load(Ordering::SeqCst);
    // The engine raises it once when it begins to watch, for what came before.
    let mut ready = [false, false];
    until("both are pending", || {
        ready[0] = pull.poll_next(&Context::from_waker(&wakers[0])).is_ready();
        ready[1] = subscription.poll_message(&Context::from_waker(&wakers[1])).is_ready();
        assert_eq!(ready, [false, false]);
        true
    });
    let before = [rung(0), rung(1)];
    publish(&events, "a", ["x"]);
    until("both are woken", || rung(0) > before[0] && rung(1) > before[1]);
    let Poll::Ready(Some(chunk)) = pull.poll_next(&Context::from_waker(&wakers[0])) else { panic!() };
    assert!(chunk.starts_with(b"data: x\nid: "));
    let Poll::Ready(message) = subscription.poll_message(&Context::from_waker(&wakers[1])) else { panic!() };
    assert_eq!(text_of(message), "x");
}

#[test]
fn a_pull_sends_keep_alives() {
    for comment in [false, true] {
        let events = events(Config::new().keep_alive_ms(50).keep_alive_comment(comment));
        let mut pull = pull(&events, &["quiet"]);
        let last = events.publish("other", Event::text("x")).unwrap().position().unwrap().to_string();
        let mut decoder = Decoder::new();
        for _ in 0..3 {
            let chunk = pull.next_timeout(PATIENCE).unwrap().unwrap();
            let expected = if comment { format!(":\nid: {last}\n\n") } else { String::new() };
            assert!(!comment || *chunk == *expected.as_bytes(), "{chunk:?}");
            let kinds: Vec<_> = decoder.feed(&chunk).into_iter().map(|event| event.name.unwrap()).collect();
            assert_eq!(kinds, if comment { vec![] } else { vec!["keep-alive"] });
        }
        assert_eq!(decoder.last_event_id(), last);
    }
}

#[test]
fn a_pull_ends_of_age_whatever_the_keep_alives_are() {
    for keep_alive_ms in [0, 60, 3_600_000] {
        let events = events(Config::new().keep_alive_ms(keep_alive_ms).max_age_ms(200).retry_ms(100));
        let before = Instant::now();
        let mut pull = pull(&events, &["a"]);
        let mut other = events.subscribe(["a"]).unwrap();
        let text = read_to_end(&mut pull);
        assert!(before.elapsed() >= Duration::from_millis(200));
        assert!(text.contains(r#"data: {"reason":"max-age"}"#), "{text}");
        assert_eq!(closed(&events, CloseReason::MaxAge), 1);
        // Others of the same engine are as before.
        publish(&events, "a", ["x"]);
        assert_eq!(text_of(other.next_timeout(PATIENCE).unwrap()), "x");
        assert_eq!(other.next_timeout(Duration::from_millis(300)).unwrap_err().code(), "timeout");
    }
}

#[test]
fn one_that_reads_too_slowly_is_told() {
    let config = Config::new().history_events(0).backlog_events(10);
    let events = events(config.clone());
    let mut pull = pull(&events, &["a", "b"]);
    let mut subscription = events.subscribe(["a", "b"]).unwrap();
    let published: Vec<String> = (0..30).map(|i| i.to_string()).collect();
    publish(&events, "a", published.iter().map(|text| &**text));
    let chunk = pull.next_timeout(PATIENCE).unwrap().unwrap();
    let reset = Decoder::new().feed(&chunk).pop().unwrap();
    assert_eq!(reset.data, r#"{"channels":["a"],"reason":"overflow"}"#);
    let Some(Message::Reset { channels, position }) = subscription.next_timeout(PATIENCE).unwrap() else {
        panic!("it is told")
    };
    assert_eq!(channels, ["a"]);
    assert_eq!(reset.id, position.to_string());
    publish(&events, "b", ["x"]);
    assert_eq!(next_event(&mut pull, &mut Decoder::new()), "x");
    assert_eq!(text_of(subscription.next_timeout(PATIENCE).unwrap()), "x");
    assert_eq!(resets(&events, ResetReason::Overflow), 1);

    let events = Events::new(config.slow_client(SlowClient::Close)).unwrap();
    let mut pull = self::pull(&events, &["a"]);
    publish(&events, "a", published.iter().map(|text| &**text));
    let close = read_to_end(&mut pull);
    assert!(
        close.starts_with("event: stream-close\nretry: 2000\ndata: {\"reason\":\"slow\"}\nid: "),
        "{close}"
    );
    assert_eq!(closed(&events, CloseReason::Slow), 1);
}

#[test]
fn closing_wakes_those_who_wait() {
    for _ in 0..50 {
        let events = events(Config::new().shards(2));
        let waiting = |work: Box<dyn FnOnce() -> usize + Send>| thread::spawn(work);
        let mut threads = Vec::new();
        for _ in 0..2 {
            let messages = events.subscribe(["a"]).unwrap().into_iter();
            threads.push(waiting(Box::new(|| messages.count())));
            let mut pull = pull(&events, &["a"]);
            threads.push(waiting(Box::new(move || {
                let text = read_to_end(&mut pull);
                assert!(text.contains("event: stream-close\n"), "{text}");
                text.matches("data: ").count() - 1
            })));
        }
        publish(&events, "a", ["1", "2"]);
        events.close(PATIENCE).unwrap();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 2, "what came before the end is read before it");
        }
    }
}

/// A publisher that goes on only when everyone has seen its last event: one wake-up lost, and it stands still.
#[test]
fn no_wake_up_is_lost() {
    const ROUNDS: usize = 2_000;
    let events = events(Config::new().shards(2).keep_alive_ms(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (seen, sightings) = channel();
    let readers = 8;
    for reader in 0..readers {
        let (seen, channels) = (seen.clone(), if reader % 2 == 0 { &["a"][..] } else { &["b", "a"] });
        let (mut pull, mut subscription) =
            (pull(&events, channels), events.subscribe(channels.iter().copied()).unwrap());
        match reader % 4 {
            0 => drop(thread::spawn(move || {
                let mut decoder = Decoder::new();
                (0..ROUNDS).for_each(|_| seen.send(next_event(&mut pull, &mut decoder)).unwrap());
            })),
            1 => drop(thread::spawn(move || {
                (0..ROUNDS)
                    .for_each(|_| seen.send(text_of(subscription.next_timeout(PATIENCE).unwrap())).unwrap());
            })),
            2 => drop(runtime.spawn(async move {
                for _ in 0..ROUNDS {
                    let chunk = pull.next().await.unwrap();
                    seen.send(Decoder::new().feed(&chunk).pop().unwrap().data).unwrap();
                }
            })),
            _ => drop(runtime.spawn(async move {
                for _ in 0..ROUNDS {
                    seen.send(text_of(subscription.next().await)).unwrap();
                }
            })),
        }
    }
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..ROUNDS {
        let text = round.to_string();
        publish(&events, "a", [&*text]);
        for _ in 0..readers {
            let got = sightings.recv_timeout(PATIENCE).expect("nobody sleeps through an event");
            assert_eq!(got, text);
        }
        for _ in 0..random.usize(0..50) {
            std::hint::spin_loop();
        }
    }
    runtime.shutdown_background();
}

#[test]
fn giving_up_a_wait_loses_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let events = events(Config::new());
        let mut pull = pull(&events, &["a"]);
        let mut subscription = events.subscribe(["a"]).unwrap();
        let publisher = thread::spawn({
            let events = events.clone();
            move || (0..3_000).for_each(|i| publish(&events, "a", [&*i.to_string()]))
        });
        let (mut decoder, mut pulled, mut received) = (Decoder::new(), Vec::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        while pulled.len() < 3_000 || received.len() < 3_000 {
            assert!(Instant::now() < deadline);
            let patience = Duration::from_micros(fastrand::u64(0..200));
            if let Ok(chunk) = tokio::time::timeout(patience, pull.next()).await {
                pulled.extend(decoder.feed(&chunk.unwrap()).into_iter().map(|event| event.data));
            }
            if let Ok(message) = tokio::time::timeout(patience, subscription.next()).await {
                received.push(text_of(message));
            }
        }
        publisher.join().unwrap();
        let published: Vec<String> = (0..3_000).map(|i| i.to_string()).collect();
        assert!(pulled == published && received == published);
    });
}

#[test]
fn a_subscriber_sees_what_was_published() {
    let events = events(Config::new());
    publish(&events, "a", ["before"]);
    let mut subscription = events.subscribe(["a", "b", "a"]).unwrap();
    let receipt = events.publish("b", Event::text("1\r\n2").name("note").comment("no matter")).unwrap();
    assert_eq!(receipt.streams, 1);
    assert_eq!(events.publish("a", Event::text("")).unwrap().streams, 1);
    let Some(Message::Event(event)) = subscription.next_timeout(PATIENCE).unwrap() else { panic!() };
    assert_eq!(
        (event.channel.as_str(), event.name.as_deref(), event.data.as_str()),
        ("b", Some("note"), "1\n2")
    );
    assert_eq!(event.position, receipt.position().unwrap());
    let Some(Message::Event(event)) = subscription.next_timeout(PATIENCE).unwrap() else { panic!() };
    assert_eq!((event.channel.as_str(), event.name, event.data.as_str()), ("a", None, ""));
    assert_eq!(events.subscribe([]).unwrap_err().code(), "invalid-channel");
    assert_eq!(events.stats().open, 0, "a subscriber is no client's stream");
    assert_eq!(events.channel("a").unwrap().streams(), 1);
    drop(subscription);
    assert_eq!(events.channel("a").unwrap().streams(), 0);
}

#[test]
fn subscriptions_that_come_and_go_leave_nothing() {
    let events = events(Config::new().shards(1));
    let mut kept = events.subscribe(["a"]).unwrap();
    for i in 0..5_000 {
        let mut brief = events.subscribe(["a", "b"]).unwrap();
        if i % 100 == 0 {
            publish(&events, "a", [&*i.to_string()]);
            assert_eq!(text_of(brief.next_timeout(PATIENCE).unwrap()), i.to_string());
            assert_eq!(text_of(kept.next_timeout(PATIENCE).unwrap()), i.to_string());
        }
    }
    assert_eq!(events.channel("a").unwrap().streams(), 1);
    assert_eq!(events.channel("b").unwrap().streams(), 0);
}

#[test]
fn a_body_is_a_stream() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let events = events(Config::new());
        let respond = |method: &str, target: &str| {
            let (parts, ()) =
                http::Request::builder().method(method).uri(target).body(()).unwrap().into_parts();
            events.respond(&parts, None, |_| Access::allow()).unwrap()
        };
        let refused = respond("DELETE", "/?channel=a");
        assert_eq!(
            (refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()),
            (405, "GET, HEAD, OPTIONS")
        );
        assert_eq!(refused.into_body().collect().await.unwrap().to_bytes(), "a stream is read with GET\n");
        let head = respond("HEAD", "/?channel=a");
        assert!(http_body::Body::is_end_stream(head.body()));

        let response = respond("GET", "/?channel=a");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = pin!(response.into_body());
        let open = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(open.starts_with(b"event: stream-open\ndata: {\"channels\":[\"a\"]}\nid: "));
        publish(&events, "a", ["x"]);
        let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(chunk.starts_with(b"data: x\nid: "));
        thread::spawn({
            let events = events.clone();
            move || events.close(PATIENCE)
        });
        let rest = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
        assert!(rest.starts_with(b"event: stream-close\n"), "{rest:?}");
        assert_eq!(events.stats().open, 0);
    });
}
