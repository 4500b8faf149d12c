//! One instance of an account's HubSpot connection, and the rule of the newest.

use guard::hubs::Hub;
pub use guard::ids::{AccountId, IntegrationId};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Number of partitions of the index of due integrations.
pub const REFRESH_SHARDS: u8 = 16;

/// The validity of the integration's authorization at HubSpot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does, as far as is known.
    Active,
    /// It does not: an admin has to reconnect. Only the schedule tries such a one again.
    NeedsReauthorization,
}

/// The use of an integration for an execution now, by its record alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It executes.
    Ready,
    /// HubSpot no longer accepts its authorization; it executes until its access token expires at this time.
    ReadyUntil(i64),
    /// An admin has to authorize it again first.
    NeedsReauthorization,
    /// It is active without a secret: corrupt.
    WithoutTokens,
}

/// The record of one integration in the table `integrations`.
///
/// Times are epoch seconds. Attributes that this version does not know survive, since a record is only ever changed
/// by single attributes.
///
/// Invariant: the account's newest integration is the one with the highest `sequence`, whatever its status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Integration {
    /// Partition key.
    pub account_id: AccountId,
    /// Sort key: 1, 2, … for connects, negative for imported ones.
    pub sequence: i64,
    /// The instance's id.
    pub integration_id: IntegrationId,
    /// When it was connected.
    pub created_at: i64,
    /// The admin who connected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_by: Option<String>,
    /// HubSpot's id of the portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<u64>,
    /// The scopes that HubSpot granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Its validity at HubSpot.
    pub status: Status,
    /// Why the status is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Since when it needs reauthorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_since: Option<i64>,
    /// Where its tokens lie.
    #[serde(flatten)]
    pub pointer: Option<Pointer>,
    /// When the access token of the pointed-at version expires.
    #[serde(default)]
    pub token_expires_at: i64,
    /// When it last executed something, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<i64>,
    /// When the schedule first found it superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_at: Option<i64>,
    /// Until when HubSpot's rate limit of its portal is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<i64>,
    /// Until when HubSpot's limit of searches in its portal is used up; other calls have their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_cooldown_until: Option<i64>,
    /// The regional hub that HubSpot named for its portal, by a name of the fixed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// Refreshes that failed since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Until when nobody asks HubSpot's token endpoint again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_not_before: Option<i64>,
    /// The holder of the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// Until when that one may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<i64>,
    /// Until when an earlier holder of the lease, whose end nobody saw, may still come back with an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambiguous_until: Option<i64>,
    /// When the schedule was last asked to prove the grant with HubSpot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_requested_at: Option<i64>,
    /// Since when HubSpot has refused every refresh in words that are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<i64>,
    /// Partition of the index of due integrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_shard: Option<u8>,
    /// When the schedule looks at it next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_at: Option<i64>,
    /// Version of this layout.
    #[serde(default)]
    pub schema: u32,
}

/// Integrations of one account that can have tokens at a time.
pub const MOST_CONNECTED: usize = 10;

/// Returns how many of an account's integrations have tokens.
pub fn connected(all: &[Integration]) -> usize {
    all.iter().filter(|integration| integration.pointer.is_some()).count()
}

/// The exact version of the secret that holds an integration's current tokens: the commit point of every refresh.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pointer {
    /// The secret's name.
    pub secret_id: String,
    /// Its version.
    pub secret_version: String,
}

/// Tokens that a record is to point at.
#[derive(Clone, Debug)]
pub struct TokenState {
    /// Where they lie.
    pub pointer: Pointer,
    /// When the access token expires.
    pub token_expires_at: i64,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// HubSpot's id of the portal.
    pub hub_id: Option<u64>,
    /// The regional hub that HubSpot has just named for it.
    pub named_hub: Option<Hub>,
    /// When the schedule looks again.
    pub refresh_at: i64,
    /// Set when another may have shown the same refresh token meanwhile: the schedule finds out what became of it.
    pub unverified_since: Option<i64>,
}

