//! Invariants of every history, checked against the tables, the secrets and HubSpot.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use shared::integration::{Integration, Status};

use super::fleet::{Customer, Fleet};

/// The history of one customer so far, moment by moment: one before and one after each act.
#[derive(Default)]
pub(crate) struct Truth {
    /// The newest integration at each moment.
    newest: Vec<Option<String>>,
    /// The integration that an authorization at HubSpot belongs to.
    integrations: HashMap<usize, String>,
    /// The integration in whose secret an access token was seen: several may share an authorization.
    tokens: HashMap<String, String>,
    /// When the tokens were obtained that a secret's pointed-at version held last.
    obtained: BTreeMap<String, i64>,
    /// Everything that was wrong.
    pub(crate) wrong: Vec<String>,
}

impl Truth {
    /// Looks at everything; the number of this moment.
    pub(crate) fn look(&mut self, fleet: &Fleet, customer: &Customer, records: &[Integration]) -> usize {
        for secret in fleet.stack.secrets_manager.secrets() {
            for version in &secret.versions {
                let tokens = version.value.json();
                if tokens["account_id"] == customer.account.as_str()
                    && let (Some(access), Some(id)) =
                        (tokens["access_token"].as_str(), tokens["integration_id"].as_str())
                    && let Some((hub_id, grant)) = fleet.stack.hubspot.token(access)
                {
                    self.integrations.insert(grant, id.to_owned());
                    self.tokens.insert(access.to_owned(), id.to_owned());
                    if hub_id != customer.hub_id {
                        self.wrong.push(format!("the tokens of another portal are stored for {id}"));
                    }
                }
            }
        }
        for record in records {
            self.look_at_tokens(fleet, record);
        }
        self.newest.push(records.first().map(|newest| newest.integration_id.to_string()));
        self.newest.len() - 1
    }

    /// Older tokens never take the place of newer ones.
    fn look_at_tokens(&mut self, fleet: &Fleet, record: &Integration) {
        let Some(pointer) = &record.pointer else { return };
        let secret = fleet.stack.secrets_manager.secret(&pointer.secret_id);
        let versions = secret.map(|secret| secret.versions).unwrap_or_default();
        let Some(version) = versions.iter().find(|version| version.id == pointer.secret_version) else {
            // Gone between the two looks, or for good: then the integration cannot be used in the end.
            return;
        };
        let obtained = version.value.json()["obtained_at"].as_i64().unwrap_or_default();
        let before = self.obtained.insert(pointer.secret_id.clone(), obtained);
        if before.is_some_and(|before| before > obtained + 5) {
            self.wrong.push(format!("older tokens have taken the place of newer ones in {}", record.integration_id));
        }
    }

    /// An execution was done by the newest, with its own tokens.
    pub(crate) fn judge_execution(&mut self, fleet: &Fleet, customer: &Customer, seen: &Executed) {
        let newest = &self.newest[seen.began..=seen.ended];
        for request in fleet.requests(&seen.mark) {
            let token = request.header("authorization").unwrap_or_default().replace("Bearer ", "");
            let Some((hub_id, grant)) = fleet.stack.hubspot.token(&token) else {
                self.wrong.push(format!("{} carried a token that HubSpot has never issued", seen.mark));
                continue;
            };
            if hub_id != customer.hub_id {
                self.wrong.push(format!("{} carried the token of another portal", seen.mark));
            }
            let imported = fleet.imported.borrow();
            // What was used before it was ever seen in a secret, which a reconnect may have deleted since.
            let known = self.tokens.get(&token).or_else(|| self.integrations.get(&grant));
            match known.or_else(|| imported.get(&grant)) {
                Some(used) if newest.contains(&Some(used.clone())) => {}
                used => self.wrong.push(format!("{} was executed by {used:?}, the newest was {newest:?}", seen.mark)),
            }
        }
        let answer = seen.answer.as_ref().unwrap_or(&Value::Null);
        if let Some(id) = answer["integration_id"].as_str()
            && seen.wanted.as_deref().is_some_and(|wanted| wanted != id)
        {
            self.wrong.push(format!("{} asked for another integration than it was executed by", seen.mark));
        }
    }

    /// Returns true if HubSpot still accepts a refresh token in any version of the record's secret.
    pub(crate) fn holds(fleet: &Fleet, record: &Integration) -> bool {
        let secret = record.pointer.as_ref().and_then(|at| fleet.stack.secrets_manager.secret(&at.secret_id));
        let versions = secret.map(|secret| secret.versions).unwrap_or_default();
        versions.iter().any(|version| {
            let tokens = version.value.json();
            tokens["refresh_token"].as_str().is_some_and(|token| fleet.stack.hubspot.accepts(token))
        })
    }

    /// HubSpot was never asked for a new token while the last one was good for long: within the quarter of an hour
    /// after a refresh one was enough.
    pub(crate) fn judge_refreshes(&mut self, fleet: &Fleet, customer: &Customer) {
        for (grant, issued) in fleet.stack.hubspot.issues(customer.hub_id) {
            // The first token of an imported integration was another system's.
            let imported = fleet.imported.borrow().contains_key(&grant);
            let issued = &issued[usize::from(imported)..];
            if issued.windows(2).any(|two| two[1] - two[0] < 900_000) {
                self.wrong.push(format!("tokens of one authorization were refreshed at {issued:?} ms"));
            }
        }
    }

    /// A lost integration is marked, with the reason.
    pub(crate) fn judge_loss(&mut self, record: &Integration) {
        let reason = record.status_reason.as_deref();
        if record.status != Status::NeedsReauthorization || reason != Some("refresh_interrupted") {
            self.wrong
                .push(format!("{} is lost, and its record says {:?} {reason:?}", record.integration_id, record.status));
        }
    }
}

/// One execution, as far as a test can see it.
pub(crate) struct Executed {
    pub(crate) mark: String,
    pub(crate) wanted: Option<String>,
    pub(crate) began: usize,
    pub(crate) ended: usize,
    /// None if its process was killed.
    pub(crate) answer: Option<Value>,
}
