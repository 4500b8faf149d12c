//! Sends a call to HubSpot and reads what comes back, within bounds.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::Value;
use shared::access::UsableTokens;
use shared::error::{Error, RequestOutcome, chain};
use shared::integration::Integration;

use crate::App;
use crate::note::{self, note};
use crate::retry::{self, Seen, Standing};
use crate::watched::Taken;
use guard::request::Call;

/// Reading an answer stops here: no answer of ours could carry more.
const LONGEST_BODY: usize = 5_900 * 1024;
/// HubSpot's errors are short. A body of megabytes is not looked into: as a tree it takes many times its memory.
const LONGEST_ERROR: usize = 256 * 1024;

/// The attempts of one execution.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) made: u32,
    pub(crate) waited: Duration,
    /// Whether HubSpot may have acted on one of them, or on one of an earlier owner of the same key.
    pub(crate) reached: bool,
    /// Time spent with HubSpot.
    pub(crate) millis: i64,
}

/// HubSpot's answer, as far as it was read.
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// The headers that are handed on, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, empty if it was omitted.
    pub body: Vec<u8>,
    /// Whether the body was too large to be read.
    pub omitted: bool,
}

impl Received {
    /// The value of a header that is handed on.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After` in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse().ok()
    }
}

/// A body as one of HubSpot's errors, null if it is none.
pub(crate) fn words(body: &[u8]) -> Value {
    if body.len() > LONGEST_ERROR {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_default()
}

/// Sends a call with these tokens until it is answered, or may not be sent again.
pub(crate) async fn send(
    app: &App,
    call: &Call,
    integration: &Integration,
    granted: &UsableTokens,
    deadline: i64,
    attempts: &mut Attempts,
) -> Result<Received, Error> {
    let target = call.target();
    if app.clock.remaining(deadline).is_zero() {
        return Err(Error::unavailable(1, "the deadline has passed before an attempt"));
    }
    let headers = headers(call, granted)?;
    loop {
        let began = app.clock.now_millis();
        attempts.made += 1;
        let end = attempt(app, call, headers.clone(), deadline).await;
        attempts.millis += app.clock.now_millis() - began;
        let seen = match &end {
            Ok(received) => Seen::Answered { status: received.status, retry_after: received.retry_after() },
            Err(lost) => lost.seen,
        };
        attempts.reached |= matches!(seen, Seen::Lost | Seen::Answered { status: 500.., .. });
        let standing = Standing {
            idempotent: target.is_idempotent(),
            attempts: attempts.made,
            waited: attempts.waited,
            left: app.clock.remaining(deadline),
        };
        let pause = retry::next(standing, seen);
        let cooling = async {
            if let Ok(received) = &end
                && received.status == 429
            {
                let room = pause.unwrap_or(app.clock.remaining(deadline)).max(note::LEAST);
                Box::pin(cool_down(app, integration, received, room)).await;
            }
        };
        let Some(pause) = pause else {
            cooling.await;
            return end.map_err(|lost| lost.into_error(attempts.reached, target.is_idempotent()));
        };
        attempts.waited += pause;
        tokio::join!(app.clock.sleep(pause), cooling);
    }
}

/// Notes the rate limit of a 429 on the record, for all functions.
async fn cool_down(app: &App, integration: &Integration, received: &Received, room: Duration) {
    let Some(seconds) = retry::pause_asked_for(received) else { return };
    let seconds = i64::try_from(seconds).unwrap_or(retry::LONGEST_COOLDOWN).min(retry::LONGEST_COOLDOWN);
    // Up to the whole second that follows: the limit must not end early.
    let until = ((app.clock.now_millis() + seconds * 1000 + 999) / 1000).min(app.clock.now() + retry::LONGEST_COOLDOWN);
    if integration.cooldown_until.is_none_or(|noted| noted < until) {
        note(&integration.account_id, "a cool-down", room, app.store.cool_down(integration, until)).await;
    }
}

/// The end of an attempt without an answer.
struct Lost {
    seen: Seen,
    timed_out: bool,
}

impl Lost {
    fn into_error(self, reached: bool, idempotent: bool) -> Error {
        let (outcome, retryable) =
            if reached { (RequestOutcome::Unknown, idempotent) } else { (RequestOutcome::NotSent, true) };
        if self.timed_out {
            return Error::HubspotTimeout { outcome, retryable };
        }
        Error::HubspotUnreachable { outcome, retryable }
    }
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let seen = if error.is_connect() || error.is_builder() { Seen::NotStarted } else { Seen::Lost };
        tracing::warn!(cause = chain(&error), "no answer of HubSpot");
        Self { seen, timed_out: error.is_timeout() }
    }
}

/// The customer's headers and our `Authorization`, which comes last and replaces whatever was there: exactly one,
/// whoever changes the lines above it.
fn headers(call: &Call, granted: &UsableTokens) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in call.headers() {
        let value = HeaderValue::from_str(value).map_err(|_| Error::internal("a header has passed the guard"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let tokens = &granted.version.tokens;
    let mut bearer =
        HeaderValue::from_str(&format!("Bearer {}", tokens.access_token.expose_secret())).map_err(|_| {
            let (account, integration) = (&tokens.account_id, &tokens.integration_id);
            Error::internal(format!("account {account} integration {integration}: its access token cannot be sent"))
        })?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    Ok(headers)
}

async fn attempt(app: &App, call: &Call, headers: HeaderMap, deadline: i64) -> Result<Received, Lost> {
    let target = call.target();
    let client = app.http.client().map_err(|_| Lost { seen: Seen::NotStarted, timed_out: false })?;
    let mut request = client
        .request(target.method().clone(), target.url().clone())
        .headers(headers)
        .timeout(app.clock.remaining(deadline));
    let taken = Taken::default();
    if let Some(body) = call.body() {
        request = request.body(taken.watch(body));
    }
    let sent = request.send().await.map_err(Lost::from);
    let mut response = sent.map_err(|lost| match call.body() {
        Some(_) if taken.is_sure_not_to_be() => Lost { seen: Seen::NotStarted, ..lost },
        _ => lost,
    })?;
    let (mut body, mut omitted) = (Vec::new(), false);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            (body, omitted) = (Vec::new(), true);
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status: response.status().as_u16(), headers: handed_on(response.headers()), body, omitted })
}

/// The headers of an answer that are handed on.
fn handed_on(headers: &HeaderMap) -> Vec<(String, String)> {
    let listed = ["content-type", "retry-after", "etag", "last-modified", "location", "content-disposition"];
    headers
        .iter()
        .filter(|(name, _)| listed.contains(&name.as_str()) || name.as_str().starts_with("x-hubspot-"))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
