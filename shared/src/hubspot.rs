//! HubSpot's token endpoint: the only file that knows it.
//!
//! All parameters, the app's credentials included, go in the form body (HubSpot's OAuth API, dated versions).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guard::hubs::Hub;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::clients::Http;
use crate::config::{self, HubOrigins};
use crate::error::{Error, chain};
use crate::retry_after;
use crate::store::Store;
use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::{AnswerLost, Corrupt, Gone, InvalidClient, Misconfigured, Revoked, Transient};
use crate::tokens::AppCredentials;

/// The largest answer that is read; HubSpot's answers are far smaller.
const LARGEST_ANSWER: usize = 65_536;
/// The longest token that is accepted; HubSpot's tokens are far shorter.
const LONGEST_TOKEN: usize = 4096;
/// Tokens said to live longer than this are not believed.
const LONGEST_LIFE: i64 = 30 * 86_400;

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

/// A token response.
#[derive(Clone)]
pub struct Grant {
    /// Authorizes calls to the API.
    pub access_token: SecretString,
    /// None if HubSpot sent none: the old one stays good.
    pub refresh_token: Option<SecretString>,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    /// None if HubSpot did not say.
    pub scopes: Option<Vec<String>>,
    /// None if HubSpot did not say.
    pub hub_id: Option<u64>,
    /// The regional hub that HubSpot named instead of the one that was asked.
    pub named_hub: Option<Hub>,
}

/// A request to the token endpoint, all but our credentials.
#[derive(Clone, Copy)]
struct EndpointRequest<'a> {
    path: &'a str,
    form: &'a [(&'a str, &'a str)],
    /// The hub to ask first, if it is known.
    hub: Option<Hub>,
}

fn lost(cause: impl Into<String>) -> TokenError {
    TokenError::of(AnswerLost, cause)
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

    /// Reads our credentials, if they are not known yet: it takes time that who holds a lease has to count.
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
        let named_hub = reply.correct_hub();
        if named_hub.is_some() {
            reply = self.post(self.url(request.path, named_hub), body, until).await?;
        }
        if reply.status == 200 {
            Ok(EndpointSuccess { body: reply.body, named_hub })
        } else {
            Err(judge(reply.status, &reply.body, reply.retry_after))
        }
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
        let hub = header("x-hubspot-correct-hublet").and_then(Hub::parse);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(lost(format!("HTTP {status} with an answer that is too large")));
            }
            body.extend_from_slice(&chunk);
        }
        let retry_after = retry_after.and_then(|seconds| i64::try_from(seconds).ok());
        Ok(EndpointReply { status, retry_after, hub, body })
    }
}

/// A successful answer of the token endpoint.
struct EndpointSuccess {
    body: Vec<u8>,
    /// The hub that another hub's token endpoint has named.
    named_hub: Option<Hub>,
}

/// An answer of the token endpoint, as it came.
struct EndpointReply {
    status: u16,
    retry_after: Option<i64>,
    hub: Option<Hub>,
    body: Vec<u8>,
}

impl EndpointReply {
    /// The hub that a 488 names for the portal, if it is listed.
    fn correct_hub(&self) -> Option<Hub> {
        if self.status == 488 { self.hub } else { None }
    }
}

/// The one line about credentials of our app that do not work, wherever they were needed: somebody has to look.
fn log_refused_app(error: &TokenError) {
    if error.kind == InvalidClient {
        let cause = error.cause.as_str();
        tracing::error!(app_credentials_refused = 1, cause, "HubSpot rejected the app credentials");
    }
}

