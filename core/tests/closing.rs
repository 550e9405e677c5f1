//! What closing everything tells, whatever runs at that moment, whoever asks, and however often.
#![cfg(feature = "runtime")]

mod common;

use std::{
    net::TcpListener,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use common::{Client, Conn, PATIENCE, publish, until};
use evstream::{
    Access, Answer, CloseReason, Config, ErrorKind, Event, Events, Mount, Observer, PublishFailure, Server,
    Stream,
};

/// Where the application's code runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Authorize,
    Fallback,
    Opened,
    Closed,
    PublishFailed,
    Waker,
}

const PLACES: [Place; 6] =
    [Place::Authorize, Place::Fallback, Place::Opened, Place::Closed, Place::PublishFailed, Place::Waker];

/// Code of the application.
type Code = Arc<dyn Fn(Place) + Send + Sync>;

struct Told(Code);

impl Observer for Told {
    fn stream_opened(&self, _: &Stream) {
        (self.0)(Place::Opened);
    }

    fn stream_closed(&self, _: &Stream, _: CloseReason) {
        (self.0)(Place::Closed);
    }

    fn publish_failed(&self, _: &PublishFailure) {
        (self.0)(Place::PublishFailed);
    }
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        (self.0)(Place::Waker);
    }
}

/// Events whose callbacks run `code`; with a proxy that nobody can reach.
fn events_with(code: &Code) -> (Events, Arc<Server>) {
    let proxy = "http://127.0.0.1:9/".into();
    let events = Events::new(Config::new().grip(vec![proxy]).grip_deadline_ms(100)).unwrap();
    events.observe(Told(code.clone())).unwrap();
    let (authorize, fallback) = (code.clone(), code.clone());
    let mount = Mount::new("/events/").authorize(move |_| {
        authorize(Place::Authorize);
        Access::allow()
    });
    let server = events.server().mount(mount).fallback(move |_, _| {
        fallback(Place::Fallback);
        Answer::new(200, "text/plain", "")
    });
    (events, server.bind("127.0.0.1:0").unwrap())
}

/// Has code run at that place. What is given back keeps it going.
fn call(place: Place, code: &Code, events: &Events, server: &Arc<Server>) -> Box<dyn std::any::Any> {
    let mut conn = Conn::open(server);
    match place {
        Place::Authorize | Place::Opened => drop(conn.request("GET", "/events/?channel=a", &[])),
        Place::Fallback => drop(conn.request("GET", "/", &[])),
        Place::Closed => drop(Client::open(server, "/events/?channel=a")),
        Place::PublishFailed => publish(events, "a", ["x"]),
        Place::Waker => {
            let mut subscription = events.subscribe(["b"]).unwrap();
            let waker = Waker::from(Arc::new(Told(code.clone())));
            assert_eq!(subscription.poll_message(&Context::from_waker(&waker)), Poll::Pending);
            publish(events, "b", ["x"]);
            return Box::new(subscription);
        }
    }
    Box::new(conn)
}

