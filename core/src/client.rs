//! The way out: to GRIP proxies, and to where keys are.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, redirect};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::error::{Error, ErrorKind, Result};

/// An HTTP client with our one TLS stack and crypto backend.
///
/// The proxy that an environment names for the way out (`http_proxy` and its like) is used only with `through_env_proxy`:
/// a Pushpin is inside, and what is sent to it carries its key.
pub(crate) fn client(over_tls: bool, through_env_proxy: bool) -> Result<Client> {
    let no_tls = |e| Error::new(ErrorKind::Io, format!("TLS cannot be set up: {e}")).with_source(e);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?;
    // The system's certificates only where they are needed: there are systems that have none.
    let tls = if over_tls {
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
    let builder = if through_env_proxy { Client::builder() } else { Client::builder().no_proxy() };
    builder
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(redirect::Policy::none())
        .connect_timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("evstream/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| Error::new(ErrorKind::Io, "the HTTP client cannot be set up").with_source(e))
}

/// How long connecting may take, and a request.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
