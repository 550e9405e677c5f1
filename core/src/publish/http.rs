//! The task that carries a queue's events to its proxy.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use reqwest::{
    Client,
    header::{AUTHORIZATION, CONTENT_TYPE},
    redirect,
};
use rustls_platform_verifier::BuilderVerifierExt;

use super::queue::{Pending, Queue, too_late};
use crate::{
    error::{Error, ErrorKind, Result},
    grip::{Authorization, Batch, Proxy},
};

/// An HTTP client with our one TLS stack and crypto backend.
pub(super) fn client(proxies: &[Proxy]) -> Result<Client> {
    let no_tls = |e| Error::new(ErrorKind::Io, format!("TLS cannot be set up: {e}")).with_source(e);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?;
    // The system's certificates only where they are needed: there are systems that have none.
    let tls = if proxies.iter().any(|proxy| proxy.publish_url().starts_with("https:")) {
        tls.with_platform_verifier().map_err(|e| {
            let text = format!(
                "TLS certificates cannot be verified: {e}; install the system's (ca-certificates), or name a file in \
                SSL_CERT_FILE"
            );
            Error::new(ErrorKind::Io, text).with_source(e)
        })?
    } else {
        tls.with_root_certificates(rustls::RootCertStore::empty())
    };
    Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(redirect::Policy::none())
        .connect_timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("evstream/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| Error::new(ErrorKind::Io, "the HTTP client cannot be set up").with_source(e))
}

/// Delivers what comes into the queue, one request at a time so that the order is kept, until the queue is closed.
pub(super) async fn run(queue: Arc<Queue>, client: Client, proxy: Proxy) {
    let mut link = Link { client, url: proxy.publish_url(), proxy, authorization: None };
    while let Some(taken) = queue.take().await {
        deliver(&queue, &mut link, taken).await;
    }
}

/// Tries until the events are delivered, refused, or too late.
async fn deliver(queue: &Queue, link: &mut Link, mut taken: Vec<Pending>) {
    let mut pause = FIRST_PAUSE;
    let mut body = body_of(&taken);
    while let Some(deadline) = taken.iter().map(|pending| pending.deadline).max() {
        let error = match link.publish(queue, &body, deadline).await {
            Ok(()) => return queue.settle_taken(&taken, &Ok(())),
            Err(error) => error,
        };
        if !error.is_retryable() && taken.len() > 1 {
            // A proxy takes all items of a request or none: find out which it does not like.
            tracing::debug!(proxy = queue.proxy(), %error, "a batch was refused, sending its items one by one");
            for pending in taken {
                Box::pin(deliver(queue, link, vec![pending])).await;
            }
            return;
        }
        if !error.is_retryable() {
            tracing::warn!(proxy = queue.proxy(), %error, "an event was refused");
            return queue.settle_taken(&taken, &Err(error));
        }
        let jitter = Duration::from_millis(fastrand::u64(0..=pause.as_millis() as u64 / 2));
        let next = Instant::now() + pause / 2 + jitter;
        let closed = queue.is_closed();
        let late: Vec<Pending> = taken.extract_if(.., |pending| closed || pending.deadline <= next).collect();
        if late.is_empty() {
            tracing::debug!(proxy = queue.proxy(), %error, "trying again");
        } else {
            tracing::warn!(proxy = queue.proxy(), events = late.len(), %error, "events could not be delivered");
            queue.settle_taken(&late, &Err(too_late(&error)));
            body = body_of(&taken);
        }
        queue.expire(next, &error);
        if !taken.is_empty() {
            queue.pause(next).await;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

fn body_of(taken: &[Pending]) -> bytes::Bytes {
    let mut batch = Batch::new();
    for pending in taken {
        let fits = pending.add_to(&mut batch);
        debug_assert!(fits, "what was taken together fits together");
    }
    batch.into_body().into()
}

/// The way to a proxy, with the authorization that is valid for now.
struct Link {
    client: Client,
    url: String,
    proxy: Proxy,
    authorization: Option<Authorization>,
}

impl Link {
    /// Sends events, and before them what makes the proxy repair that it has missed others.
    async fn publish(&mut self, queue: &Queue, body: &bytes::Bytes, deadline: Instant) -> Result<()> {
        while let Some((hints, channels)) = queue.take_hints() {
            match self.post(hints.into_body().into(), deadline).await {
                Err(error) if error.is_retryable() => {
                    queue.give_back_hints(channels);
                    return Err(error);
                }
                Err(error) => tracing::debug!(proxy = queue.proxy(), %error, "hints were refused"),
                Ok(()) => {}
            }
        }
        self.post(body.clone(), deadline).await
    }

    async fn post(&mut self, body: bytes::Bytes, deadline: Instant) -> Result<()> {
        let timeout = deadline.saturating_duration_since(Instant::now()).clamp(MIN_TIMEOUT, REQUEST_TIMEOUT);
        let mut request =
            self.client.post(&self.url).timeout(timeout).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = self.authorization()? {
            request = request.header(AUTHORIZATION, authorization);
        }
        let unavailable = |error: reqwest::Error| {
            let error = error.without_url(); // whose query may hold a secret
            let text = format!("{} could not be reached: {}", self.proxy, cause(&error));
            Error::new(ErrorKind::ProxyUnavailable, text).with_source(error)
        };
        let response = request.body(body).send().await.map_err(unavailable)?;
        let status = response.status();
        if status.is_success() {
            // Read to its end, so that the connection can be used again.
            let _ = response.bytes().await;
            return Ok(());
        }
        let may_pass = status.is_server_error() || status.as_u16() == 429 || status.as_u16() == 408;
        let kind = if may_pass { ErrorKind::ProxyUnavailable } else { ErrorKind::ProxyRejected };
        let answer = response.text().await.unwrap_or_default();
        let answer: String = answer.trim().chars().take(MAX_ANSWER_CHARS).collect();
        Err(Error::new(kind, format!("{} answered {status}: {answer}", self.proxy)))
    }

    fn authorization(&mut self) -> Result<Option<&str>> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_s = since_1970.as_secs();
        let is_due = match &self.authorization {
            None => true,
            Some(authorization) => authorization.renew_at_s().is_some_and(|renew_at_s| renew_at_s <= now_s),
        };
        if is_due {
            self.authorization = self.proxy.authorization(now_s)?;
        }
        Ok(self.authorization.as_ref().map(Authorization::value))
    }
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

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const MIN_TIMEOUT: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);
const MAX_ANSWER_CHARS: usize = 200;
