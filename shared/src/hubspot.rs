//! HubSpot's token endpoint: the only file that knows it.
//!
//! All parameters, the app's credentials included, go in the form body (HubSpot's OAuth API, dated versions).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::clients::Http;
use crate::config;
use crate::error::{Error, chain};
use crate::store::Store;
use crate::tokens::AppCredentials;

/// An answer larger than this is none of HubSpot's.
const LARGEST_ANSWER: usize = 65_536;
/// A token larger than this is none of HubSpot's.
const LONGEST_TOKEN: usize = 4096;
/// Tokens said to live longer than this are not believed.
const LONGEST_LIFE: i64 = 30 * 86_400;

/// HubSpot's token endpoint, with our app's credentials.
#[derive(Clone)]
pub struct HubSpot {
    http: Http,
    base: Url,
    timeout: Duration,
    store: Store,
    credentials: Arc<Mutex<Option<AppCredentials>>>,
    failures: Arc<AtomicUsize>,
}

/// What a code or a refresh token buys.
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
}

/// Why the token endpoint gave nothing; the texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The authorization is no longer accepted.
    Revoked,
    /// It passes.
    Transient {
        /// HubSpot's `Retry-After` in seconds.
        retry_after: Option<i64>,
        /// What happened.
        cause: String,
    },
    /// It passes too, but HubSpot may have acted on the request: where refresh tokens are good once only, ours is spent.
    Lost {
        /// What happened.
        cause: String,
    },
    /// Our mistake until proven otherwise; it says nothing about the integration.
    Misconfigured {
        /// Whether our app's credentials were refused, or there are none.
        invalid_client: bool,
        /// What happened.
        cause: String,
    },
}

impl Refusal {
    fn transient(cause: impl Into<String>) -> Self {
        Self::Transient { retry_after: None, cause: cause.into() }
    }

    fn lost(cause: impl Into<String>) -> Self {
        Self::Lost { cause: cause.into() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::transient(error.to_string())
    }
}

impl HubSpot {
    /// A handle; nothing is called yet.
    pub fn new(http: Http, config: &config::HubSpotConfig, store: Store) -> Self {
        let mut base = config.api_url.clone();
        base.set_path(&format!("/oauth/{}/token", config.oauth_version));
        Self { http, base, timeout: config.token_timeout, store, credentials: Arc::default(), failures: Arc::default() }
    }

    /// The client id of our app; an answer that there is none is not kept.
    pub async fn client_id(&self) -> Result<String, Refusal> {
        let credentials = self.credentials().await.inspect_err(log_refused_app)?;
        Ok(credentials.client_id)
    }

