//! The ids of accounts and integrations, checked once where they enter.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// A customer: 1–128 of `A-Za-z0-9_.:@-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// The id of one instance of an account's HubSpot connection: 1–64 of `A-Za-z0-9_-`, unique within the account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IntegrationId(String);

impl TryFrom<String> for AccountId {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.:@-".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        Err(Refusal::InvalidRequest("account_id: 1 to 128 characters of A-Z a-z 0-9 _ . : @ - are expected".to_owned()))
    }
}

impl TryFrom<String> for IntegrationId {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        Err(Refusal::InvalidRequest("integration_id: 1 to 64 characters of A-Z a-z 0-9 _ - are expected".to_owned()))
    }
}

impl IntegrationId {
    /// A new id: a random UUID, version 7.
    pub fn random() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl AccountId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IntegrationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl From<IntegrationId> for String {
    fn from(id: IntegrationId) -> Self {
        id.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_their_alphabet_and_nothing_else() {
        for good in ["acc_1", "a:b@c.d-e", &"x".repeat(128)] {
            assert!(AccountId::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", " a", "a b", "a/b", "ä", "a\n", &"x".repeat(129)] {
            assert!(AccountId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for bad in ["", "a.b", "a:b", "a b", &"x".repeat(65)] {
            assert!(IntegrationId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