/// Code that says when it runs at `place`, and then waits for leave to go on.
fn blocking(place: Place) -> (Code, Receiver<()>, Sender<()>, Arc<AtomicBool>) {
    let ((entered, entries), (leave, may_leave)) = (channel(), channel());
    let (entered, may_leave) = (Mutex::new(entered), Mutex::new(may_leave));
    let (running, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let flag = running.clone();
    let code = move |at| {
        if at == place && !seen.swap(true, Ordering::SeqCst) {
            flag.store(true, Ordering::SeqCst);
            let _ = entered.lock().unwrap().send(());
            let _ = may_leave.lock().unwrap().recv_timeout(PATIENCE);
            flag.store(false, Ordering::SeqCst);
        }
    };
    (Arc::new(code), entries, leave, running)
}

#[test]
fn a_callback_that_blocks_is_waited_for_as_long_as_told_and_never_forgotten() {
    for place in PLACES {
        let (code, entries, leave, running) = blocking(place);
        let (events, server) = events_with(&code);
        let kept = call(place, &code, &events, &server);
        entries.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{place:?} was not called"));
        for timeout in [Duration::ZERO, Duration::from_millis(50)] {
            assert!(!events.close(timeout).unwrap().ended, "{place:?} is running");
        }
        assert!(running.load(Ordering::SeqCst), "{place:?}: nobody has let it go on");
        thread::scope(|scope| {
            let others: Vec<_> = (0..3).map(|_| scope.spawn(|| events.close(PATIENCE).unwrap())).collect();
            leave.send(()).unwrap();
            for other in others {
                assert!(other.join().unwrap().ended, "{place:?} has ended");
                assert!(!running.load(Ordering::SeqCst), "{place:?} ran when all had ended");
            }
        });
        assert!(events.close(Duration::ZERO).unwrap().ended);
        drop(kept);
    }
}

#[test]
fn a_callback_cannot_close() {
    for place in PLACES {
        let slot = Arc::new(Mutex::new(None::<(Events, Arc<Server>)>));
        let (told, outcomes) = channel();
        let told = Mutex::new(told);
        let mine = slot.clone();
        let code: Code = Arc::new(move |at| {
            let taken = if at == place { mine.lock().unwrap().take() } else { None };
            if let Some((events, server)) = taken {
                let outcome = events.close(PATIENCE).unwrap_err().kind();
                told.lock().unwrap().send((outcome, server.close(PATIENCE))).unwrap();
            }
        });
        let (events, server) = events_with(&code);
        *slot.lock().unwrap() = Some((events.clone(), server.clone()));
        let kept = call(place, &code, &events, &server);
        let outcome = outcomes.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{place:?} was not called"));
        assert_eq!(outcome, (ErrorKind::InCallback, false), "{place:?}");
        events.check_open().unwrap();
        assert!(events.close(PATIENCE).unwrap().ended);
        drop(kept);
    }
}

#[test]
fn a_callback_of_others_can_close() {
    let others = Events::new(Config::new()).unwrap();
    let slot = Mutex::new(Some(others));
    let (told, outcomes) = channel();
    let told = Mutex::new(told);
    let code: Code = Arc::new(move |_| {
        if let Some(others) = slot.lock().unwrap().take() {
            told.lock().unwrap().send(others.close(PATIENCE).unwrap().ended).unwrap();
        }
    });
    let (events, server) = events_with(&code);
    let _kept = call(Place::Fallback, &code, &events, &server);
    assert!(outcomes.recv_timeout(PATIENCE).unwrap());
    assert!(events.close(PATIENCE).unwrap().ended);
}

/// A proxy that takes connections and never answers holds up the end; all who wait for it are told the same.
#[test]
fn all_who_close_at_the_same_time_are_told_the_same() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", proxy.local_addr().unwrap());
    let events = Events::new(Config::new().grip(vec![url.into()])).unwrap();
    let receipts: Vec<_> = (0..3).map(|_| events.publish("a", Event::text("x")).unwrap()).collect();
    let first = events.close(Duration::ZERO).unwrap();
    assert_eq!(first.undelivered, 3, "no time was given to deliver them");
    thread::scope(|scope| {
        let closing: Vec<_> = (0..4).map(|_| scope.spawn(|| events.close(PATIENCE).unwrap())).collect();
        for closed in closing {
            let closed = closed.join().unwrap();
            assert!(closed.ended);
            assert_eq!(closed.undelivered, 3);
        }
    });
    for receipt in receipts {
        assert!(receipt.wait(Duration::ZERO).unwrap()[0].result.is_err());
    }
}

