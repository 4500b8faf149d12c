//! The HTTP clients, built once at start: one TLS stack (rustls with ring) and compiled-in roots for all.
//!
//! AWS-LC, the default of both, gathers entropy from CPU jitter at first use, and the system's roots are read from
//! disk: both cost more at a cold start than everything else together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::redirect::Policy;

use crate::clock::Clock;
use crate::error::Error;

/// A connection to HubSpot that cannot be made in this time is not made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// After this much wall time without use, a frozen sandbox's connections may be dead without it knowing.
const TRUSTED_IDLE_MILLIS: i64 = 5_000;

/// The AWS configuration of this process, over our own connector.
pub async fn aws_from_environment() -> Result<SdkConfig, Error> {
    Ok(aws()?.load().await)
}

/// What [`aws_from_environment`] loads, for who has more to say about it (a profile, a region).
pub fn aws() -> Result<ConfigLoader, Error> {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    let context = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(pem))
        .build()
        .map_err(Error::internal)?;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    // A thawed sandbox's connection may be dead: without these a call on it would never end.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    Ok(aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts))
}

/// The client for HubSpot: no redirects, no cookies, no proxy, no retries and no decompression of its own.
#[derive(Clone)]
pub struct Http {
    pool: Arc<Mutex<Pool>>,
    clock: Clock,
}

struct Pool {
    client: reqwest::Client,
    last_used_millis: i64,
}

impl Http {
    /// A client that takes time from `clock`.
    pub fn new(clock: Clock) -> Result<Self, Error> {
        let pool = Pool { client: client()?, last_used_millis: clock.now_millis() };
        Ok(Self { pool: Arc::new(Mutex::new(pool)), clock })
    }

    /// The client to send the next request with.
    ///
    /// Invariant: no request meets a connection that was idle for more than 5 s of wall time. A frozen sandbox does
    /// not see that its connections have died, and a request that is lost on a dead one may not be repeated.
    pub fn client(&self) -> Result<reqwest::Client, Error> {
        let now = self.clock.now_millis();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if now - pool.last_used_millis > TRUSTED_IDLE_MILLIS {
            pool.client = client()?;
        }
        pool.last_used_millis = now;
        Ok(pool.client.clone())
    }
}

fn client() -> Result<reqwest::Client, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .build()
        .map_err(|error| Error::internal(error.without_url()))
}
