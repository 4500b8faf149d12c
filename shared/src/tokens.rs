//! What lies in Secrets Manager: an integration's tokens and the app's credentials, both kept from view.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::integration::{AccountId, Integration, IntegrationId};

/// The tokens of one authorization, as one version of its secret holds them. Times are epoch seconds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// Whose they are; another account's are never served.
    pub account_id: AccountId,
    /// Which integration's they are.
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
    /// What HubSpot granted.
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
        (self.expires_at - self.obtained_at).max(0)
    }

    /// Whether they are those of `record`.
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
#[derive(Clone, Deserialize)]
pub struct AppCredentials {
    /// The app's client id.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: SecretString,
    /// The one before, during a rotation.
    #[serde(default)]
    pub previous_client_secret: Option<SecretString>,
}

impl AppCredentials {
    /// Whether both hold the same client id and secret.
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
        let app: AppCredentials = serde_json::from_str(
            r#"{"client_id":"s3cret","client_secret":"s3cret","previous_client_secret":"s3cret"}"#,
        )
        .unwrap();

        assert_eq!(format!("{tokens:?} {app:?}"), "Tokens([REDACTED]) AppCredentials([REDACTED])");
        assert_eq!(tokens.lifetime(), 1800);
    }
}
