//! Integrations that are there from the start, without the steps of a browser.

use serde_json::json;
use shared::config::Reader;
use shared::integration::{AccountId, Integration, shard};
use shared::store::{Store, WriteResult};
use shared::tokens::Tokens;

use super::Stack;
use crate::hubspot::PORTAL;

/// The scopes of planted integrations.
pub const SCOPES: &[&str] = &["crm.objects.contacts.read"];

impl Stack {
    /// A store of its own, as another process has one.
    #[must_use]
    pub fn store(&self) -> Store {
        let environment = self.environment("token-refresh");
        Store::new(self.aws_config(), Reader::new(|name: &str| environment.get(name).cloned()).state())
    }

    /// Tokens of `record` that were obtained now.
    ///
    /// # Panics
    /// The shape of tokens has changed.
    #[must_use]
    pub fn tokens_of(&self, record: &Integration, access: &str, refresh: &str, replaces: &[&str]) -> Tokens {
        let now = self.hubspot.clock().now();
        let tokens = json!({
            "account_id": record.account_id, "integration_id": record.integration_id, "access_token": access,
            "refresh_token": refresh, "token_type": "bearer", "obtained_at": now, "expires_at": now + 1800,
            "scopes": SCOPES, "hub_id": PORTAL, "replaces": replaces,
        });
        serde_json::from_value(tokens).expect("tokens as they are stored")
    }

    /// An integration with fresh tokens of the HubSpot emulator, written as a connect writes it. Its tokens expire, and
    /// the schedule looks at it, in so many seconds.
    ///
    /// # Panics
    /// It cannot be written.
    pub async fn plant(&self, account: &str, sequence: i64, expires: i64, due: i64) -> Integration {
        let issued = self.hubspot.authorize(PORTAL, SCOPES);
        let now = self.hubspot.clock().now();
        let account_id = AccountId::try_from(account.to_owned()).expect("the account's id is one");
        let record = json!({
            "account_id": account, "sequence": sequence, "integration_id": format!("integration-{sequence}"),
            "created_at": now, "hub_id": PORTAL, "scopes": SCOPES, "status": "active",
            "token_expires_at": now + expires, "refresh_shard": shard(&account_id), "refresh_at": now + due, "schema": 1,
        });
        let mut record: Integration = serde_json::from_value(record).expect("a record as it is stored");
        let tokens = self.tokens_of(&record, &issued.access_token, &issued.refresh_token, &[]);
        record.pointer = Some(self.store().create_secret(&tokens).await.expect("a secret is created"));
        assert_eq!(self.store().insert(&record).await.expect("a record is written"), WriteResult::Applied);
        record
    }
}
