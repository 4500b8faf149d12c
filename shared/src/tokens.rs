//! The contents of Secrets Manager: an integration's tokens and the app's credentials, both hidden from `Debug`.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::integration::{AccountId, Integration, IntegrationId};

/// The tokens of one authorization, as one version of its secret holds them. Times are epoch seconds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// Whose they are; another account's are never served.
    pub account_id: AccountId,
    /// The integration that they belong to.
    pub integration_id: IntegrationId,
    /// Authorizes calls to HubSpot's API.
    #[serde(serialize_with = "exposed")]
    pub access_token: SecretString,
    /// Buys the next access token.
    #[serde(serialize_with = "exposed")]
    pub refresh_token: SecretString,
    /// HubSpot says `bearer`.
    pub token_type: String,
    /// When the request that brought them was sent.
    pub obtained_at: i64,
    /// When the access token expires.
    pub expires_at: i64,
    /// The granted scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// HubSpot's id of the portal.
    #[serde(default)]
    pub hub_id: Option<u64>,
    /// The versions that this one takes the place of: the one that the record pointed at, and the one whose refresh
    /// token was spent.
    #[serde(default)]
    pub replaces: Vec<String>,
}

impl Tokens {
    /// How long the access token lives, in seconds.
    pub fn lifetime(&self) -> i64 {
        self.expires_at.saturating_sub(self.obtained_at).max(0)
    }

    /// Returns true if they are those of `record`.
    pub fn belong_to(&self, record: &Integration) -> bool {
        self.account_id == record.account_id && self.integration_id == record.integration_id
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens([REDACTED])")
    }
}

/// The credentials of our app at HubSpot.
#[derive(Clone)]
pub struct AppCredentials {
    /// The app's client id.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: SecretString,
    /// The one before, during a rotation.
    pub previous_client_secret: Option<SecretString>,
}

impl AppCredentials {
    /// Parses the secret that the operator has set. Errors name fields, never values.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(text.expose_secret()) else {
            return Err("a JSON object with client_id and client_secret is expected".to_owned());
        };
        let mut wrong = Vec::new();
        let mut field = |name: &'static str| match fields.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if is_clean(&text) => Some(SecretString::from(text)),
            Some(_) => {
                wrong.push(format!("{name} must be a text, neither empty nor with blanks around it"));
                Some(SecretString::default())
            }
        };
        let (id, secret, previous) = (field("client_id"), field("client_secret"), field("previous_client_secret"));
        for (name, value) in [("client_id", &id), ("client_secret", &secret)] {
            if value.is_none() {
                wrong.push(format!("{name} is missing"));
            }
        }
        match (id, secret) {
            (Some(id), Some(client_secret)) if wrong.is_empty() => {
                Ok(Self { client_id: id.expose_secret().to_owned(), client_secret, previous_client_secret: previous })
            }
            _ => Err(wrong.join("; ")),
        }
    }

    /// The secret that holds them; further fields of the one that is stored stay.
    pub fn merged_json(&self, stored: Option<&SecretString>) -> SecretString {
        let stored = stored.and_then(|text| serde_json::from_str(text.expose_secret()).ok());
        let mut fields: Map<String, Value> = stored.unwrap_or_default();
        fields.insert("client_id".to_owned(), self.client_id.as_str().into());
        fields.insert("client_secret".to_owned(), self.client_secret.expose_secret().into());
        match &self.previous_client_secret {
            Some(previous) => fields.insert("previous_client_secret".to_owned(), previous.expose_secret().into()),
            None => fields.remove("previous_client_secret"),
        };
        SecretString::from(Value::Object(fields).to_string())
    }

    /// Returns true if both hold the same client id and secret.
    pub fn same_as(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        let (mine, theirs) = (self.client_secret.expose_secret(), other.client_secret.expose_secret());
        self.client_id == other.client_id && bool::from(mine.as_bytes().ct_eq(theirs.as_bytes()))
    }
}

impl fmt::Debug for AppCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppCredentials([REDACTED])")
    }
}

/// Returns true if a text can be a credential: HubSpot would silently reject one with a trailing newline.
fn is_clean(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

/// The only way of a token into JSON: towards Secrets Manager.
fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_them() {
        let tokens: Tokens = serde_json::from_str(
            r#"{"account_id":"a","integration_id":"i","access_token":"s3cret","refresh_token":"s3cret",
                "token_type":"bearer","obtained_at":0,"expires_at":1800}"#,
        )
        .unwrap();
        let app = r#"{"client_id":"s3cret","client_secret":"s3cret","previous_client_secret":"s3cret"}"#;
        let app = AppCredentials::parse(&app.into()).unwrap();

        assert_eq!(format!("{tokens:?} {app:?}"), "Tokens([REDACTED]) AppCredentials([REDACTED])");
        assert_eq!(tokens.lifetime(), 1800);
    }

    #[test]
    fn a_wrong_app_secret_is_reported_by_field_names_without_values() {
        let expected = "a JSON object with client_id and client_secret is expected";
        let unclean = |name: &str| format!("{name} must be a text, neither empty nor with blanks around it");
        for (text, wrong) in [
            ("", expected.to_owned()),
            ("s3cret", expected.to_owned()),
            (r#"["s3cret"]"#, expected.to_owned()),
            (r#"{"client_id":"i","clientSecret":"s3cret"}"#, "client_secret is missing".to_owned()),
            (r#"{"client_secret":"s3cret","client_id":null}"#, "client_id is missing".to_owned()),
            ("{}", "client_id is missing; client_secret is missing".to_owned()),
            (r#"{"client_id":7,"client_secret":"s3cret"}"#, unclean("client_id")),
            (r#"{"client_id":"i","client_secret":""}"#, unclean("client_secret")),
            (r#"{"client_id":"i","client_secret":"s3cret\n"}"#, unclean("client_secret")),
            (r#"{"client_id":"i","client_secret":"s3\u0000cret"}"#, unclean("client_secret")),
            (
                r#"{"client_id":"i","client_secret":"s","previous_client_secret":["s3cret"]}"#,
                unclean("previous_client_secret"),
            ),
        ] {
            assert_eq!(AppCredentials::parse(&text.into()).unwrap_err(), wrong, "{text}");
        }
    }

    #[test]
    fn an_app_secret_may_have_any_printable_characters_and_further_fields() {
        let text = r#"{"client_id":"i","client_secret":"a b/+=\"<","previous_client_secret":null,"note":[1]}"#;

        let read = AppCredentials::parse(&text.into()).unwrap();

        assert_eq!((read.client_id.as_str(), read.client_secret.expose_secret()), ("i", "a b/+=\"<"));
        assert!(read.previous_client_secret.is_none());
    }

    #[test]
    fn what_is_written_of_an_app_secret_reads_the_same_and_keeps_further_fields() {
        let stored = r#"{"client_id":"i","client_secret":"old","previous_client_secret":"older","note":[1]}"#.into();
        let mut new = AppCredentials::parse(&stored).unwrap();
        new.client_secret = "new \"<".to_owned().into();
        new.previous_client_secret = None;

        let written: Value = serde_json::from_str(new.merged_json(Some(&stored)).expose_secret()).unwrap();

        assert_eq!(written, serde_json::json!({"client_id": "i", "client_secret": "new \"<", "note": [1]}));
        assert!(AppCredentials::parse(&new.merged_json(None)).unwrap().same_as(&new));
    }
}