#[test]
fn one_who_has_less_time_is_not_held_up_by_one_who_has_more() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", proxy.local_addr().unwrap());
    let events = Events::new(Config::new().grip(vec![url.into()]).grip_deadline_ms(3_600_000)).unwrap();
    events.publish("a", Event::text("x")).unwrap();
    let patient = thread::spawn({
        let events = events.clone();
        move || events.close(Duration::from_secs(4)).unwrap()
    });
    until("it is closing", || events.check_open().is_err());
    let early = events.close(Duration::ZERO).unwrap();
    assert!(!early.ended);
    assert_eq!(early.undelivered, 1, "it is not delivered yet");
    let late = patient.join().unwrap();
    assert!(late.ended);
    assert_eq!(late.undelivered, 1);
}

#[test]
fn what_was_never_used_ends_in_no_time() {
    let events = Events::new(Config::new()).unwrap();
    for _ in 0..2 {
        let closed = events.close(Duration::ZERO).unwrap();
        assert!(closed.ended);
        assert_eq!(closed.undelivered, 0);
    }
}

/// What the application has given away is back by then, so that it may free what its callbacks use.
#[test]
fn everything_is_freed_when_the_last_handle_is() {
    struct Freed(Arc<AtomicBool>);
    impl Observer for Freed {}
    impl Drop for Freed {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    for _ in 0..20 {
        let freed = Arc::new(AtomicBool::new(false));
        let events = Events::new(Config::new()).unwrap();
        events.observe(Freed(freed.clone())).unwrap();
        let server = events.server().mount(Mount::new("/")).bind("127.0.0.1:0").unwrap();
        let client = Client::open(&server, "/?channel=a");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert!(events.close(PATIENCE).unwrap().ended));
            }
        });
        drop((events, server));
        assert!(freed.load(Ordering::SeqCst));
        drop(client);
    }
}

/// Closing is as likely to come before as after, or in the middle.
#[test]
fn nobody_is_left_hanging_by_a_close_beside_the_first_use() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", proxy.local_addr().unwrap());
    for round in 0..300_u32 {
        let config = Config::new().shards(1).grip(vec![url.clone().into()]);
        let events = Events::new(config).unwrap();
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            let closing = scope.spawn(|| {
                barrier.wait();
                for _ in 0..fastrand::u32(0..=round * 400) {
                    std::hint::spin_loop();
                }
                events.close(Duration::from_millis(20)).unwrap()
            });
            barrier.wait();
            match round % 3 {
                0 => {
                    if let Ok(mut subscription) = events.subscribe(["a"]) {
                        assert_eq!(subscription.next_timeout(PATIENCE).unwrap(), None);
                    }
                }
                1 => {
                    if let Ok(receipt) = events.publish("a", Event::text("x")) {
                        receipt.wait(PATIENCE).expect("it is settled");
                    }
                }
                _ => drop(events.server().mount(Mount::new("/")).bind("127.0.0.1:0")),
            }
            let _ = closing.join().unwrap();
        });
        assert!(events.close(PATIENCE).unwrap().ended);
    }
}

#[test]
fn it_closes_without_blocking_a_task() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (code, entries, leave, _) = blocking(Place::Authorize);
    let (events, server) = events_with(&code);
    let _kept = call(Place::Authorize, &code, &events, &server);
    entries.recv_timeout(PATIENCE).unwrap();
    runtime.block_on(async {
        assert!(!events.close_async(Duration::from_millis(20)).await.unwrap().ended);
        leave.send(()).unwrap();
        assert!(events.close_async(PATIENCE).await.unwrap().ended);
        drop(server);
        // The last handle, in a runtime of others.
        drop(events);
    });
}

#[test]
fn a_close_that_nobody_awaits_goes_on() {
    let events = Events::new(Config::new()).unwrap();
    let mut subscription = events.subscribe(["a"]).unwrap();
    let mut closing = Box::pin(events.close_async(PATIENCE));
    let _ = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(closing);
    assert_eq!(subscription.next_timeout(PATIENCE).unwrap(), None);
    assert!(events.close(PATIENCE).unwrap().ended);
}
