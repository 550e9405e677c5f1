//! Whether the process can serve, and whether it is worth keeping.

use std::{fs::File, time::Duration};

use serde::Serialize;

use super::App;

/// What [`Events::health`](crate::Events::health) finds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether new clients should be sent here. It fails at once: while the events close or are closed, in a forked child, when the
    /// process has no descriptors left, while nothing is known of the journal yet, when a thread has died, and with `grip_required`
    /// when a GRIP proxy could not be reached for 10 seconds.
    pub ready: bool,
    /// Whether the process can still recover by itself. It fails only when a thread that writes streams has died: then the process
    /// should be started anew.
    pub live: bool,
    /// What is wrong, in words for people; also what does not keep clients away, such as a journal that cannot be reached.
    pub problems: Vec<String>,
}

impl App {
    /// Looks at everything that is started, and waits for nothing.
    pub(crate) fn health(&self) -> Health {
        let mut health = Health { ready: true, live: true, problems: Vec::new() };
        if self.is_forked() {
            health.not_ready("the events belong to the process that this one was forked from");
            return health;
        }
        if self.check_open().is_err() {
            health.not_ready("the events are closed, or about to be");
        } else if self.started_engine().is_some_and(|engine| !engine.is_alive()) {
            health.not_ready("a thread that writes streams has died");
            health.live = false;
        }
        // Whatever opens one next would fail, such as a connection to be accepted.
        if let Err(error) = File::open("/dev/null") {
            health.not_ready(format!("no file can be opened: {error}"));
        }
        if let Some(follower) = self.follower.get() {
            if self.hub().log().is_waiting() {
                health.not_ready("nothing is known of the journal yet");
            } else if !follower.is_connected() {
                health.problems.push("the journal cannot be reached".to_owned());
            }
        }
        for proxy in self.proxy_figures() {
            let Some(failing_for) = proxy.failing_for.filter(|&time| time > FOR_PROXY) else { continue };
            let text = format!("{} could not be reached for {} s", proxy.proxy, failing_for.as_secs());
            // Where streams are served directly, too, they are better than none.
            if self.hub().config().grip_required {
                health.not_ready(text);
            } else {
                health.problems.push(text);
            }
        }
        health
    }
}

impl Health {
    /// `{"ready":true,"live":true,"problems":[]}`
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it is made of booleans and texts")
    }

    fn not_ready(&mut self, text: impl Into<String>) {
        self.ready = false;
        self.problems.push(text.into());
    }
}

/// How long a proxy may be away: as long as it takes to restart one.
const FOR_PROXY: Duration = Duration::from_secs(10);
