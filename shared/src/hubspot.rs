//! HubSpot's token endpoint: nothing else knows it.
//!
//! All parameters, the app's credentials included, go in the form body (HubSpot's OAuth API, dated versions).

mod response;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guard::hubs::Hub;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use url::form_urlencoded::Serializer;

pub use self::response::Grant;
use self::response::{EndpointReply, EndpointSuccess, TokenResponse, grant, judge, lost, parse};
use crate::clients::Http;
use crate::config::{self, HubOrigins};
use crate::error::{Error, chain};
use crate::store::Store;
use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::{AnswerLost, Corrupt, Gone, InvalidClient, Misconfigured, Revoked, Transient};
use crate::tokens::AppCredentials;
use crate::{cf_ray, correct_hub, retry_after};

/// The largest answer that is read; HubSpot's answers are far smaller.
const LARGEST_ANSWER: usize = 65_536;

/// HubSpot's token endpoint, with our app's credentials.
#[derive(Clone)]
pub struct HubSpot {
    http: Http,
    base: Url,
    hubs: HubOrigins,
    timeout: Duration,
    store: Store,
    credentials: Arc<Mutex<Option<AppCredentials>>>,
    failures: Arc<AtomicUsize>,
}

/// A request to the token endpoint, all but our credentials.
#[derive(Clone, Copy)]
struct EndpointRequest<'a> {
    path: &'a str,
    form: &'a [(&'a str, &'a str)],
    /// The hub to ask first, if it is known.
    hub: Option<Hub>,
}

impl HubSpot {
    /// A handle; nothing is called yet.
    pub fn new(http: Http, config: &config::HubSpotConfig, store: Store) -> Self {
        let mut base = config.api_url.clone();
        base.set_path(&format!("/oauth/{}/token", config.oauth_version));
        Self {
            http,
            base,
            hubs: config.hub_api_urls.clone(),
            timeout: config.token_timeout,
            store,
            credentials: Arc::default(),
            failures: Arc::default(),
        }
    }

    /// The client id of our app; an answer without one is not cached.
    pub async fn client_id(&self) -> Result<String, TokenError> {
        let credentials = self.credentials().await.inspect_err(log_refused_app)?;
        Ok(credentials.client_id)
    }

