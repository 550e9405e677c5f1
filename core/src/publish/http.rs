//! The task that carries a queue's events to its proxy.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use reqwest::{
    Client,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};

use super::queue::{Queue, Taken};
use crate::{
    client::REQUEST_TIMEOUT,
    error::{Error, ErrorKind, Result},
    grip::{Authorization, Proxy},
};

/// Delivers what comes into the queue until it is closed. A panic costs no more than the events under way.
pub(super) async fn run(queue: Arc<Queue>, client: Client, proxy: Proxy) {
    loop {
        let link = Link::new(client.clone(), proxy.clone());
        match tokio::spawn(deliver_all(queue.clone(), link)).await {
            Err(error) if error.is_panic() => {
                tracing::error!(proxy = queue.proxy(), "publishing to a proxy has panicked; it goes on");
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            _ => return,
        }
    }
}

/// Delivers one request at a time, so that the order is kept.
async fn deliver_all(queue: Arc<Queue>, mut link: Link) {
    while let Some(taken) = queue.take().await {
        if taken.len() == 0 {
            hint(&queue, &mut link).await;
        } else {
            deliver(&queue, &mut link, taken).await;
        }
    }
}

/// Tells the proxy what it has missed; tries until there are events, before which it is told.
async fn hint(queue: &Queue, link: &mut Link) {
    let mut pause = FIRST_PAUSE;
    while let Err(Failure::Passing(error) | Failure::Refused(error) | Failure::Item(error)) =
        link.hint(queue, Instant::now() + REQUEST_TIMEOUT).await
    {
        tracing::debug!(proxy = queue.proxy(), %error, "hints could not be sent");
        queue.pause(Instant::now() + pause).await;
        if queue.is_closed() || queue.has_waiting() {
            return;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Tries until the events are delivered, refused, or too late.
async fn deliver(queue: &Queue, link: &mut Link, mut taken: Taken) {
    let mut pause = FIRST_PAUSE;
    let mut body = taken.body();
    while let Some(deadline) = taken.deadline() {
        let error = match link.publish(queue, &body, deadline).await {
            Ok(()) => {
                link.refused_pause = FIRST_PAUSE;
                return taken.settle(&Ok(()));
            }
            Err(Failure::Item(error)) if taken.len() > 1 => {
                // A proxy takes all items of a request or none: find out which it does not like.
                tracing::debug!(proxy = queue.proxy(), %error, "a batch was refused, sending its items one by one");
                for single in taken.split() {
                    Box::pin(deliver(queue, link, single)).await;
                }
                return;
            }
            Err(Failure::Item(error)) => {
                tracing::warn!(proxy = queue.proxy(), %error, "an event was refused");
                return taken.settle(&Err(error));
            }
            Err(Failure::Refused(error)) => {
                tracing::warn!(proxy = queue.proxy(), events = taken.len(), %error, "events were refused");
                taken.settle(&Err(error));
                // The next request will fare no better until somebody has mended what is wrong.
                queue.pause(Instant::now() + link.refused_pause).await;
                link.refused_pause = (link.refused_pause * 2).min(MAX_PAUSE);
                return;
            }
            Err(Failure::Passing(error)) => error,
        };
        let jitter = Duration::from_millis(fastrand::u64(0..=pause.as_millis() as u64 / 2));
        let next = Instant::now() + pause / 2 + jitter;
        let late = taken.expire(next, &error);
        if late == 0 {
            tracing::debug!(proxy = queue.proxy(), %error, "trying again");
        } else {
            tracing::warn!(proxy = queue.proxy(), events = late, %error, "events could not be delivered");
            body = taken.body();
        }
        queue.expire(next, &error);
        if taken.deadline().is_some() {
            queue.pause(next).await;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Why a request has failed, by what is to be done.
enum Failure {
    /// It may succeed when it is tried again.
    Passing(Error),
    /// The proxy cannot take what one of the items is.
    Item(Error),
    /// The proxy takes nothing from us, as with a wrong key or path.
    Refused(Error),
}

/// The way to a proxy, with the authorization that is valid for now.
struct Link {
    client: Client,
    url: String,
    proxy: Proxy,
    authorization: Option<(HeaderValue, Option<u64>)>,
    /// How long to wait after the next request that is refused as a whole.
    refused_pause: Duration,
}

impl Link {
    fn new(client: Client, proxy: Proxy) -> Self {
        Self { client, url: proxy.publish_url(), proxy, authorization: None, refused_pause: FIRST_PAUSE }
    }

    /// Sends events, and before them what makes the proxy repair that it has missed others.
    async fn publish(&mut self, queue: &Queue, body: &Bytes, deadline: Instant) -> Result<(), Failure> {
        self.hint(queue, deadline).await?;
        self.post_of(queue, body.clone(), deadline).await
    }

    async fn hint(&mut self, queue: &Queue, deadline: Instant) -> Result<(), Failure> {
        while let Some((hints, channels)) = queue.take_hints() {
            match self.post_of(queue, hints.into_body().into(), deadline).await {
                Ok(()) => {}
                Err(Failure::Item(error)) => {
                    tracing::debug!(proxy = queue.proxy(), %error, "hints were refused");
                }
                Err(failure) => {
                    queue.give_back_hints(channels);
                    return Err(failure);
                }
            }
            queue.note_hinted();
        }
        Ok(())
    }

    async fn post_of(&mut self, queue: &Queue, body: Bytes, deadline: Instant) -> Result<(), Failure> {
        let result = self.post(body, deadline).await;
        // One that refuses an item is there.
        queue.note_reached(matches!(result, Ok(()) | Err(Failure::Item(_))));
        result
    }

    async fn post(&mut self, body: Bytes, deadline: Instant) -> Result<(), Failure> {
        let timeout = deadline.saturating_duration_since(Instant::now()).clamp(MIN_TIMEOUT, REQUEST_TIMEOUT);
        let mut request =
            self.client.post(&self.url).timeout(timeout).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = self.authorization().map_err(Failure::Refused)? {
            request = request.header(AUTHORIZATION, authorization);
        }
        let unavailable = |error: reqwest::Error| {
            let error = error.without_url(); // whose query may hold a secret
            let text = format!("{} could not be reached: {}", self.proxy, cause(&error));
            Failure::Passing(Error::new(ErrorKind::ProxyUnavailable, text).with_source(error))
        };
        let response = request.body(body).send().await.map_err(unavailable)?;
        let status = response.status();
        if status.is_success() {
            // Read to its end, so that the connection can be used again.
            let _ = response.bytes().await;
            return Ok(());
        }
        let answer = response.text().await.unwrap_or_default();
        let answer: String = answer.trim().chars().take(MAX_ANSWER_CHARS).collect();
        let error = |kind| Error::new(kind, format!("{} answered {status}: {answer}", self.proxy));
        Err(match status.as_u16() {
            408 | 429 | 500..=599 => Failure::Passing(error(ErrorKind::ProxyUnavailable)),
            400 | 413 => Failure::Item(error(ErrorKind::ProxyRejected)),
            _ => Failure::Refused(error(ErrorKind::ProxyRejected)),
        })
    }

    fn authorization(&mut self) -> Result<Option<HeaderValue>> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_s = since_1970.as_secs();
        let is_valid = |renew_at_s: &Option<u64>| renew_at_s.is_none_or(|renew_at_s| renew_at_s > now_s);
        if !self.authorization.as_ref().is_some_and(|(_, renew_at_s)| is_valid(renew_at_s)) {
            let made = self.proxy.authorization(now_s)?;
            self.authorization = made.as_ref().map(sensitive).transpose()?;
        }
        Ok(self.authorization.as_ref().map(|(value, _)| value.clone()))
    }
}

/// A value that nothing on the way shows, such as a log of HTTP, with the time at which it has to be made again.
fn sensitive(authorization: &Authorization) -> Result<(HeaderValue, Option<u64>)> {
    let mut value = HeaderValue::from_str(authorization.value()).map_err(|_| {
        Error::new(ErrorKind::InvalidConfig, "the authorization of a GRIP proxy cannot be sent in a header")
    })?;
    value.set_sensitive(true);
    Ok((value, authorization.renew_at_s()))
}

/// What was wrong at the bottom of it, and what helps where that is not plain.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // What an `io::Error` wraps is not its source.
    while let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        cause = inner;
    }
    match cause.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            "the issuer of its TLS certificate is not trusted; the file that SSL_CERT_FILE names, or the system's store, \
            must have it"
                .to_owned()
        }
        _ => cause.to_string(),
    }
}

const MIN_TIMEOUT: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);
const MAX_ANSWER_CHARS: usize = 200;