    /// Exchanges the code of a callback; with a PKCE verifier if the authorization request had a challenge.
    pub async fn exchange(&self, code: &str, redirect_uri: &str, verifier: Option<&str>) -> Result<Grant, Refusal> {
        let mut form = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri)];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        grant(&self.call("", &form).await?)
    }

    /// Reads our credentials, if they are not known yet: it takes time that who holds a lease has to count.
    pub async fn load_credentials(&self) -> Result<(), Refusal> {
        self.credentials().await.map(drop).inspect_err(log_refused_app)
    }

    /// Buys new tokens for a refresh token.
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<Grant, Refusal> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        let answer = self.call("", &form).await.and_then(|body| grant(&body));
        match &answer {
            Ok(_) | Err(Refusal::Revoked | Refusal::Misconfigured { invalid_client: true, .. }) => {
                self.reset_failures()
            }
            Err(Refusal::Transient { .. } | Refusal::Lost { .. } | Refusal::Misconfigured { .. }) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        answer
    }

    /// How many refreshes in a row have ended without tokens and without a clear word on the authorization or on our
    /// app. What AWS does not give beforehand ([`load_credentials`](Self::load_credentials)) says nothing about HubSpot.
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Counts them from the start again.
    pub fn reset_failures(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Asks which portal and which scopes an access token is for.
    pub async fn introspect(&self, token: &SecretString) -> Result<(Option<u64>, Option<Vec<String>>), Refusal> {
        let form = [("token", token.expose_secret()), ("token_type_hint", "access_token")];
        let body = self.call("/introspect", &form).await?;
        let answer: Answer = parse(&body)?;
        Ok((answer.hub_id(), answer.scopes()))
    }

    async fn credentials(&self) -> Result<AppCredentials, Refusal> {
        let cached = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match cached {
            Some(credentials) => Ok(credentials),
            None => self.read_credentials().await,
        }
    }

    async fn read_credentials(&self) -> Result<AppCredentials, Refusal> {
        let unusable = |cause: String| Refusal::Misconfigured { invalid_client: true, cause };
        let read =
            self.store.app_credentials().await.map_err(|error| {
                if let Error::Internal(cause) = error { unusable(cause) } else { Refusal::from(error) }
            })?;
        let credentials = read.ok_or_else(|| unusable("the app secret has no value yet".to_owned()))?;
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.clone());
        Ok(credentials)
    }

    /// One call with our credentials.
    async fn call(&self, path: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, Refusal> {
        self.call_with_any(path, form).await.inspect_err(log_refused_app)
    }

    /// If our credentials are refused, they are read once more, and then the previous secret is tried: a rotation needs
    /// no deploy. All of it together takes the time-out of one call.
    async fn call_with_any(&self, path: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, Refusal> {
        let until = Instant::now() + self.timeout;
        let used = self.credentials().await?;
        let refused = match self.send(path, form, &used.client_id, &used.client_secret, until).await {
            Err(refusal @ Refusal::Misconfigured { invalid_client: true, .. }) => refusal,
            other => return other,
        };
        let read = self.read_credentials().await?;
        if !read.same_as(&used) {
            match self.send(path, form, &read.client_id, &read.client_secret, until).await {
                Err(Refusal::Misconfigured { invalid_client: true, .. }) => {}
                other => return other,
            }
        }
        let Some(previous) = &read.previous_client_secret else { return Err(refused) };
        let answer = self.send(path, form, &read.client_id, previous, until).await;
        if !matches!(answer, Err(Refusal::Misconfigured { invalid_client: true, .. })) {
            // Who rotates waits until this is heard no more.
            tracing::info!(
                previous_app_secret_used = 1,
                "HubSpot takes the app's previous secret, not the current one"
            );
        }
        answer
    }

    /// Whether HubSpot knows exactly these credentials, by a question about a token that is none.
    ///
    /// # Errors
    /// HubSpot refuses them ([`Refusal::Misconfigured`] with `invalid_client`), or does not answer. Whatever else it
    /// says of that token, it does not say it of them.
    pub async fn verify_credentials(&self, client_id: &str, client_secret: &SecretString) -> Result<(), Refusal> {
        let form = [("token", "none"), ("token_type_hint", "access_token")];
        let until = Instant::now() + self.timeout;
        match self.send("/introspect", &form, client_id, client_secret, until).await {
            Ok(_) | Err(Refusal::Revoked | Refusal::Misconfigured { invalid_client: false, .. }) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn send(
        &self,
        path: &str,
        form: &[(&str, &str)],
        client_id: &str,
        client_secret: &SecretString,
        until: Instant,
    ) -> Result<Vec<u8>, Refusal> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        let body = Serializer::new(String::new())
            .extend_pairs(form)
            .append_pair("client_id", client_id)
            .append_pair("client_secret", client_secret.expose_secret())
            .finish();
        let request = self
            .http
            .client()?
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .timeout(until.saturating_duration_since(Instant::now()))
            .body(body);
        let lost = |error: reqwest::Error| {
            let (unsent, cause) = (error.is_connect() || error.is_builder(), chain(&error.without_url()));
            if unsent { Refusal::transient(cause) } else { Refusal::lost(cause) }
        };
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Refusal::lost(format!("HTTP {status} with an answer that is too large")));
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 { Ok(body) } else { Err(judge(status, &body, retry_after)) }
    }
}

/// The one line about credentials of our app that do not work, wherever they were needed: somebody has to look.
fn log_refused_app(refusal: &Refusal) {
    if let Refusal::Misconfigured { invalid_client: true, cause } = refusal {
        tracing::error!(app_credentials_refused = 1, cause, "the app's credentials at HubSpot do not work");
    }
}

/// Judges an answer that is no success. The unknown case is the safe one: nobody is marked for it.
fn judge(status: u16, body: &[u8], retry_after: Option<i64>) -> Refusal {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: Value,
        status: Value,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let (error, reason) = (log_token(&body.error), log_token(&body.status));
    let cause = format!("HTTP {status}, error {error}, status {reason}");
    match (status, error, reason) {
        (408 | 409 | 423 | 425 | 429 | 477, _, _) => Refusal::Transient { retry_after, cause },
        (400..=499, "invalid_grant" | "access_denied", _) | (400..=499, _, "BAD_REFRESH_TOKEN" | "BAD_HUB") => {
            Refusal::Revoked
        }
        (400..=499, error, reason) => {
            let invalid_client = error == "invalid_client" || matches!(reason, "BAD_CLIENT_ID" | "BAD_CLIENT_SECRET");
            Refusal::Misconfigured { invalid_client, cause }
        }
        _ => Refusal::Transient { retry_after, cause },
    }
}

/// A text of HubSpot's that may stand in a log: one short word, or nothing.
fn log_token(value: &Value) -> &str {
    match value.as_str() {
        Some(text) if text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') => text,
        _ => "-",
    }
}

/// What HubSpot answers, field by field, before any of it is believed.
#[derive(Deserialize)]
struct Answer {
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

impl Answer {
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

fn parse(body: &[u8]) -> Result<Answer, Refusal> {
    // serde's own words would quote tokens.
    serde_json::from_slice(body).map_err(|_| Refusal::lost("an answer that is no JSON of tokens"))
}

/// Believes an answer, or not: nothing is stored from one that is incomplete.
fn grant(body: &[u8]) -> Result<Grant, Refusal> {
    let answer = parse(body)?;
    let sound = |token: &SecretString| {
        let text = token.expose_secret();
        (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let (scopes, hub_id) = (answer.scopes(), answer.hub_id());
    let access_token = answer.access_token.filter(sound);
    let access_token = access_token.ok_or_else(|| Refusal::lost("an answer without an access token"))?;
    let refresh_token = answer.refresh_token.filter(|token| !token.expose_secret().is_empty());
    if refresh_token.as_ref().is_some_and(|token| !sound(token)) {
        return Err(Refusal::lost("an answer with a refresh token that is none"));
    }
    let expires_in = answer.expires_in.as_i64().filter(|seconds| (1..=LONGEST_LIFE).contains(seconds));
    let expires_in = expires_in.ok_or_else(|| Refusal::lost("an answer with an unbelievable expires_in"))?;
    let bearer = answer.token_type.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer && !answer.token_type.is_null() {
        return Err(Refusal::lost("an answer whose token_type is not bearer"));
    }
    Ok(Grant { access_token, refresh_token, expires_in, scopes, hub_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_about_the_grant_revokes() {
        let kind = |status, body: &str| match judge(status, body.as_bytes(), None) {
            Refusal::Revoked => "revoked",
            Refusal::Transient { .. } => "transient",
            Refusal::Lost { .. } => "lost",
            Refusal::Misconfigured { invalid_client: true, .. } => "our credentials",
            Refusal::Misconfigured { .. } => "misconfigured",
        };

        for (status, body, expected) in [
            (400, r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#, "revoked"),
            (400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, "revoked"),
            (403, r#"{"error":"access_denied","status":"BAD_HUB"}"#, "revoked"),
            (401, r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#, "our credentials"),
            (400, r#"{"status":"BAD_CLIENT_ID"}"#, "our credentials"),
            (400, r#"{"error":"invalid_request"}"#, "misconfigured"),
            (404, "<html>", "misconfigured"),
            (400, "", "misconfigured"),
            (429, r#"{"error":"invalid_grant"}"#, "transient"),
            (408, "", "transient"),
            (409, r#"{"error":"invalid_grant"}"#, "transient"),
            (423, "", "transient"),
            (425, "", "transient"),
            (477, "", "transient"),
            (500, r#"{"error":"invalid_grant"}"#, "transient"),
            (503, "", "transient"),
            (302, "", "transient"),
            (204, "", "transient"),
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
    fn one_short_word_stands_in_the_log_and_nothing_else() {
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
            assert!(matches!(grant_of(&bad), Err(Refusal::Lost { .. })), "{bad}");
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
    fn what_lies_at_a_limit_is_believed_and_what_lies_beyond_it_is_not() {
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
