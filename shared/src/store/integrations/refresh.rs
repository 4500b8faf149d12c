//! The lease of a refresh, and what an attempt under it writes.

use super::{UpdateResult, contains, parse_record, string_list};
use crate::error::Error;
use crate::integration::{Integration, Pointer, TokenState, shard};
use crate::lease::Lease;
use crate::refresh_policy::RefreshEnd;
use crate::store::write::{About, Write};
use crate::store::{Store, WriteError, WriteResult, n, s};

impl Store {
    /// Takes the lease of a refresh; none if somebody else has it. The record comes back as it is under the lease.
    pub async fn take_lease(
        &self,
        record: &Integration,
        lease: &Lease,
        now: i64,
    ) -> Result<Option<Integration>, Error> {
        let mut write = Write::of(record).set("lease_owner", s(&lease.owner)).set("lease_until", n(lease.until));
        if let Some(until) = lease.ambiguous_until {
            write = write.set("ambiguous_until", n(until));
        }
        // Should the holder die, the schedule looks after it soon: an idle integration would be looked at, or used,
        // only after hours, when a refresh token that was replaced meanwhile may be accepted no more.
        let lapsed = lease.until + Lease::SKEW + 1;
        if record.refresh_at.is_some_and(|at| at > lapsed) {
            write = write.set("refresh_at", n(lapsed));
        }
        write = match &record.lease_owner {
            None => write.if_absent("lease_owner"),
            Some(owner) => write.if_equal("lease_owner", s(owner)).if_less("lease_until", n(now - Lease::SKEW)),
        };
        match self.update(write).await? {
            UpdateResult::Applied(item) => parse_record(item).map(Some),
            UpdateResult::ConditionFailed(Some(item)) if contains(Some(&item), "lease_owner", &lease.owner) => {
                parse_record(item).map(Some)
            }
            UpdateResult::ConditionFailed(_) => Ok(None),
        }
    }

    /// Points the record at a version that a process wrote before it died, and keeps the lease.
    pub async fn roll_forward(
        &self,
        record: &Integration,
        from: &Pointer,
        to: &TokenState,
    ) -> Result<WriteResult, Error> {
        let write = Write::of(record)
            .fence(from)
            .set("secret_version", s(&to.pointer.secret_version))
            .set("token_expires_at", n(to.token_expires_at));
        Ok(self.written(write, "secret_version", &to.pointer.secret_version).await?)
    }

    /// Points the record at new tokens, declares it sound and releases the lease: the commit of a refresh.
    ///
    /// The fence is the pointer, not the lease: a late writer with tokens of an older pointer cannot commit.
    pub async fn commit(
        &self,
        record: &Integration,
        from: &Pointer,
        to: &TokenState,
    ) -> Result<WriteResult, WriteError> {
        let mut write = Write::of(record)
            .fence(from)
            .set("secret_version", s(&to.pointer.secret_version))
            .set("token_expires_at", n(to.token_expires_at))
            .set("status", s("active"))
            // Always: a late caller may not have seen the verdict that this overrules.
            .event("IntegrationRecovered", &self.acted_by, &About::sound(record))
            .set("refresh_shard", n(shard(&record.account_id)))
            .set("refresh_at", n(to.refresh_at));
        if !to.scopes.is_empty() {
            write = write.set("scopes", string_list(&to.scopes));
        }
        if let (None, Some(hub_id)) = (record.hub_id, to.hub_id) {
            write = write.set("hub_id", n(hub_id));
        }
        if let Some(hub) = to.named_hub {
            write = write.set("hub", s(hub.as_str()));
        }
        for name in
            ["superseded_at", "failures", "refresh_not_before", "refused_since", "status_reason", "status_since"]
        {
            write = write.remove(name);
        }
        write = match to.unverified_since {
            Some(at) => write.set("ambiguous_until", n(at)),
            None => write.remove("ambiguous_until"),
        };
        write = write.remove("lease_owner").remove("lease_until");
        self.written(write, "secret_version", &to.pointer.secret_version).await
    }

    /// Ends an attempt to refresh without new tokens, and releases the lease if it is still `owner`'s.
    ///
    /// A judgement is about the tokens that were tried, so it is fenced by their pointer; a mere release is not.
    pub async fn end_lease(
        &self,
        record: &Integration,
        owner: &str,
        fence: Option<&Pointer>,
        end: &RefreshEnd,
    ) -> Result<(), Error> {
        let mut write = Write::of(record).if_equal("lease_owner", s(owner));
        write = write.remove("lease_owner").remove("lease_until");
        if let Some(fence) = fence.filter(|_| *end != RefreshEnd::Released) {
            write = write.fence(fence);
        }
        match end {
            RefreshEnd::Released => {}
            RefreshEnd::ProofRequested { at } => {
                write = write.set("proof_requested_at", n(*at)).set("refresh_at", n(*at));
                write = write.set("refresh_shard", n(shard(&record.account_id)));
            }
            RefreshEnd::Backoff { until, failures, ambiguous_until, refused_since } => {
                if let Some(since) = refused_since {
                    write = write.set("refused_since", n(*since));
                }
                write = write.set("refresh_not_before", n(*until)).set("failures", n(*failures));
                if let Some(until) = ambiguous_until {
                    write = write.set("ambiguous_until", n(*until));
                }
                if record.refresh_at.is_some() {
                    write = write.set("refresh_at", n(*until));
                }
            }
            RefreshEnd::Revoked { reason, at, failures, refresh_at } => {
                write = write.set("status", s("needs_reauthorization")).set("failures", n(*failures));
                let about = About::of(record);
                let about = match reason {
                    Some(reason) => About { status_reason: Some(reason), status_since: Some(*at), ..about },
                    None => about,
                };
                write = write.event("IntegrationNeedsReauthorization", &self.acted_by, &about);
                write = write.remove("ambiguous_until").remove("refresh_not_before").remove("refused_since");
                if let Some(reason) = reason {
                    write = write.set("status_reason", s(*reason)).set("status_since", n(*at));
                }
                write = match refresh_at {
                    Some(at) => write.set("refresh_at", n(*at)).set("refresh_shard", n(shard(&record.account_id))),
                    None => write.remove("refresh_at").remove("refresh_shard"),
                };
            }
        }
        Ok(self.update(write).await.map(drop)?)
    }

    /// Lets the schedule find out whether HubSpot still accepts an authorization.
    pub async fn mark_unverified(&self, record: &Integration, now: i64) -> Result<(), Error> {
        let write = Write::of(record).set("ambiguous_until", n(now)).set("refresh_at", n(now));
        Ok(self.update(write.set("refresh_shard", n(shard(&record.account_id)))).await.map(drop)?)
    }
}
