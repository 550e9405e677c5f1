//! How other threads reach a shard.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Guest, Origin,
    member::Framing,
    signal::{Raiser, Signal},
    socket::Socket,
};
use crate::{
    log::{Channel, Watch},
    stream::Stream,
};

/// A queue of commands and of channels with news, with a wake-up that costs a system call only when the shard sleeps.
pub(crate) struct Inbox {
    mail: Mutex<Mail>,
    asleep: AtomicBool,
    waker: mio::Waker,
}

/// What lies in the inbox.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) commands: Vec<Command>,
    /// Tokens of channels with new events.
    pub(super) woken: Vec<usize>,
    closed: bool,
}

/// What a shard can be told.
pub(super) enum Command {
    Adopt {
        stream: Stream,
        socket: Socket,
        framing: Framing,
        first: Vec<u8>,
        guest: Option<Guest>,
    },
    Watch {
        channels: Arc<[Arc<Channel>]>,
        signal: Raiser,
    },
    Unwatch {
        signal: Arc<Signal>,
    },
    CloseStreams {
        origin: Option<Arc<Origin>>,
        timeout_ms: u64,
    },
    Stop {
        timeout_ms: u64,
    },
    #[cfg(test)]
    Panic,
}

impl Inbox {
    pub(super) fn new(waker: mio::Waker) -> Self {
        Self { mail: Mutex::default(), asleep: AtomicBool::new(false), waker }
    }

    /// Leaves a command; false when the shard has ended, and then the command is dropped.
    pub(super) fn post(&self, command: Command) -> bool {
        let mut mail = self.lock();
        if mail.closed {
            return false;
        }
        mail.commands.push(command);
        drop(mail);
        self.rouse();
        true
    }

    /// Says that the shard is about to sleep; false when there is mail, and then it must not.
    pub(super) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let mail = self.lock();
        let empty = mail.commands.is_empty() && mail.woken.is_empty();
        drop(mail);
        if !empty {
            self.awake();
        }
        empty
    }

    pub(super) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Exchanges what lies in the inbox for `mail`, which is empty, so that no memory is allocated for it.
    pub(super) fn collect(&self, mail: &mut Mail) {
        std::mem::swap(&mut *self.lock(), mail);
    }

    /// Takes no more mail; gives back the last.
    pub(super) fn close(&self) -> Mail {
        std::mem::replace(&mut *self.lock(), Mail { closed: true, ..Mail::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rouse(&self) {
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a shard");
        }
    }
}

impl Watch for Inbox {
    fn wake(&self, token: usize) {
        self.lock().woken.push(token);
        self.rouse();
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The poller's token for the inbox's wake-up.
pub(super) const INBOX: mio::Token = mio::Token(usize::MAX);

/// Makes an inbox whose wake-ups `poll` sees.
pub(super) fn inbox(poll: &mio::Poll) -> io::Result<Arc<Inbox>> {
    Ok(Arc::new(Inbox::new(mio::Waker::new(poll.registry(), INBOX)?)))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Each round waits for the last, so a wake-up that is lost stops it.
    #[test]
    fn a_sleeping_shard_is_woken_by_mail() {
        const ROUNDS: usize = 20_000;
        let mut poll = mio::Poll::new().unwrap();
        let inbox = inbox(&poll).unwrap();
        let (seen, sightings) = mpsc::channel();
        let shard = thread::spawn({
            let inbox = inbox.clone();
            move || {
                let mut events = mio::Events::with_capacity(8);
                let mut mail = Mail::default();
                for _ in 0..ROUNDS {
                    while mail.woken.is_empty() {
                        if inbox.fall_asleep() {
                            poll.poll(&mut events, Some(PATIENCE)).unwrap();
                            assert!(!events.is_empty(), "it was not woken");
                            inbox.awake();
                        }
                        inbox.collect(&mut mail);
                    }
                    mail.woken.drain(..).for_each(|token| seen.send(token).unwrap());
                }
            }
        });
        let mut random = fastrand::Rng::with_seed(1);
        for token in 0..ROUNDS {
            inbox.wake(token);
            assert_eq!(sightings.recv_timeout(PATIENCE), Ok(token));
            // To meet the shard at every step of falling asleep.
            for _ in 0..random.usize(0..300) {
                std::hint::spin_loop();
            }
        }
        shard.join().unwrap();
    }
}