    /// Exchanges the code of a callback; with a PKCE verifier if the authorization request had a challenge.
    pub async fn exchange(&self, code: &str, redirect_uri: &str, verifier: Option<&str>) -> Result<Grant, TokenError> {
        let mut form = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri)];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        grant(&self.call(EndpointRequest { path: "", form: &form, hub: None }).await?)
    }

    /// Reads our credentials, if they are not known yet: the holder of a lease has to count the time that it takes.
    pub async fn load_credentials(&self) -> Result<(), TokenError> {
        self.credentials().await.map(drop).inspect_err(log_refused_app)
    }

    /// Buys new tokens for a refresh token, at the portal's hub if it is known.
    pub async fn refresh(&self, refresh_token: &SecretString, hub: Option<Hub>) -> Result<Grant, TokenError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        let request = EndpointRequest { path: "", form: &form, hub };
        let answer = self.call(request).await.and_then(|reply| grant(&reply));
        match answer.as_ref().map_err(|error| error.kind) {
            Ok(_) | Err(Revoked | InvalidClient) => self.reset_failures(),
            Err(Transient | AnswerLost | Misconfigured | Corrupt | Gone) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        answer
    }

    /// How many refreshes in a row have ended without tokens and without a clear word on the authorization or on our
    /// app. What AWS does not give beforehand ([`load_credentials`](Self::load_credentials)) says nothing about
    /// HubSpot.
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Resets the failure count.
    pub fn reset_failures(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Asks which portal and which scopes an access token is for, at the portal's hub if it is known.
    pub async fn introspect(
        &self,
        token: &SecretString,
        hub: Option<Hub>,
    ) -> Result<(Option<u64>, Option<Vec<String>>), TokenError> {
        let form = [("token", token.expose_secret()), ("token_type_hint", "access_token")];
        let reply = self.call(EndpointRequest { path: "/introspect", form: &form, hub }).await?;
        let answer: TokenResponse = parse(&reply.body)?;
        Ok((answer.hub_id(), answer.scopes()))
    }

    async fn credentials(&self) -> Result<AppCredentials, TokenError> {
        let cached = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match cached {
            Some(credentials) => Ok(credentials),
            None => self.read_credentials().await,
        }
    }

    async fn read_credentials(&self) -> Result<AppCredentials, TokenError> {
        let read = self.store.app_credentials().await.map_err(|error| {
            if let Error::Internal(cause) = error {
                return TokenError::of(InvalidClient, cause);
            }
            TokenError::transient(error.to_string())
        })?;
        let credentials = read.ok_or_else(|| TokenError::of(InvalidClient, "the app secret has no value yet"))?;
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.clone());
        Ok(credentials)
    }

    /// One call with our credentials.
    async fn call(&self, request: EndpointRequest<'_>) -> Result<EndpointSuccess, TokenError> {
        self.call_with_any(request).await.inspect_err(log_refused_app)
    }

    /// If our credentials are refused, they are read once more, and then the previous secret is tried: a rotation needs
    /// no deploy. All of it together takes the time-out of one call.
    async fn call_with_any(&self, request: EndpointRequest<'_>) -> Result<EndpointSuccess, TokenError> {
        let until = Instant::now() + self.timeout;
        let used = self.credentials().await?;
        let refused = match self.send(request, &used.client_id, &used.client_secret, until).await {
            Err(error) if error.kind == InvalidClient => error,
            other => return other,
        };
        let read = self.read_credentials().await?;
        if !read.same_as(&used) {
            match self.send(request, &read.client_id, &read.client_secret, until).await {
                Err(error) if error.kind == InvalidClient => {}
                other => return other,
            }
        }
        let Some(previous) = &read.previous_client_secret else { return Err(refused) };
        let answer = self.send(request, &read.client_id, previous, until).await;
        if !matches!(&answer, Err(error) if error.kind == InvalidClient) {
            // A rotation is complete once this stops being logged.
            tracing::info!(previous_app_secret_used = 1, "HubSpot accepted the previous client secret");
        }
        answer
    }

    /// Checks client credentials by introspecting a dummy token.
    ///
    /// # Errors
    /// HubSpot refuses them ([`InvalidClient`]), or does not answer. Whatever else it says of that token, it does not
    /// say it of them.
    pub async fn verify_credentials(&self, client_id: &str, client_secret: &SecretString) -> Result<(), TokenError> {
        let form = [("token", "none"), ("token_type_hint", "access_token")];
        let until = Instant::now() + self.timeout;
        let request = EndpointRequest { path: "/introspect", form: &form, hub: None };
        match self.send(request, client_id, client_secret, until).await {
            Err(error) if !matches!(error.kind, Revoked | Misconfigured) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn send(
        &self,
        request: EndpointRequest<'_>,
        client_id: &str,
        client_secret: &SecretString,
        until: Instant,
    ) -> Result<EndpointSuccess, TokenError> {
        let body = Serializer::new(String::new())
            .extend_pairs(request.form)
            .append_pair("client_id", client_id)
            .append_pair("client_secret", client_secret.expose_secret())
            .finish();
        let mut reply = self.post(self.url(request.path, request.hub), body.clone(), until).await?;
        // HubSpot has not acted: the portal lives in another hub, and its token endpoint too.
        let named_hub = reply.correct_hub;
        if named_hub.is_some() {
            reply = self.post(self.url(request.path, named_hub), body, until).await?;
        }
        if reply.status == 200 { Ok(EndpointSuccess { body: reply.body, named_hub }) } else { Err(judge(&reply)) }
    }

    /// The address of the token endpoint, or of a path below it, in a hub.
    fn url(&self, path: &str, hub: Option<Hub>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        match hub.and_then(|hub| self.hubs.get(hub)) {
            Some(origin) => config::at_origin(url, origin),
            None => url,
        }
    }

    async fn post(&self, url: Url, body: String, until: Instant) -> Result<EndpointReply, TokenError> {
        let request = self
            .http
            .client()
            .map_err(|error| TokenError::transient(error.to_string()))?
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .timeout(until.saturating_duration_since(Instant::now()))
            .body(body);
        let failed = |error: reqwest::Error| {
            let unsent = error.is_connect() || error.is_builder();
            let cause = chain(&error.without_url());
            if unsent { TokenError::transient(cause) } else { lost(cause) }
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let now = self.http.clock().now();
        let retry_after = header("retry-after").and_then(|value| retry_after::seconds(value, now));
        let cf_ray = header(cf_ray::HEADER).and_then(cf_ray::parse).map(str::to_owned);
        // One that is no text names no hub, whatever the body says.
        let named =
            response.headers().get(correct_hub::HEADER).map(|value| value.to_str().unwrap_or_default().to_owned());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(lost(format!("HTTP {status} with an answer that is too large")));
            }
            body.extend_from_slice(&chunk);
        }
        let retry_after = retry_after.and_then(|seconds| i64::try_from(seconds).ok());
        let correct_hub = correct_hub::named(status, named.as_deref(), &body);
        Ok(EndpointReply { status, retry_after, correct_hub, cf_ray, body })
    }
}

/// The one line about credentials of our app that do not work, wherever they were needed: somebody has to look.
fn log_refused_app(error: &TokenError) {
    if error.kind == InvalidClient {
        let cause = error.cause.as_str();
        tracing::error!(app_credentials_refused = 1, cause, "HubSpot rejected the app credentials");
    }
}