/// Judges an answer that is no success. The unknown case is the safe one: nobody is marked for it.
fn judge(status: u16, body: &[u8], retry_after: Option<i64>) -> TokenError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: Value,
        status: Value,
        category: Value,
        #[serde(rename = "subCategory")]
        sub_category: Value,
    }
    let parsed = serde_json::from_slice::<Body>(body);
    let is_json = parsed.is_ok();
    let body = parsed.unwrap_or_default();
    let error = log_token(&body.error);
    // The general shape of HubSpot's errors has the status "error" and the reason in its subcategory.
    let reasons = [&body.status, &body.sub_category, &body.category].map(log_token);
    let is = |words: &[&str]| reasons.iter().any(|reason| words.contains(reason));
    let [reason, sub_category, category] = reasons;
    let cause =
        format!("HTTP {status}, error {error}, status {reason}, category {category}, subCategory {sub_category}");
    let kind = match (status, error) {
        // A page of the edge is not HubSpot's answer, and not our mistake.
        (403, _) if !is_json => Transient,
        (408 | 409 | 423 | 425 | 429 | 477 | 488, _) => Transient,
        (400..=499, "invalid_grant" | "access_denied") => Revoked,
        (400..=499, _) if is(&["BAD_REFRESH_TOKEN", "BAD_HUB", "INVALID_TOKEN", "EXPIRED_AUTH_CODE"]) => Revoked,
        (400..=499, "invalid_client") => InvalidClient,
        (400..=499, _) if is(&["BAD_CLIENT_ID", "BAD_CLIENT_SECRET"]) => InvalidClient,
        // `unauthorized` too: it does not say whether the app or the authorization is meant.
        (400..=499, _) => Misconfigured,
        _ => Transient,
    };
    let retry_after = if kind == Transient { retry_after } else { None };
    TokenError { kind, retry_after, cause }
}

/// A HubSpot text that may be logged: one short word, or nothing.
fn log_token(value: &Value) -> &str {
    match value.as_str() {
        Some(text) if text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') => text,
        _ => "-",
    }
}

/// HubSpot's answer, field by field, before any of it is validated.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    scopes: Value,
    #[serde(default)]
    hub_id: Value,
}

impl TokenResponse {
    fn hub_id(&self) -> Option<u64> {
        self.hub_id.as_u64().or_else(|| self.hub_id.as_str()?.parse().ok())
    }

    /// The scopes, if they can be read: an optional field must not cost a refresh token that came with it.
    fn scopes(&self) -> Option<Vec<String>> {
        let scope = |value: &Value| {
            let text = value.as_str()?;
            let fits = text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic());
            fits.then(|| text.to_owned())
        };
        match &self.scopes {
            Value::String(text) => text.split_whitespace().map(|one| scope(&Value::from(one))).collect(),
            Value::Array(list) => list.iter().map(scope).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        }
    }
}

fn parse(body: &[u8]) -> Result<TokenResponse, TokenError> {
    // serde's own words would quote tokens.
    serde_json::from_slice(body).map_err(|_| lost("an answer that is no JSON of tokens"))
}

