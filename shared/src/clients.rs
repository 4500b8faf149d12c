//! The HTTP clients, built once at start: one TLS stack (rustls with ring) and compiled-in roots for all.
//!
//! AWS-LC, the default of both, gathers entropy from CPU jitter at first use, and the system's roots are read from
//! disk: both cost more at a cold start than everything else together.

mod aws;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_dynamodb::config::{
    Credentials, HttpClient, IdentityCache, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use reqwest::redirect::Policy;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tokio::time::timeout;
use url::Url;

pub(crate) use self::aws::PlainHeaders;
use self::aws::{Endpoints, Sender, dynamodb_endpoint, secrets_manager_endpoint};
use crate::clock::Clock;
use crate::config::Reader;
use crate::error::{Error, chain};

/// A connection to HubSpot that cannot be made in this time is not made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3 * SLOWER as u64);

/// Connect timeout for AWS (the SDK retries).
const AWS_CONNECT_TIMEOUT: Duration = Duration::from_secs(2 * SLOWER as u64);

/// Valgrind, by which the bench counts instructions, takes fifty times as long: with the same limits the count would depend
/// on how fast the machine is.
pub const SLOWER: u32 = if cfg!(feature = "bench") { 200 } else { 1 };

/// All connections of the initialisation together may take this long. Lambda bills it, and a customer may wait for it.
const OPENING_TIMEOUT: Duration = Duration::from_millis(300 * SLOWER as u64);

/// After this much wall time without use, a frozen sandbox's connections may be dead without it knowing.
const TRUSTED_IDLE_MILLIS: i64 = 5_000 * SLOWER as i64;

/// The name of this product in every request. The edge in front of HubSpot may refuse a request without one; CloudTrail
/// shows it as the caller.
const USER_AGENT: &str = concat!("hubspot-automations/", env!("CARGO_PKG_VERSION"));

/// TLS sessions that are remembered: eight for each of four servers, of which there are DynamoDB, Secrets Manager and
/// HubSpot.
const SESSIONS: usize = 32;

/// AWS's SDK as a function uses it.
pub struct Aws {
    config: SdkConfig,
    sender: Sender,
}

impl Aws {
    /// The AWS configuration of a function. Lambda hands its region and its role's credentials over in the environment,
    /// and nowhere else: what would look for them in files and at other services stays out of the binary.
    pub fn from_environment(clock: &Clock) -> Result<Self, Error> {
        let mut reader = Reader::environment();
        let (key_id, key) = (reader.required("AWS_ACCESS_KEY_ID"), reader.required("AWS_SECRET_ACCESS_KEY"));
        let credentials = Credentials::new(key_id, key, reader.optional("AWS_SESSION_TOKEN"), None, "environment");
        let region = Region::new(reader.required("AWS_REGION"));
        let (region, credentials) = reader.finish((region, credentials)).map_err(Error::internal)?;
        let sender = Sender::new(client(AWS_CONNECT_TIMEOUT)?, clock.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // They are in memory already, and last as long as the process.
            .identity_cache(IdentityCache::no_cache())
            .service_config(Endpoints)
            // Answers are small, and an attempt has its time-out.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts())
            .http_client(sender.clone());
        Ok(Self { config: config.build(), sender })
    }

    /// The configuration of the SDK's clients.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    async fn open(&self, service: &'static str, endpoint: Option<Url>) {
        let Some(endpoint) = endpoint else { return };
        if let Err(error) = self.sender.open(endpoint).await {
            log_unopened(service, error);
        }
    }
}

/// Opens the connections that a function's first invocation needs: to DynamoDB, Secrets Manager and HubSpot.
///
/// Lambda gives the initialisation a whole core whatever the memory size, and an invocation a share of one: a TLS
/// handshake takes many times as long there. The requests carry no credentials. Whatever is not open in time is opened
/// when it is needed.
pub async fn open_connections(aws: &Aws, http: &Http, hubspot: &Url) {
    let dynamodb = async { aws.open("DynamoDB", dynamodb_endpoint(&aws.config).await).await };
    let secrets_manager = async { aws.open("Secrets Manager", secrets_manager_endpoint(&aws.config).await).await };
    let all = async { tokio::join!(dynamodb, secrets_manager, http.open(hubspot)) };
    if timeout(OPENING_TIMEOUT, all).await.is_err() {
        tracing::debug!("connections were not opened in time");
    }
}

fn log_unopened(service: &'static str, error: reqwest::Error) {
    tracing::debug!(service, cause = chain(&error.without_url()), "connection was not opened");
}

/// The AWS configuration before it is loaded, for callers that set a profile, region or credentials.
pub fn aws() -> Result<ConfigLoader, Error> {
    Ok(aws_config::defaults(BehaviorVersion::latest()).http_client(aws_http()?).timeout_config(timeouts()))
}

/// A thawed sandbox's connection may be dead: without these a call on it would never end.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(3) * SLOWER)
        .operation_timeout(Duration::from_secs(8) * SLOWER)
        .build()
}

