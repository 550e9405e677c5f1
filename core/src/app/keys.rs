//! Fetching the keys that tokens are verified with, again and again.

use std::{
    future::poll_fn,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use reqwest::{Client, StatusCode};
use tokio::time::{Instant, sleep_until, timeout};

use super::App;
use crate::{
    client::client,
    error::{Error, ErrorKind, Result},
    stream::{Access, Hub, Jwt, KeySet, Request, decide},
};

impl App {
    /// Decides on a request by its token. The keys are fetched from now on, if they are to be.
    pub(crate) fn decide(&self, jwt: &Jwt, request: &Request<'_>, requested: &[String]) -> Access {
        self.fetch_keys(jwt);
        decide(self.hub(), jwt, request, requested, self.now())
    }

    /// Fetches the keys of a [`Jwt`] from now on, unless somebody does so in this process.
    pub(crate) fn fetch_keys(&self, jwt: &Jwt) {
        let Some(set) = jwt.key_set() else { return };
        if self.check_open().is_err() {
            return;
        }
        let Some(claimed) = set.claim() else { return };
        match self.runtime().handle() {
            Ok(runtime) => drop(runtime.spawn(keep(Arc::downgrade(set), claimed, self.hub().clone(), PACE))),
            Err(error) => tracing::warn!(%error, "the keys of tokens cannot be fetched"),
        }
    }
}

/// How often the address is asked, and how long it may take.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// After an answer that does not say for how long it is good.
    every: Duration,
    /// Not more often than that, whoever wants it, but for `first_pause`.
    at_most_every: Duration,
    /// And after an answer that is good for longer.
    at_least_every: Duration,
    /// After the first attempt that has failed; then longer, up to `at_most_every`.
    first_pause: Duration,
    /// For an answer to be whole.
    within: Duration,
}

const PACE: Pace = Pace {
    every: Duration::from_secs(600),
    at_most_every: Duration::from_secs(60),
    at_least_every: Duration::from_secs(3_600),
    first_pause: Duration::from_secs(1),
    within: Duration::from_secs(10),
};

/// An issuer's set has a few kilobytes.
const MAX_BYTES: usize = 65_536;

/// Fetches until nobody verifies with the keys any more.
async fn keep(set: Weak<KeySet>, claimed: Arc<()>, hub: Arc<Hub>, pace: Pace) {
    let mut pause = pace.first_pause;
    let mut is_failing = false;
    while let Some(used) = set.upgrade() {
        let (began, url) = (Instant::now(), used.url());
        let wait = match fetch(&used, pace.within).await {
            Ok(Fetched { keys, fresh_for }) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!(url, keys, "the keys of tokens are fetched again");
                }
                pause = pace.first_pause;
                fresh_for.map_or(pace.every, |time| time.clamp(pace.at_most_every, pace.at_least_every))
            }
            Err(error) => {
                hub.counters.count_key_failure();
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(url, %error, "the keys of tokens cannot be fetched; what was fetched last holds");
                }
                let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                pause = (pause * 2).min(pace.at_most_every);
                jittered
            }
        };
        drop(used);
        let _ = timeout(wait, Wanted { set: &set, not_before: began + pace.at_most_every }.wait()).await;
    }
    // Held until here, while this runs.
    drop(claimed);
}

/// Waiting for somebody who wants a key that is not there, or for the last to let go of the set.
struct Wanted<'a> {
    set: &'a Weak<KeySet>,
    not_before: Instant,
}

impl Wanted<'_> {
    async fn wait(self) {
        sleep_until(self.not_before).await;
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.set.upgrade().map_or(Poll::Ready(()), |set| set.poll_wanted(context))
    }
}

struct Fetched {
    /// How many there are.
    keys: usize,
    /// As the issuer says.
    fresh_for: Option<Duration>,
}

/// Fetches once.
async fn fetch(set: &KeySet, within: Duration) -> Result<Fetched> {
    let over_tls = set.url().get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    // Anew each time: it is seldom, and certificates may have changed.
    let client = client(over_tls, over_tls)?;
    let answer = timeout(within, ask(&client, set.url())).await;
    let (body, fresh_for) = answer.map_err(|_| failed("there was no answer in time"))??;
    Ok(Fetched { keys: set.learn(&body)?, fresh_for })
}

async fn ask(client: &Client, url: &str) -> Result<(Vec<u8>, Option<Duration>)> {
    let unreachable = |error: reqwest::Error| failed("it cannot be reached").with_source(error.without_url());
    let mut response =
        client.get(url).header("accept", "application/json").send().await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(failed(&format!("it answers {}", response.status())));
    }
    let lines = response.headers().get_all("cache-control").iter();
    let fresh_for = lines.filter_map(|line| line.to_str().ok()).find_map(max_age);
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > MAX_BYTES {
            return Err(failed(&format!("its answer has more than {MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok((body, fresh_for))
}

/// For how long an answer is good, by its `Cache-Control`. 0 is what frameworks write everywhere, and says nothing about keys.
fn max_age(cache_control: &str) -> Option<Duration> {
    let seconds = cache_control.split(',').find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("max-age")
            .then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    });
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}

fn failed(why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the address of the keys: {why}"))
}

#[cfg(test)]
mod tests;
