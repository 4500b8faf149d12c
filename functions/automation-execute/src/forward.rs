//! Sends a call to HubSpot and reads the answer, within bounds.

use std::time::Duration;

use guard::request::Call;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use shared::access::UsableTokens;
use shared::error::{Error, RequestOutcome, chain};
use shared::integration::Integration;

use crate::app::App;
use crate::best_effort::{self, best_effort};
use crate::body_probe::BodyProbe;
use crate::reply::{LONGEST_COOLDOWN, Reply, returned_headers};
use crate::retry::{self, AttemptResult, RetryState};

/// Reading an answer stops here: no answer of ours could carry more.
const LONGEST_BODY: usize = 5_900 * 1024;

/// What is sent, for which integration, and until when.
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
    /// Whether HubSpot may have acted on one of them, or on one of an earlier owner of the same key.
    pub(crate) may_have_reached_hubspot: bool,
    /// Milliseconds spent with HubSpot.
    pub(crate) millis: i64,
}

impl Attempts {
    /// Sends a call with these tokens until it is answered, or may not be sent again.
    pub(crate) async fn send(&mut self, delivery: &Delivery<'_>, tokens: &UsableTokens) -> Result<Reply, Error> {
        let Delivery { app, deadline, .. } = *delivery;
        if app.clock.remaining(deadline).is_zero() {
            return Err(Error::unavailable(1, "the deadline has passed before an attempt"));
        }
        let headers = headers(delivery.call, tokens)?;
        let idempotent = delivery.call.target().is_idempotent();
        loop {
            let end = self.attempt(delivery, headers.clone()).await;
            let result = attempt_result(&end);
            self.may_have_reached_hubspot |=
                matches!(result, AttemptResult::Lost | AttemptResult::Answered { status: 500.., .. });
            let state = RetryState {
                idempotent,
                attempts: self.made,
                waited: self.waited,
                left: app.clock.remaining(deadline),
            };
            let pause = retry::next(state, result);
            let noting = delivery.record_limit(end.as_ref().ok(), pause);
            let Some(pause) = pause else {
                noting.await;
                return end.map_err(|error| error.into_error(self.outcome(), delivery.call));
            };
            self.waited += pause;
            tokio::join!(app.clock.sleep(pause), noting);
        }
    }

    /// Makes one attempt, and counts it.
    async fn attempt(&mut self, delivery: &Delivery<'_>, headers: HeaderMap) -> Result<Reply, SendError> {
        let clock = &delivery.app.clock;
        let started_at = clock.now_millis();
        self.made += 1;
        let end = delivery.attempt(headers).await;
        self.millis += clock.now_millis() - started_at;
        end
    }

    /// The outcome of a request that got no answer.
    fn outcome(self) -> RequestOutcome {
        if self.may_have_reached_hubspot { RequestOutcome::Unknown } else { RequestOutcome::NotSent }
    }
}

impl Delivery<'_> {
    async fn attempt(&self, headers: HeaderMap) -> Result<Reply, SendError> {
        let target = self.call.target();
        let unsent = |_| SendError { result: AttemptResult::NotStarted, timed_out: false };
        let client = self.app.http.client().map_err(unsent)?;
        let mut request = client
            .request(target.method().clone(), target.url().clone())
            .headers(headers)
            .timeout(self.app.clock.remaining(self.deadline));
        let probe = BodyProbe::default();
        if let Some(body) = self.call.body() {
            request = request.body(probe.body(body));
        }
        let sent = request.send().await.map_err(SendError::from);
        let mut response = sent.map_err(|error| match self.call.body() {
            Some(_) if probe.definitely_not_sent() => SendError { result: AttemptResult::NotStarted, ..error },
            _ => error,
        })?;
        let mut body = Vec::new();
        let mut omitted = false;
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LONGEST_BODY {
                body = Vec::new();
                omitted = true;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), headers: returned_headers(response.headers()), body, omitted })
    }

    /// Records the rate limit of a 429 for all functions, during `pause` or, if there is none, until the deadline.
    async fn record_limit(&self, reply: Option<&Reply>, pause: Option<Duration>) {
        let Some(reply) = reply.filter(|reply| reply.status == 429) else { return };
        let budget = pause.unwrap_or(self.app.clock.remaining(self.deadline)).max(best_effort::LEAST_TIME);
        Box::pin(self.cool_down(reply, budget)).await;
    }

    async fn cool_down(&self, reply: &Reply, budget: Duration) {
        let Some(seconds) = reply.wait_seconds() else { return };
        let Self { app, integration, .. } = self;
        let seconds = i64::try_from(seconds).unwrap_or(LONGEST_COOLDOWN).min(LONGEST_COOLDOWN);
        // Up to the whole second that follows: the limit must not end early.
        let until = (app.clock.now_millis() + seconds * 1000 + 999) / 1000;
        let until = until.min(app.clock.now() + LONGEST_COOLDOWN);
        if integration.cooldown_until.is_none_or(|noted| noted < until) {
            let write = app.store.cool_down(integration, until);
            best_effort(&integration.account_id, "record_cooldown", budget, write).await;
        }
    }
}

fn attempt_result(end: &Result<Reply, SendError>) -> AttemptResult {
    match end {
        Ok(reply) => AttemptResult::Answered { status: reply.status, retry_after: reply.retry_after() },
        Err(error) => error.result,
    }
}

/// The end of an attempt without an answer.
struct SendError {
    result: AttemptResult,
    timed_out: bool,
}

impl SendError {
    fn into_error(self, outcome: RequestOutcome, call: &Call) -> Error {
        let retryable = outcome == RequestOutcome::NotSent || call.target().is_idempotent();
        if self.timed_out {
            return Error::HubspotTimeout { outcome, retryable };
        }
        Error::HubspotUnreachable { outcome, retryable }
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
/// whoever changes the lines above it.
fn headers(call: &Call, tokens: &UsableTokens) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in call.headers() {
        let value = HeaderValue::from_str(value).map_err(|_| Error::internal("invalid header value"))?;
        headers.insert(HeaderName::from_static(name), value);
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