/// The HTTP client of AWS's SDK.
pub fn aws_http() -> Result<impl HttpClient + 'static, Error> {
    Ok(Sender::new(client(AWS_CONNECT_TIMEOUT)?, Clock::default()))
}

/// The client for HubSpot: no redirects, no cookies, no proxy, no retries and no decompression of its own.
#[derive(Clone)]
pub struct Http {
    pool: Arc<Mutex<Pool>>,
    clock: Clock,
}

struct Pool {
    client: reqwest::Client,
    /// Keeps no connection; made when it is first needed.
    single_use: Option<reqwest::Client>,
    last_used_millis: i64,
}

impl Http {
    /// A client that takes time from `clock`.
    pub fn new(clock: Clock) -> Result<Self, Error> {
        let client = client(CONNECT_TIMEOUT)?;
        let pool = Pool { client, single_use: None, last_used_millis: clock.now_millis() };
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
            pool.client = client(CONNECT_TIMEOUT)?;
        }
        pool.last_used_millis = now;
        Ok(pool.client.clone())
    }

    /// Opens a connection for later requests, by a request without a token.
    async fn open(&self, origin: &Url) {
        let Ok(client) = self.client() else { return };
        if let Err(error) = client.head(origin.clone()).send().await {
            log_unopened("HubSpot", error);
        }
    }

    /// A client whose connections serve one request each.
    ///
    /// For a body whose meaning the method does not define: a server that does not read it takes it for the beginning
    /// of the next request on its connection, which may carry another account's token.
    pub fn single_use_client(&self) -> Result<reqwest::Client, Error> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &pool.single_use {
            return Ok(client.clone());
        }
        let client = build(builder(CONNECT_TIMEOUT)?.pool_max_idle_per_host(0))?;
        pool.single_use = Some(client.clone());
        Ok(client)
    }

    /// The clock that it takes time from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

fn client(connect_timeout: Duration) -> Result<reqwest::Client, Error> {
    build(builder(connect_timeout)?)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|error| Error::internal(error.without_url()))
}

fn builder(connect_timeout: Duration) -> Result<reqwest::ClientBuilder, Error> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .user_agent(USER_AGENT)
        .connect_timeout(connect_timeout)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only();
    Ok(builder)
}

/// The TLS of all clients of this process, with the sessions that it remembers: the next connection to the same server
/// resumes one, and verifies no certificate anew (RFC 8446, section 2.2). Early data, which can be replayed, stays off.
fn tls() -> Result<ClientConfig, Error> {
    static TLS: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = bench_root() {
        let root = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(Error::internal)?;
        roots.add(root).map_err(Error::internal)?;
    }
    let mut provider = rustls::crypto::ring::default_provider();
    // AES-128 first: its key schedule is of SHA-256, for which processors have instructions. The sort is stable: the
    // rest keeps its order.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut tls = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(TLS.get_or_init(|| tls).clone())
}

/// One more root, as PEM, where the bench emulates AWS and HubSpot over TLS. Deployed builds do not have it.
#[cfg(feature = "bench")]
fn bench_root() -> Option<String> {
    std::fs::read_to_string(Reader::environment().optional("BENCH_ROOT_CERTIFICATE")?).ok()
}

#[cfg(not(feature = "bench"))]
const fn bench_root() -> Option<String> {
    None
}