impl Integration {
    /// An integration that has these tokens and has not been used yet.
    pub fn new(key: Key, integration_id: IntegrationId, created_at: i64, settled: TokenState) -> Self {
        Self {
            refresh_shard: Some(shard(&key.account_id)),
            account_id: key.account_id,
            sequence: key.sequence,
            integration_id,
            created_at,
            connected_by: None,
            hub_id: settled.hub_id,
            scopes: settled.scopes,
            status: Status::Active,
            status_reason: None,
            status_since: None,
            pointer: Some(settled.pointer),
            token_expires_at: settled.token_expires_at,
            last_used_at: None,
            superseded_at: None,
            cooldown_until: None,
            search_cooldown_until: None,
            hub: settled.named_hub.map(|hub| hub.as_str().to_owned()),
            failures: None,
            refresh_not_before: None,
            lease_owner: None,
            lease_until: None,
            ambiguous_until: None,
            proof_requested_at: None,
            refused_since: None,
            refresh_at: Some(settled.refresh_at),
            schema: 1,
        }
    }

    /// Returns true if it executed something in the last `idle_after` seconds; one that never did counts from its
    /// creation.
    pub fn is_idle(&self, now: i64, idle_after: i64) -> bool {
        self.last_used_at.unwrap_or(self.created_at) <= now.saturating_sub(idle_after)
    }

    /// The regional hub of its portal, if one is known.
    pub fn hub(&self) -> Option<Hub> {
        self.hub.as_deref().and_then(Hub::parse)
    }

    /// Its use for an execution now. Every prediction and the executions themselves follow this one decision.
    pub fn readiness(&self, now: i64) -> Readiness {
        match (self.status, &self.pointer) {
            (Status::Active, Some(_)) => Readiness::Ready,
            (Status::Active, None) => Readiness::WithoutTokens,
            (Status::NeedsReauthorization, Some(_)) if self.token_expires_at > now => {
                Readiness::ReadyUntil(self.token_expires_at)
            }
            (Status::NeedsReauthorization, _) => Readiness::NeedsReauthorization,
        }
    }

    /// Its key, for logs and requests.
    pub fn key(&self) -> Key {
        Key { account_id: self.account_id.clone(), sequence: self.sequence }
    }
}

/// Why an integration that is not the newest of an account that has `known` cannot be used: an older one, or unknown.
pub fn why_not_newest<'a>(mut known: impl Iterator<Item = &'a IntegrationId>, id: &IntegrationId) -> Error {
    if known.any(|one| one == id) { Error::IntegrationSuperseded } else { Error::IntegrationNotFound }
}

/// The primary key of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Partition key.
    pub account_id: AccountId,
    /// Sort key.
    pub sequence: i64,
}

/// The shard of an account in the index of due integrations.
pub fn shard(account_id: &AccountId) -> u8 {
    let digest = ring::digest::digest(&ring::digest::SHA256, account_id.as_str().as_bytes());
    digest.as_ref()[0] % REFRESH_SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_integration_is_ready_until_its_access_token_expires() {
        let secret = r#","secret_id":"s","secret_version":"v""#;
        for (status, secret, expires_at, expected) in [
            ("active", secret, 0, Readiness::Ready),
            ("active", "", 101, Readiness::WithoutTokens),
            ("needs_reauthorization", secret, 101, Readiness::ReadyUntil(101)),
            ("needs_reauthorization", secret, 100, Readiness::NeedsReauthorization),
            ("needs_reauthorization", "", 101, Readiness::NeedsReauthorization),
        ] {
            let record = format!(
                r#"{{"account_id":"a","sequence":1,"integration_id":"i","created_at":0,"status":"{status}",
                    "token_expires_at":{expires_at}{secret}}}"#
            );
            let record: Integration = serde_json::from_str(&record).unwrap();
            assert_eq!(record.readiness(100), expected, "{status} {secret} {expires_at}");
        }
    }

    #[test]
    fn an_integration_that_never_executed_counts_as_used_when_it_was_created() {
        let record: Integration = serde_json::from_str(
            r#"{"account_id":"a","sequence":1,"integration_id":"i","created_at":1000,"status":"active"}"#,
        )
        .unwrap();

        assert!(!record.is_idle(1099, 100));
        assert!(record.is_idle(1100, 100));
        assert!(record.pointer.is_none());
    }
}
