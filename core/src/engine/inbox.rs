//! How other threads reach a shard.

use std::{
    io,
    sync::{Arc, mpsc},
};

use super::{
    StreamGuard,
    entries::Which,
    framing::Framing,
    socket::Socket,
    watching::{Reader, SignalRef},
};
use crate::{
    log::{Channel, Watch},
    stream::{LastWords, OpenStream, Stream, Who},
    wakeups::Mailbox,
};

/// A queue of commands and of channels with news, with a wake-up that costs a system call only when the shard sleeps.
pub(crate) struct Inbox {
    mail: Mailbox<Mail>,
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
        guard: Option<StreamGuard>,
    },
    Watch {
        channels: Arc<[Arc<Channel>]>,
        signal_ref: SignalRef,
    },
    Unwatch {
        reader: Reader,
    },
    CloseStreams {
        who: Which,
        words: LastWords,
        timeout_ms: u64,
    },
    /// Asks which streams there are.
    List {
        who: Arc<Who>,
        found: mpsc::Sender<Vec<OpenStream>>,
    },
    Stop {
        timeout_ms: u64,
    },
    #[cfg(test)]
    Panic,
}

impl Inbox {
    pub(super) fn new(waker: mio::Waker) -> Self {
        Self { mail: Mailbox::default(), waker }
    }

    /// Leaves a command; false when the shard has ended, and then the command is dropped.
    pub(super) fn post(&self, command: Command) -> bool {
        self.send(command).is_ok()
    }

    /// Leaves a command; gives it back when the shard has ended.
    pub(super) fn send(&self, command: Command) -> Result<(), Command> {
        let mut mail = self.mail.lock();
        if mail.closed {
            return Err(command);
        }
        mail.commands.push(command);
        drop(mail);
        self.rouse();
        Ok(())
    }

    /// Says that the shard is about to sleep; false when there is mail, and then it must not.
    pub(super) fn fall_asleep(&self) -> bool {
        self.mail.fall_asleep(|mail| mail.commands.is_empty() && mail.woken.is_empty())
    }

    pub(super) fn awake(&self) {
        self.mail.awake();
    }

    /// Exchanges what lies in the inbox for `mail`, which is empty, so that no memory is allocated for it.
    pub(super) fn collect(&self, mail: &mut Mail) {
        std::mem::swap(&mut *self.mail.lock(), mail);
    }

    /// Takes no more mail; gives back the last.
    pub(super) fn close(&self) -> Mail {
        std::mem::replace(&mut *self.mail.lock(), Mail { closed: true, ..Mail::default() })
    }

    fn rouse(&self) {
        if self.mail.must_rouse()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a shard");
        }
    }
}

impl Watch for Inbox {
    fn wake(&self, token: usize) {
        self.mail.lock().woken.push(token);
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
    use std::{thread, time::Duration};

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
