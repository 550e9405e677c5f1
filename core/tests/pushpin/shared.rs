//! Processes of one application that share a journal: one of them forwards what all publish.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use evstream::{Access, Config, Event, Events, Mount, Who};

#[cfg(feature = "redis")]
use super::redis::Redis;
use super::{App, Expect, Pushpin, Settings, Source, settings_of_several, target, texts};
use crate::common::{Act, PATH, PATIENCE, Relay, until};

/// A journal, which is gone with it.
enum Journal {
    /// In a file of this folder.
    File(PathBuf),
    #[cfg(feature = "redis")]
    Redis(Redis),
}

impl Journal {
    fn new() -> Self {
        let name = format!("evstream-shared-{}-{:x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self::File(folder)
    }

    fn address(&self) -> String {
        match self {
            Self::File(folder) => format!("file:{}", folder.join("events").display()),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.journal(),
        }
    }

    /// Settings for a process that has it.
    fn config(&self, grip_url: &str) -> Config {
        settings_of_several(grip_url).journal(self.address().as_str().into())
    }

    /// Waits until some process forwards it, and has noted how far it is.
    fn wait_for_forwarder(&self) {
        until("somebody forwards the journal", || match self {
            Self::File(folder) => {
                fs::read(folder.join("events.forwarder")).is_ok_and(|text| !text.is_empty())
            }
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.ask("EXISTS {test}fwd").starts_with(":1"),
        });
    }

    /// Takes all that is in it away.
    fn lose(&self) {
        match self {
            Self::File(folder) => fs::remove_file(folder.join("events")).unwrap(),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => drop(redis.ask("FLUSHALL")),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Self::File(folder) = self {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Two processes behind a Pushpin, whose requests go to them in turn, or all to the first.
struct Two {
    pushpin: Pushpin,
    balancer: Relay,
    apps: [App; 2],
    journal: Journal,
}

impl Two {
    fn start(in_turn: bool) -> Self {
        Self::with(Journal::new(), in_turn)
    }

    fn with(journal: Journal, in_turn: bool) -> Self {
        let mut pushpin = Pushpin::new(Settings::default());
        let apps = [(); 2].map(|()| App::new(journal.config(&pushpin.grip_url())));
        let addresses = [apps[0].address(), apps[1].address()];
        let balancer = balance(addresses, in_turn);
        pushpin.start(balancer.address);
        Self { pushpin, balancer, apps, journal }
    }
}

fn balance(addresses: [SocketAddr; 2], in_turn: bool) -> Relay {
    let balancer = Relay::to(addresses[0]);
    let mut turn = 0;
    balancer.act(move |_| {
        turn += usize::from(in_turn);
        Act::To(addresses[turn % 2])
    });
    balancer
}

/// The client has got these, each once and in order, and has noticed nothing.
fn expect_undisturbed<T: AsRef<str>>(source: &Source, texts: &[T]) {
    source.expect_texts(texts);
    let state = source.state();
    assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
}

/// One serves the streams, and another publishes only.
#[test]
fn what_another_process_publishes_arrives() {
    let journal = Journal::new();
    let mut pushpin = Pushpin::new(Settings::default());
    let serving = App::new(journal.config(&pushpin.grip_url()));
    pushpin.start(serving.address());
    let source = Source::open(pushpin.http, &target(["room"])).opened();
    let publishing = Events::new(journal.config(&pushpin.grip_url())).unwrap();
    let texts = texts("", 3);
    for text in &texts {
        let receipt = publishing.publish("room", Event::text(text)).unwrap();
        assert!(receipt.wait(PATIENCE).unwrap().is_empty(), "the journal brings it to proxies");
        assert_eq!(receipt.proxies(), 0);
    }
    expect_undisturbed(&source, &texts);
    let ids: Vec<String> = source.state().events[1..].iter().map(|event| event.id.clone()).collect();
    assert!(ids.is_sorted());
    publishing.close(PATIENCE).unwrap();
}

#[test]
fn processes_publish_in_turn() {
    for in_turn in [false, true] {
        let Two { pushpin, apps, balancer: _balancer, journal: _journal } = Two::start(in_turn);
        let sources = [(); 4].map(|()| Source::open(pushpin.http, &target(["a", "b"])).opened());
        let mut texts = Vec::new();
        for number in 0..40 {
            let text = number.to_string();
            apps[usize::from(number % 7 > 2)].publish_well(["a", "b"][number % 2], &text);
            texts.push(text);
        }
        for source in &sources {
            expect_undisturbed(source, &texts);
        }
    }
}

/// What gets lost on the way is repaired by any process, without another setting.
#[test]
fn what_was_lost_is_repaired_by_any_process() {
    let journal = Journal::new();
    let mut pushpin = Pushpin::new(Settings::default());
    let control = Relay::to(pushpin.control);
    let url = pushpin.grip_url().replace(&pushpin.control.to_string(), &control.address.to_string());
    let apps = [(); 2].map(|()| App::new(journal.config(&url)));
    let balancer = balance([apps[0].address(), apps[1].address()], true);
    pushpin.start(balancer.address);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    apps[0].publish_well("a", "1");
    source.expect_texts(&["1"]);
    for round in 0..4 {
        control.act(|_| Act::Answer(200)); // and goes nowhere
        let before = control.seen().len();
        apps[round % 2].publish_well("a", &format!("lost {round}"));
        until("it was lost", || control.seen().len() > before);
        control.act(|_| Act::Pass);
        apps[1 - round % 2].publish_well("b", &format!("then {round}"));
        apps[round % 2].publish_well("a", &format!("after {round}"));
        source.until("both", |state| state.texts().contains(&&*format!("after {round}")));
    }
    let state = source.state();
    assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
    assert_eq!(state.texts().len(), 13);
}

/// A process that forwards, and ends with this.
struct Forwarder(Child);

impl Forwarder {
    fn start(journal: &Journal, grip_url: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shared::forward_from_another_process", "--ignored"])
            .env("EVSTREAM_JOURNAL", journal.address())
            .env("GRIP_URL", grip_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let forwarder = Self(child);
        journal.wait_for_forwarder();
        forwarder
    }

    fn kill(&mut self) {
        let _ = self.0.kill(); // SIGKILL
        let _ = self.0.wait();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
#[ignore = "a part of the tests below, which run it in a process of its own"]
fn forward_from_another_process() {
    let events = Events::new(Config::new().grip_from_env()).unwrap();
    events.position(); // it takes part from now on
    // Ends with whoever has started it.
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
}

#[test]
fn a_killed_forwarder_is_followed_by_another() {
    kill_a_forwarder(&Journal::new());
}

#[cfg(feature = "redis")]
#[test]
fn a_killed_forwarder_is_followed_by_another_of_a_redis() {
    kill_a_forwarder(&Journal::Redis(Redis::start(&[])));
}

fn kill_a_forwarder(journal: &Journal) {
    let mut pushpin = Pushpin::new(Settings::default());
    let control = Relay::to(pushpin.control);
    let slow = pushpin.grip_url().replace(&pushpin.control.to_string(), &control.address.to_string());
    // Requests are under way for a while, and it dies in the middle of one that has arrived, and whose answer has not.
    control.act(|_| Act::Late(Duration::from_millis(30)));
    let mut forwarder = Forwarder::start(journal, &slow);
    let apps = [(); 2].map(|()| App::new(journal.config(&pushpin.grip_url())));
    let balancer = balance([apps[0].address(), apps[1].address()], true);
    pushpin.start(balancer.address);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    // It may have come before the processes knew anything of the journal.
    let connections = source.state().heads.len();
    let texts = texts("", 1_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, text) in texts.iter().enumerate() {
                apps[number % 2].publish_well(["a", "b"][number % 2], text);
                std::thread::sleep(Duration::from_millis(1)); // a steady flow
            }
        });
        source.until("some have come", |state| state.texts().len() > 100);
        let late = control.late_answers();
        until("a request is under way", || control.late_answers() > late);
        forwarder.kill();
    });
    source.until("all have come", |state| state.texts().len() >= texts.len());
    let state = source.state();
    // Pushpin keeps the order of a channel, not that of several: it drops what waits for a hold beyond 100 items while
    // it follows the link that repairs them.
    let of = |turn: usize| move |text: &&str| text.parse::<usize>().unwrap() % 2 == turn;
    for turn in [0, 1] {
        let expected: Vec<&str> = texts.iter().map(String::as_str).filter(of(turn)).collect();
        assert_eq!(state.texts().into_iter().filter(of(turn)).collect::<Vec<_>>(), expected);
    }
    assert_eq!((state.heads.len(), state.count("stream-reset")), (connections, 0));
}

#[test]
fn a_forwarder_that_closes_is_followed_at_once() {
    let Two { pushpin, apps: [first, second], balancer, journal } = Two::start(false);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    journal.wait_for_forwarder();
    first.publish_well("a", "1");
    source.expect_texts(&["1"]);
    let other = second.address();
    balancer.act(move |_| Act::To(other));
    let receipts = ["2", "3"].map(|text| first.publish("a", text));
    first.close();
    receipts.iter().for_each(Expect::expect_delivered);
    second.publish_well("a", "4");
    expect_undisturbed(&source, &["1", "2", "3", "4"]);
}

#[test]
fn two_proxies_get_everything() {
    let journal = Journal::new();
    let mut pushpins = [(); 2].map(|()| Pushpin::new(Settings::default()));
    let urls: Vec<_> = pushpins.iter().map(|pushpin| pushpin.grip_url().as_str().into()).collect();
    let config = || journal.config("").grip(urls.clone());
    let apps = [(); 2].map(|()| App::new(config()));
    let balancer = balance([apps[0].address(), apps[1].address()], true);
    for pushpin in &mut pushpins {
        pushpin.start(balancer.address);
    }
    let sources = [0, 1, 0, 1].map(|which| Source::open(pushpins[which].http, &target(["a"])).opened());
    let mut texts = texts("", 30);
    for (number, text) in texts.iter().enumerate() {
        apps[number % 2].publish_well("a", text);
    }
    for source in &sources {
        expect_undisturbed(source, &texts);
    }
    // And while one is away the other is not held up.
    pushpins[1].stop();
    apps[0].publish_well("a", "one is away");
    texts.push("one is away".to_owned());
    for source in [&sources[0], &sources[2]] {
        expect_undisturbed(source, &texts);
    }
    pushpins[1].start(balancer.address);
    for source in [&sources[1], &sources[3]] {
        source.expect_texts(&texts);
    }
}

#[test]
fn a_client_moves_between_a_process_and_the_proxy() {
    let Two { pushpin, apps, balancer: _balancer, journal: _journal } = Two::start(true);
    let places = [pushpin.http, apps[0].address(), pushpin.http, apps[1].address()];
    let (mut last_id, mut expected, mut got) = (String::new(), Vec::new(), Vec::new());
    for round in 0..12 {
        let source = Source::resume(places[round % 4], &target(["a", "b"]), &[], &last_id).opened();
        let upto = expected.len() + 6;
        while expected.len() < upto {
            let text = expected.len().to_string();
            apps[expected.len() % 2].publish_well(["a", "b"][round % 2], &text);
            expected.push(text);
        }
        let wanted = upto - got.len();
        source.until("all of this round", |state| state.texts().len() >= wanted);
        let state = source.state();
        assert_eq!(state.count("stream-reset"), 0);
        got.extend(state.texts().into_iter().map(str::to_owned));
        last_id.clone_from(&state.last_id);
        drop(state);
        // While nobody reads.
        let text = expected.len().to_string();
        apps[round % 2].publish_well("b", &text);
        expected.push(text);
    }
    expected.pop();
    assert_eq!(got, expected);
}

#[test]
fn a_proxy_comes_back_after_a_while() {
    let Two { mut pushpin, apps, balancer, journal: _journal } = Two::start(true);
    let sources = [&["a"][..], &["a", "b"]]
        .map(|channels| Source::open(pushpin.http, &target(channels.iter().copied())).opened());
    let texts = texts("", 15);
    let publish = |range: std::ops::Range<usize>| {
        for number in range {
            apps[number % 2].publish_well("a", &texts[number]);
        }
    };
    publish(0..5);
    for source in &sources {
        source.expect_texts(&texts[..5]);
    }
    pushpin.stop();
    publish(5..10);
    pushpin.start(balancer.address);
    publish(10..15);
    for source in &sources {
        source.expect_texts(&texts);
        assert_eq!(source.state().count("stream-reset"), 0);
    }
}

/// As a cron job does, when no process of the application is up.
#[test]
fn a_lone_script_forwards_what_it_has_published() {
    let journal = Journal::new();
    let mut pushpin = Pushpin::new(Settings::default());
    let app = App::new(journal.config(&pushpin.grip_url()));
    let origin = app.address();
    pushpin.start(origin);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    app.publish_well("a", "before");
    source.expect_texts(&["before"]);
    app.close(); // The proxy holds the stream on.

    let script = Events::new(journal.config(&pushpin.grip_url())).unwrap();
    script.publish("a", Event::text("by a script")).unwrap();
    assert!(script.close(PATIENCE).unwrap().ended);
    let app = App::at(&origin.to_string(), journal.config(&pushpin.grip_url()), Mount::new(PATH));
    app.publish_well("a", "after");
    expect_undisturbed(&source, &["before", "by a script", "after"]);
}

#[test]
fn a_new_journal_is_told() {
    lose_the_journal(Journal::new());
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_that_is_emptied_is_told() {
    lose_the_journal(Journal::Redis(Redis::start(&[])));
}

fn lose_the_journal(journal: Journal) {
    let Two { pushpin, apps, balancer: _balancer, journal } = Two::with(journal, true);
    let source = Source::open(pushpin.http, &target(["a", "quiet"])).opened();
    apps[0].publish_well("a", "1");
    source.expect_texts(&["1"]);
    journal.lose();
    apps[1].publish_well("a", "2");
    source.until("stream-reset", |state| state.count("stream-reset") >= 1);
    apps[0].publish_well("a", "3");
    source.until("3", |state| state.texts().last() == Some(&"3"));
}

/// What one process has ended is ended at the proxy by whichever has the journal's lease.
#[test]
fn a_process_without_the_lease_ends_held_streams_in_order_with_the_events() {
    let journal = Journal::new();
    let mut pushpin = Pushpin::new(Settings::default());
    let start = || {
        let mount = Mount::new(PATH).authorize(|_| Access::allow().user("bob"));
        App::at("127.0.0.1:0", journal.config(&pushpin.grip_url()), mount)
    };
    let first = start();
    journal.wait_for_forwarder();
    let second = start();
    pushpin.start(first.address());
    let source = Source::open(pushpin.http, &target(["room"])).opened();
    for app in [&first, &second] {
        app.publish("room", "1").wait(PATIENCE).unwrap();
    }
    source.expect_texts(&["1", "1"]);
    second.publish("room", "the last");
    second.events.disconnect(Who::new().user("bob"), "gone").unwrap().wait(PATIENCE).unwrap();
    second.publish("room", "secret");
    source.until("it is refused for good", |state| state.refused == Some(400));
    source.expect_texts(&["1", "1", "the last"]);
    let state = source.state();
    let error = state.events.iter().find(|event| event.name.as_deref() == Some("stream-error")).unwrap();
    assert_eq!(error.data, r#"{"channels":[],"condition":"forbidden","text":"gone"}"#);
}
