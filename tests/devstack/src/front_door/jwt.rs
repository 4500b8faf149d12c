//! The dashboard's tokens: issued by the local stack, checked as API Gateway's JWT authorizer checks.
//!
//! API Gateway accepts RSA keys only; the emulator has one HMAC key per stack, which nobody else needs to know.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, rand};
use serde_json::{Map, Value, json};

/// The key of an issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    key: hmac::Key,
}

impl Issuer {
    /// An issuer with a key of its own.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        key.map(|key| Self { key }).map_err(|_| "no randomness for a key".to_owned())
    }

    /// A token with these claims.
    #[must_use]
    pub fn issue(&self, claims: &Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "kid": "local", "typ": "JWT" }).to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The claims of a good token, as API Gateway hands them over: every one a text.
    pub(super) fn verify(&self, token: &str, issuer: &str, audiences: &[String], now: i64) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let payload = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        let time = |name: &str| claims.get(name).map(|value| value.as_i64());
        let valid = time("exp")?? > now
            && time("nbf").is_none_or(|at| at.is_some_and(|at| at <= now))
            && time("iat").is_none_or(|at| at.is_some_and(|at| at <= now))
            && claims.get("iss")?.as_str()? == issuer;
        // `client_id` counts where there is no `aud`.
        let audience = claims.get("aud").or_else(|| claims.get("client_id"))?;
        let one_of = |one: &Value| one.as_str().is_some_and(|one| audiences.iter().any(|audience| audience == one));
        let meant = audience.as_array().map_or_else(|| one_of(audience), |all| all.iter().any(one_of));
        (valid && meant).then(|| claims.iter().map(|(name, value)| (name.clone(), json!(as_text(value)))).collect())
    }
}

/// A claim as text, as API Gateway writes it: a list is `[a b]`, a map `map[k:v]`.
fn as_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(as_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(name, value)| format!("{name}:{}", as_text(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}
