//! Sends a call to HubSpot and reads the answer, within bounds.

use std::time::Duration;

use guard::hubs::Hub;
use guard::request::Call;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use shared::access::UsableTokens;
use shared::config::at_origin;
use shared::error::{Error, LostRequest, RequestOutcome, chain};
use shared::integration::Integration;

use crate::app::App;
use crate::best_effort::LEAST_TIME;
use crate::body_probe::BodyProbe;
use crate::newest::NewestRead;
use crate::portal;
use crate::reply::{Reply, returned_headers};
use crate::retry::{self, AttemptResult, RetryState};

/// Reading an answer stops here: our own answer could not carry more.
const LONGEST_BODY: usize = 5_900 * 1024;

/// The request, its integration and its deadline.
pub(crate) struct Delivery<'a> {
    pub(crate) app: &'a App,
    pub(crate) call: &'a Call,
    pub(crate) integration: &'a Integration,
    /// In milliseconds since the epoch.
    pub(crate) deadline: i64,
}

/// The attempts of one execution.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) made: u32,
    /// Time spent waiting between them.
    pub(crate) waited: Duration,
    /// True if HubSpot may have acted on one of them, or on one of an earlier owner of the same key.
    pub(crate) may_have_reached_hubspot: bool,
    /// Milliseconds spent with HubSpot.
    pub(crate) millis: i64,
    /// When the integration was last known to be the newest.
    pub(crate) newest: NewestRead,
    /// The hub that HubSpot has named during this execution.
    pub(crate) moved_to: Option<Hub>,
}

impl Attempts {
    /// Sends a call with these tokens until it is answered, or may not be sent again.
    pub(crate) async fn send(&mut self, delivery: &Delivery<'_>, tokens: &UsableTokens) -> Result<Reply, Error> {
        let Delivery { app, call, integration, deadline } = *delivery;
        let headers = headers(call, tokens)?;
        loop {
            if app.clock.remaining(deadline).is_zero() {
                return Err(Error::unavailable(1, "the deadline has passed before an attempt"));
            }
            self.newest.confirm(app, integration, deadline).await?;
            let end = self.attempt(delivery, tokens.named_hub, headers.clone()).await;
            let result = self.result(&end);
            let pause = retry::next(self.state(delivery), result);
            let recording = delivery.record(end.as_ref().ok(), result, pause);
            let Some(pause) = pause else {
                recording.await;
                return end.map_err(|error| error.into_error(self.outcome(), call));
            };
            self.waited = self.waited.saturating_add(pause);
            tokio::join!(app.clock.sleep(pause), recording);
        }
    }

    /// Makes one attempt, and counts it.
    async fn attempt(
        &mut self,
        delivery: &Delivery<'_>,
        named_hub: Option<Hub>,
        headers: HeaderMap,
    ) -> Result<Reply, SendError> {
        let clock = &delivery.app.clock;
        let started_at = clock.now_millis();
        self.made += 1;
        let end = delivery.attempt(self.moved_to.or(named_hub), headers).await;
        self.millis += clock.now_millis() - started_at;
        end
    }

    /// Judges the end of an attempt, and remembers what it means for the next one.
    fn result(&mut self, end: &Result<Reply, SendError>) -> AttemptResult {
        let reply = match end {
            Ok(reply) => reply,
            Err(error) => {
                self.may_have_reached_hubspot |= error.result == AttemptResult::Lost;
                return error.result;
            }
        };
        if let Some(hub) = reply.correct_hub()
            && self.moved_to.is_none()
        {
            self.moved_to = Some(hub);
            return AttemptResult::Moved { hub };
        }
        if reply.never_reached_hubspot() {
            return AttemptResult::NotStarted;
        }
        self.may_have_reached_hubspot |= reply.status >= 500;
        AttemptResult::Answered { status: reply.status, retry_after: reply.retry_after() }
    }

    fn state(&self, delivery: &Delivery<'_>) -> RetryState {
        RetryState {
            idempotent: delivery.call.target().is_idempotent(),
            attempts: self.made,
            waited: self.waited,
            left: delivery.app.clock.remaining(delivery.deadline),
        }
    }

    /// The outcome of a request that got no answer.
    fn outcome(self) -> RequestOutcome {
        if self.may_have_reached_hubspot { RequestOutcome::Unknown } else { RequestOutcome::NotSent }
    }
}