/// Believes an answer, or not: nothing is stored from one that is incomplete.
fn grant(reply: &EndpointSuccess) -> Result<Grant, TokenError> {
    let answer = parse(&reply.body)?;
    let sound = |token: &SecretString| {
        let text = token.expose_secret();
        (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let (scopes, hub_id) = (answer.scopes(), answer.hub_id());
    let access_token = answer.access_token.filter(sound);
    let access_token = access_token.ok_or_else(|| lost("an answer without an access token"))?;
    let refresh_token = answer.refresh_token.filter(|token| !token.expose_secret().is_empty());
    if refresh_token.as_ref().is_some_and(|token| !sound(token)) {
        return Err(lost("malformed refresh_token"));
    }
    let expires_in = answer.expires_in.as_i64().filter(|seconds| (1..=LONGEST_LIFE).contains(seconds));
    let expires_in = expires_in.ok_or_else(|| lost("an answer with an unbelievable expires_in"))?;
    let bearer = answer.token_type.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer && !answer.token_type.is_null() {
        return Err(lost("an answer whose token_type is not bearer"));
    }
    Ok(Grant { access_token, refresh_token, expires_in, scopes, hub_id, named_hub: reply.named_hub })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(body: &[u8]) -> Result<Grant, TokenError> {
        super::grant(&EndpointSuccess { body: body.to_vec(), named_hub: None })
    }

    #[test]
    fn only_a_clear_word_about_the_grant_revokes() {
        let kind = |status, body: &str| judge(status, body.as_bytes(), None).kind;

        for (status, body, expected) in [
            (400, r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#, Revoked),
            (400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, Revoked),
            (403, r#"{"error":"access_denied","status":"BAD_HUB"}"#, Revoked),
            (401, r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#, InvalidClient),
            (400, r#"{"status":"BAD_CLIENT_ID"}"#, InvalidClient),
            (400, r#"{"error":"invalid_request"}"#, Misconfigured),
            (400, r#"{"status":"error","category":"VALIDATION_ERROR","subCategory":"INVALID_TOKEN"}"#, Revoked),
            (400, r#"{"status":"EXPIRED_AUTH_CODE"}"#, Revoked),
            (400, r#"{"status":"error","category":"VALIDATION_ERROR"}"#, Misconfigured),
            (401, r#"{"error":"unauthorized"}"#, Misconfigured),
            (404, "<html>", Misconfigured),
            (400, "", Misconfigured),
            (429, r#"{"error":"invalid_grant"}"#, Transient),
            (408, "", Transient),
            (409, r#"{"error":"invalid_grant"}"#, Transient),
            (423, "", Transient),
            (425, "", Transient),
            (477, "", Transient),
            (500, r#"{"error":"invalid_grant"}"#, Transient),
            (503, "", Transient),
            (302, "", Transient),
            (204, "", Transient),
        ] {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_echoed_secret_does_not_reach_the_log() {
        let refusal = judge(400, br#"{"error":"pat-na1-s3cret","status":{"a":"s3cret"}}"#, None);

        assert!(!format!("{refusal:?}").contains("s3cret"));
    }

    #[test]
    fn only_one_short_word_is_logged() {
        let (longest, longer) = ("a".repeat(40), "a".repeat(41));
        for (text, expected) in
            [("BAD_HUB", "BAD_HUB"), (&longest, &*longest), (&longer, "-"), ("a b", "-"), ("a1", "-")]
        {
            assert_eq!(log_token(&Value::from(text)), expected, "{text}");
        }
        assert_eq!(log_token(&Value::from(1)), "-");
    }

    #[test]
    fn nothing_is_believed_of_an_answer_that_is_not_complete() {
        let good = r#"{"access_token":"a","refresh_token":"r","expires_in":1800,"token_type":"Bearer","hub_id":7,"scopes":["x","y"]}"#;
        let grant_of = |body: &str| grant(body.as_bytes());

        let read = grant_of(good).ok().unwrap();
        assert_eq!((read.expires_in, read.hub_id, read.scopes.unwrap().len()), (1800, Some(7), 2));
        for bad in [
            "[]".to_owned(),
            "<html>".to_owned(),
            good.replace("\"a\"", "\"\""),
            good.replace("\"a\"", "\"a b\""),
            good.replace("\"a\"", "7"),
            good.replace("\"r\"", "\"r r\""),
            good.replace("1800", "0"),
            good.replace("1800", "-5"),
            good.replace("1800", "\"1800\""),
            good.replace("1800", "1000000000000"),
            good.replace("Bearer", "mac"),
            good.replace("\"a\"", &format!("\"{}\"", "a".repeat(LONGEST_TOKEN + 1))),
        ] {
            // HubSpot may have acted, so a refresh token that is good once only may be spent.
            assert!(matches!(grant_of(&bad), Err(error) if error.kind == AnswerLost), "{bad}");
        }
    }

    #[test]
    fn what_is_optional_costs_nothing_when_it_is_absent_or_odd() {
        let grant_of = |body: &str| grant(body.as_bytes()).ok().unwrap();

        let bare = grant_of(r#"{"access_token":"a","refresh_token":"r","expires_in":1}"#);
        let odd = grant_of(r#"{"access_token":"a","refresh_token":"","expires_in":1,"scopes":7,"hub_id":[]}"#);
        let text = grant_of(r#"{"access_token":"a","expires_in":1,"token_type":"bearer","scopes":"x y"}"#);

        assert!(bare.refresh_token.is_some() && bare.scopes.is_none());
        assert!(odd.refresh_token.is_none() && odd.scopes.is_none() && odd.hub_id.is_none());
        assert_eq!(text.scopes.unwrap(), ["x", "y"]);
    }

    #[test]
    fn values_at_a_limit_are_accepted_and_values_beyond_it_are_not() {
        let good = r#"{"access_token":"a","refresh_token":"r","expires_in":2592000,"scopes":["S"],"hub_id":"7"}"#;
        let scopes = |scope: &str| grant(good.replace('S', scope).as_bytes()).ok().unwrap().scopes;

        assert_eq!(grant(good.as_bytes()).ok().unwrap().expires_in, 2_592_000);
        assert!(grant(good.replace("2592000", "2592001").as_bytes()).is_err());
        assert_eq!(grant(good.as_bytes()).ok().unwrap().hub_id, Some(7));
        assert_eq!(grant(good.as_bytes()).ok().unwrap().refresh_token.unwrap().expose_secret(), "r");
        assert_eq!(scopes(&"s".repeat(200)).unwrap(), ["s".repeat(200)]);
        assert_eq!(scopes(&"s".repeat(201)), None);
        assert_eq!(scopes("s s"), None);
    }
}
