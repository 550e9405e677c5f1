//! Fetching the keys that tokens are verified with, again and again.

use std::{future::poll_fn, sync::Arc, time::Duration};

use reqwest::{Client, StatusCode};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::App;
use crate::{
    client::{REQUEST_TIMEOUT, client},
    error::{Error, ErrorKind, Result},
    stream::{Access, Jwt, KeySet, Request, decide},
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
            Ok(runtime) => drop(runtime.spawn(keep(set.clone(), claimed, PACE))),
            Err(error) => tracing::warn!(%error, "the keys of tokens cannot be fetched"),
        }
    }
}

/// How often it is asked.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// After an answer.
    every: Duration,
    /// Not more often than that, whoever wants it.
    at_most_every: Duration,
    /// After the first attempt that has failed; then longer, up to `at_most_every`.
    first_pause: Duration,
}

const PACE: Pace = Pace {
    every: Duration::from_secs(600),
    at_most_every: Duration::from_secs(60),
    first_pause: Duration::from_secs(1),
};

/// An issuer's set has a few kilobytes.
const MAX_BYTES: usize = 65_536;

async fn keep(set: Arc<KeySet>, claimed: Arc<()>, pace: Pace) {
    let url = set.url();
    let mut pause = pace.first_pause;
    let mut is_failing = false;
    loop {
        let began = Instant::now();
        let wait = match fetch(&set).await {
            Ok(keys) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!(url, keys, "the keys of tokens are fetched again");
                }
                pause = pace.first_pause;
                pace.every
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(url, %error, "the keys of tokens cannot be fetched; what was fetched last holds");
                }
                let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                pause = (pause * 2).min(pace.at_most_every);
                jittered
            }
        };
        let wanted = async {
            sleep_until(began + pace.at_most_every).await;
            poll_fn(|context| set.poll_wanted(context)).await;
        };
        let _ = timeout(wait, wanted).await;
        // Held until here, while this runs.
        let _ = &claimed;
    }
}

/// Fetches once; says how many keys there are.
async fn fetch(set: &KeySet) -> Result<usize> {
    let over_tls = set.url().get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    // Anew each time: it is seldom, and certificates may have changed.
    let client = client(over_tls, over_tls)?;
    let deadline = Instant::now() + 2 * REQUEST_TIMEOUT;
    let answer = timeout_at(deadline, ask(&client, set.url())).await;
    set.learn(&answer.map_err(|_| failed("there was no answer in time"))??)
}

async fn ask(client: &Client, url: &str) -> Result<Vec<u8>> {
    let unreachable = |error: reqwest::Error| failed("it cannot be reached").with_source(error.without_url());
    let mut response =
        client.get(url).header("accept", "application/json").send().await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(failed(&format!("it answers {}", response.status())));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > MAX_BYTES {
            return Err(failed(&format!("its answer has more than {MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn failed(why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the address of the keys: {why}"))
}

#[cfg(test)]
mod tests;