impl Delivery<'_> {
    async fn attempt(&self, named_hub: Option<Hub>, headers: HeaderMap) -> Result<Reply, SendError> {
        let target = self.call.target();
        let clock = &self.app.clock;
        let body = body(self.call);
        let unsent = |_| SendError { result: AttemptResult::NotStarted, timed_out: false };
        let client = if body.is_some() && *target.method() == Method::DELETE {
            self.app.http.single_use_client()
        } else {
            self.app.http.client()
        };
        let mut request = client
            .map_err(unsent)?
            .request(target.method().clone(), self.url(named_hub))
            .headers(headers)
            .timeout(clock.remaining(self.deadline));
        let probe = BodyProbe::default();
        if let Some(body) = body {
            request = request.body(probe.body(body));
        }
        let sent = request.send().await.map_err(SendError::from);
        let mut response = sent.map_err(|error| match body {
            Some(_) if probe.definitely_not_sent() => SendError { result: AttemptResult::NotStarted, ..error },
            _ => error,
        })?;
        let read = read_body(&mut response).await?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: returned_headers(response.headers()),
            omitted: read.is_none(),
            body: read.unwrap_or_default(),
            received_at: clock.now(),
        })
    }

    /// The URL of the call on the origin of the portal's hub: the one that HubSpot has named, else the one that the
    /// customer wrote. Only the origin changes, and only to one of the fixed list.
    fn url(&self, named_hub: Option<Hub>) -> Url {
        let target = self.call.target();
        let hub = named_hub.or_else(|| self.integration.hub()).or_else(|| target.hub_hint());
        match hub.and_then(|hub| self.app.config.hubspot.hub_api_urls.get(hub)) {
            Some(origin) => at_origin(target.url().clone(), origin),
            None => target.url().clone(),
        }
    }

    /// Records what HubSpot says about the portal, for all functions: during `pause`, or else until the deadline.
    async fn record(&self, reply: Option<&Reply>, result: AttemptResult, pause: Option<Duration>) {
        let Some(reply) = reply else { return };
        let budget = pause.unwrap_or(self.app.clock.remaining(self.deadline)).max(LEAST_TIME);
        if let AttemptResult::Moved { hub } = result {
            Box::pin(portal::record_hub(self.app, self.integration, hub, budget)).await;
        }
        if let Some(limit) = reply.limit(self.call.target()) {
            Box::pin(portal::record_limit(self.app, self.integration, limit, budget)).await;
        }
    }
}

/// Returns true if a call has a body that is not sent.
pub(crate) fn ignores_body(call: &Call) -> bool {
    *call.target().method() == Method::GET && call.body().is_some_and(|body| !body.is_empty())
}

/// The body that is sent. HubSpot ignores a GET's, which is why stored automations may carry one; what is in front of
/// HubSpot may take it for the beginning of the next request on the connection.
fn body(call: &Call) -> Option<&[u8]> {
    if ignores_body(call) {
        return None;
    }
    call.body().filter(|body| !body.is_empty())
}

/// Reads a body; none if it is too large.
async fn read_body(response: &mut reqwest::Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The end of an attempt without an answer.
struct SendError {
    result: AttemptResult,
    timed_out: bool,
}

impl SendError {
    fn into_error(self, outcome: RequestOutcome, call: &Call) -> Error {
        let request = if outcome == RequestOutcome::NotSent {
            LostRequest::NotSent
        } else if call.target().is_idempotent() {
            LostRequest::SafeToRetry
        } else {
            LostRequest::CheckFirst
        };
        if self.timed_out { Error::HubspotTimeout(request) } else { Error::HubspotUnreachable(request) }
    }
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let unsent = error.is_connect() || error.is_builder();
        let result = if unsent { AttemptResult::NotStarted } else { AttemptResult::Lost };
        tracing::warn!(cause = chain(&error), "HubSpot request failed");
        Self { result, timed_out: error.is_timeout() }
    }
}

/// The customer's headers and our `Authorization`, which comes last and replaces whatever was there: exactly one,
/// however the lines above it change.
fn headers(call: &Call, tokens: &UsableTokens) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in call.headers() {
        let value = HeaderValue::from_str(value).map_err(|_| Error::internal("invalid header value"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    if body(call).is_none() {
        match *call.target().method() {
            Method::GET if ignores_body(call) => drop(headers.remove(CONTENT_TYPE)),
            // Without it, edges answer 411.
            Method::POST | Method::PUT | Method::PATCH => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(0))),
            _ => {}
        }
    }
    let tokens = &tokens.version.tokens;
    let mut bearer =
        HeaderValue::from_str(&format!("Bearer {}", tokens.access_token.expose_secret())).map_err(|_| {
            let (account, integration) = (&tokens.account_id, &tokens.integration_id);
            Error::internal(format!("account {account} integration {integration}: its access token cannot be sent"))
        })?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    Ok(headers)
}
