//! The races of wake-ups under the loom model checker: a reader that sleeps though there is something is a deadlock, which
//! it reports.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use ::loom::{
    sync::{Condvar, Mutex},
    thread,
};

use super::{Mailbox, Signal};
use crate::sync::check_races;

/// What wakes a reader, who hears it also when it rang before, as a poller does.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.ringing.notify_all();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.ringing.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

#[test]
fn mail_wakes_a_reader_that_sleeps() {
    check_races(|| {
        let (mailbox, bell) = (Arc::new(Mailbox::<Vec<u32>>::default()), Arc::new(Bell::default()));
        let writers = [1, 2].map(|letter| {
            let (mailbox, bell) = (mailbox.clone(), bell.clone());
            thread::spawn(move || {
                mailbox.lock().push(letter);
                if mailbox.must_rouse() {
                    bell.ring();
                }
            })
        });
        let mut got = Vec::new();
        while got.len() < 2 {
            if mailbox.fall_asleep(Vec::is_empty) {
                bell.wait();
                mailbox.awake();
            }
            got.append(&mut mailbox.lock());
        }
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

/// Nobody rings twice for one sleep, because each costs a system call.
#[test]
fn one_of_several_wakes_it() {
    check_races(|| {
        let mailbox = Arc::new(Mailbox::<u32>::default());
        assert!(mailbox.fall_asleep(|mail| *mail == 0));
        let writers = [(); 2].map(|()| {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                *mailbox.lock() += 1;
                mailbox.must_rouse()
            })
        });
        let roused = writers.map(|writer| writer.join().unwrap());
        assert_eq!(roused.into_iter().filter(|roused| *roused).count(), 1);
        assert!(!mailbox.fall_asleep(|mail| *mail == 0));
    });
}

#[test]
fn a_raised_signal_wakes_who_blocks() {
    check_races(|| {
        let signal = Arc::new(Signal::default());
        let shard = raising(&signal);
        let mut rounds = 0;
        loop {
            assert!(signal.wait(None));
            rounds += 1;
            if signal.lower() {
                break;
            }
        }
        assert!((1..=2).contains(&rounds));
        shard.join().unwrap();
    });
}

#[test]
fn a_raised_signal_wakes_a_task() {
    check_races(|| {
        let (signal, bell) = (Arc::new(Signal::default()), Arc::new(Bell::default()));
        let shard = raising(&signal);
        let waker = Waker::from(bell.clone());
        loop {
            match signal.poll(&Context::from_waker(&waker)) {
                Poll::Ready(()) if signal.lower() => break,
                Poll::Ready(()) => {}
                Poll::Pending => bell.wait(),
            }
        }
        shard.join().unwrap();
    });
}

/// A shard that has something for a reader, and then no more.
fn raising(signal: &Arc<Signal>) -> thread::JoinHandle<()> {
    let signal = signal.clone();
    thread::spawn(move || {
        signal.raise();
        signal.close();
    })
}
