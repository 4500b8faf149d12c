//! The work under the lease: roll forward, ask HubSpot, write the version, commit.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Access, TokenRequest, Unusable, UsableTokens, VERSION_KEPT, check, describe};
use crate::error::Error;
use crate::hubspot::{Grant, Refusal};
use crate::integration::{Integration, Pointer, Status, TokenState};
use crate::lease::Lease;
use crate::refresh_policy::{self, Purpose, RefreshEnd};
use crate::store::WriteResult;
use crate::store::secrets::{Version, VersionStage};
use crate::tokens::Tokens;

/// How an attempt under the lease ends.
pub(super) enum Attempt {
    /// With tokens, committed or still good.
    Tokens(UsableTokens),
    /// Somebody else has moved the record on: look again.
    Again,
    /// Without, and this is noted on the record.
    Ended(RefreshEnd, Unusable),
}

/// HubSpot's answer to a refresh.
struct Answered<'a> {
    /// The version whose refresh token was shown.
    spent: &'a Version,
    grant: Grant,
    /// When the request was sent.
    sent_at: i64,
}

impl Access {
    /// One attempt under the lease, which it releases whatever its end.
    pub(super) async fn attempt(&self, leased: &Integration, lease: &Lease, request: &TokenRequest<'_>) -> Attempt {
        // It moves with a roll forward.
        let mut fence = leased.pointer.clone();
        let attempt = match &mut fence {
            Some(fence) => self.refresh(leased, lease, request, fence).await,
            // The record has given up its tokens since it was read: look again.
            None => Ok(Attempt::Again),
        };
        let attempt = attempt.unwrap_or_else(|unusable| Attempt::Ended(RefreshEnd::Released, unusable));
        let end = match &attempt {
            // The commit has released it.
            Attempt::Tokens(granted) if granted.refreshed => None,
            Attempt::Tokens(_) | Attempt::Again => Some(RefreshEnd::Released),
            Attempt::Ended(end, _) => Some(end.clone()),
        };
        if let Some(end) = end {
            let (account_id, integration_id) = (&leased.account_id, &leased.integration_id);
            match (self.store.end_lease(leased, &lease.owner, fence.as_ref(), &end).await, end) {
                (Ok(()), RefreshEnd::Revoked { reason: Some(reason), .. }) => {
                    tracing::warn!(%account_id, %integration_id, outcome = "needs_reauthorization", reason,
                        reauthorizations_needed = 1, "HubSpot no longer accepts the authorization");
                }
                (Ok(()), _) => {}
                (Err(error), _) => tracing::warn!(%account_id, %integration_id, cause = %error,
                    "a lease could not be released; it lapses by itself"),
            }
        }
        attempt
    }

    async fn refresh(
        &self,
        leased: &Integration,
        lease: &Lease,
        request: &TokenRequest<'_>,
        fence: &mut Pointer,
    ) -> Result<Attempt, Unusable> {
        // Somebody may just have done it, or failed to.
        let now = self.clock.now();
        if leased.status == Status::NeedsReauthorization && request.purpose == Purpose::Execution {
            return Err(Unusable::Revoked);
        }
        if let Some(until) = leased.refresh_not_before.filter(|until| *until > now) {
            return Err(Unusable::transient(until - now, "refreshes of this integration pause after a failure"));
        }
        if let Some(granted) = self.usable_from_cache(leased, request) {
            return Ok(Attempt::Tokens(granted));
        }

        // Somebody may have died between the two writes.
        let current = self.store.version_at_stage(&fence.secret_id, VersionStage::Current).await?;
        let Some(current) = current else { return self.secret_missing(leased).await };
        check(leased, &current.tokens)?;
        let base = if current.pointer == *fence {
            if self.is_usable(leased, fence, &current.tokens, request) {
                return Ok(self.already_refreshed(current));
            }
            current
        } else if current.tokens.replaces.contains(&fence.secret_version) {
            if self.outlives_margin(leased, current.tokens.expires_at, &current.tokens, request)
                && request.rejected != Some(current.pointer.secret_version.as_str())
            {
                return self.commit(leased, lease, fence, current, request).await;
            }
            let settled = self.settled(leased, &current, request);
            if self.store.roll_forward(leased, fence, &settled).await? == WriteResult::ConditionFailed {
                return Ok(Attempt::Again);
            }
            *fence = current.pointer.clone();
            current
        } else {
            match self.store.secret_version(fence).await? {
                Some(tokens) => {
                    check(leased, &tokens)?;
                    let version = Version { pointer: fence.clone(), tokens };
                    if self.is_usable(leased, fence, &version.tokens, request) {
                        return Ok(self.already_refreshed(version));
                    }
                    version
                }
                None if leased.token_expires_at + VERSION_KEPT < self.clock.now() => current,
                None => return Err(self.not_found(leased)),
            }
        };
        if let Err(refusal) = self.hubspot.load_credentials().await {
            return Ok(self.back_off(leased, refusal));
        }
        // Right before the call, with nothing awaited in between: who has stood still since it got the lease may show a
        // refresh token that another has spent.
        if !self.time_for_a_refresh(request, lease.until) {
            return Ok(Attempt::Ended(RefreshEnd::Released, Unusable::transient(1, "no time left for a refresh")));
        }

        let sent_at = self.clock.now();
        match self.hubspot.refresh(&base.tokens.refresh_token).await {
            Ok(grant) => {
                let answered = Answered { spent: &base, grant, sent_at };
                self.store_and_commit(leased, lease, fence, request, answered).await
            }
            Err(Refusal::Revoked) => self.on_refused(leased, lease, request, fence, base).await,
            Err(refusal) => Ok(self.back_off(leased, refusal)),
        }
    }

    /// Good tokens that the record points at: another has refreshed while the lease was on its way.
    fn already_refreshed(&self, version: Version) -> Attempt {
        self.cache_tokens(&version.pointer, &version.tokens);
        Attempt::Tokens(UsableTokens { version, refreshed: false })
    }

    /// HubSpot refused the refresh token: another's success, a lost answer or a revocation?
    async fn on_refused(
        &self,
        leased: &Integration,
        lease: &Lease,
        request: &TokenRequest<'_>,
        fence: &Pointer,
        tried: Version,
    ) -> Result<Attempt, Unusable> {
        let now = self.clock.now();
        let Some(record) = self.store.reread(leased).await? else { return Err(Unusable::Gone) };
        if record.pointer.as_ref() != Some(fence) {
            let same_secret = record.pointer.as_ref().is_some_and(|pointer| pointer.secret_id == fence.secret_id);
            if same_secret && now > lease.until {
                // We have shown, late, what another had spent, and a server that rotates strictly punishes that.
                self.store.mark_unverified(&record, now).await?;
            }
            return Ok(Attempt::Again);
        }
        if record.ambiguous_until.is_some_and(|until| now < until) {
            let refusal = Refusal::Transient {
                retry_after: None,
                cause: "the refresh token is refused while an earlier holder of the lease may still come back"
                    .to_owned(),
            };
            return Ok(self.back_off(&record, refusal));
        }
        for candidate in self.candidates(&record, fence, &tried).await? {
            if !self.time_for_a_refresh(request, lease.until) {
                return Ok(Attempt::Ended(RefreshEnd::Released, Unusable::transient(1, "no time left for a refresh")));
            }
            let sent_at = self.clock.now();
            match self.hubspot.refresh(&candidate.tokens.refresh_token).await {
                Ok(grant) => {
                    let answered = Answered { spent: &candidate, grant, sent_at };
                    return self.store_and_commit(leased, lease, fence, request, answered).await;
                }
                Err(Refusal::Revoked) => {}
                Err(refusal) => return Ok(self.back_off(&record, refusal)),
            }
        }
        Ok(Attempt::Ended(refresh_policy::after_revocation(&record, self.clock.now()), Unusable::Revoked))
    }

    /// The labelled versions whose refresh tokens may still be good, latest first; never one that is known to be spent.
    async fn candidates(
        &self,
        record: &Integration,
        fence: &Pointer,
        tried: &Version,
    ) -> Result<Vec<Version>, Unusable> {
        let current = self.store.version_at_stage(&fence.secret_id, VersionStage::Current).await?;
        let previous = self.store.version_at_stage(&fence.secret_id, VersionStage::Previous).await?;
        let labelled: Vec<Version> = current.into_iter().chain(previous).collect();
        let spent: Vec<String> =
            labelled.iter().chain([tried]).flat_map(|version| version.tokens.replaces.iter().cloned()).collect();
        let used = tried.tokens.refresh_token.expose_secret();
        let mut candidates: Vec<Version> = labelled
            .into_iter()
            .filter(|version| version.pointer != tried.pointer && !spent.contains(&version.pointer.secret_version))
            .filter(|version| version.tokens.refresh_token.expose_secret() != used && version.tokens.belong_to(record))
            .collect();
        candidates.sort_by_key(|version| std::cmp::Reverse(version.tokens.obtained_at));
        Ok(candidates)
    }

    /// Writes HubSpot's answer, first the version, then the pointer. Both are tried until the function's own end:
    /// the answer may be the only copy of a refresh token.
    async fn store_and_commit(
        &self,
        leased: &Integration,
        lease: &Lease,
        fence: &Pointer,
        request: &TokenRequest<'_>,
        Answered { spent, grant, sent_at }: Answered<'_>,
    ) -> Result<Attempt, Unusable> {
        if let (Some(known), Some(other)) = (leased.hub_id, grant.hub_id)
            && known != other
        {
            // Never adopted, so not written either: whatever it is, it is not this integration's authorization.
            let cause = format!("{}: HubSpot answered for another portal than the record's", describe(leased));
            tracing::error!(account_id = %leased.account_id, integration_id = %leased.integration_id, "{cause}");
            return Ok(self.back_off(leased, Refusal::Misconfigured { invalid_client: false, cause }));
        }
        let mut replaces = vec![fence.secret_version.clone()];
        if spent.pointer.secret_version != fence.secret_version {
            replaces.push(spent.pointer.secret_version.clone());
        }
        let tokens = Tokens {
            account_id: leased.account_id.clone(),
            integration_id: leased.integration_id.clone(),
            access_token: grant.access_token,
            refresh_token: grant.refresh_token.unwrap_or_else(|| spent.tokens.refresh_token.clone()),
            token_type: "bearer".to_owned(),
            obtained_at: sent_at,
            expires_at: sent_at + grant.expires_in,
            scopes: grant.scopes.unwrap_or_else(|| spent.tokens.scopes.clone()),
            hub_id: grant.hub_id.or(leased.hub_id),
            replaces,
        };
        let secret_version = uuid::Uuid::now_v7().to_string();
        loop {
            match self.store.put_secret(&fence.secret_id, &secret_version, &tokens).await {
                Ok(WriteResult::Applied) => break,
                Ok(WriteResult::ConditionFailed) => return self.secret_missing(leased).await,
                Err(error) if self.should_retry_write(request, &error).await => {}
                // A pause, or everybody who comes next would ask HubSpot again.
                Err(error) => return Ok(self.back_off(leased, error.into())),
            }
        }
        let pointer = Pointer { secret_id: fence.secret_id.clone(), secret_version };
        self.commit(leased, lease, fence, Version { pointer, tokens }, request).await
    }

    async fn commit(
        &self,
        leased: &Integration,
        lease: &Lease,
        fence: &Pointer,
        version: Version,
        request: &TokenRequest<'_>,
    ) -> Result<Attempt, Unusable> {
        let mut settled = self.settled(leased, &version, request);
        let now = self.clock.now();
        if now > lease.until {
            // Another may have shown the same refresh token meanwhile.
            settled.unverified_since = Some(now);
            settled.refresh_at = now + 1;
        }
        loop {
            match self.store.commit(leased, fence, &settled).await {
                Ok(WriteResult::Applied) => break,
                Ok(WriteResult::ConditionFailed) => return Ok(Attempt::Again),
                Err(error) if self.should_retry_write(request, &error).await => {}
                Err(error) => return Ok(self.back_off(leased, error.into())),
            }
        }
        self.cache_tokens(&version.pointer, &version.tokens);
        Ok(Attempt::Tokens(UsableTokens { version, refreshed: true }))
    }

    /// Whether to try a write again that AWS did not do: as long as the function lives, after a short pause.
    async fn should_retry_write(&self, request: &TokenRequest<'_>, error: &Error) -> bool {
        let passes = matches!(error, Error::TemporarilyUnavailable { .. });
        if !passes || self.clock.remaining(request.function_deadline) < Duration::from_secs(1) {
            return false;
        }
        self.clock.sleep(Duration::from_millis(200)).await;
        true
    }

    /// The secret is gone: a reconnect or a disconnect has won, or somebody has deleted it by hand.
    async fn secret_missing(&self, leased: &Integration) -> Result<Attempt, Unusable> {
        let Some(record) = self.store.reread(leased).await? else { return Err(Unusable::Gone) };
        if record.pointer != leased.pointer {
            return Ok(Attempt::Again);
        }
        Err(self.not_found(&record))
    }

    fn settled(&self, record: &Integration, version: &Version, request: &TokenRequest<'_>) -> TokenState {
        TokenState {
            pointer: version.pointer.clone(),
            token_expires_at: version.tokens.expires_at,
            scopes: version.tokens.scopes.clone(),
            hub_id: version.tokens.hub_id,
            refresh_at: self.next_look(record, &version.tokens, request),
            unverified_since: None,
        }
    }

    fn next_look(&self, record: &Integration, tokens: &Tokens, request: &TokenRequest<'_>) -> i64 {
        let now = self.clock.now();
        let idle = request.purpose == Purpose::Schedule && record.is_idle(now, self.config.idle_after);
        refresh_policy::next_refresh_at(tokens.expires_at, tokens.lifetime(), idle, now, &self.config)
    }

    fn back_off(&self, record: &Integration, refusal: Refusal) -> Attempt {
        let now = self.clock.now();
        let asked = if let Refusal::Transient { retry_after, .. } = &refusal { *retry_after } else { None };
        let end = match refusal {
            Refusal::Lost { .. } => refresh_policy::after_lost_answer(record, now),
            Refusal::Revoked | Refusal::Transient { .. } | Refusal::Misconfigured { .. } => {
                refresh_policy::after_failure(record, asked, now)
            }
        };
        let retry_after = if let RefreshEnd::Backoff { until, .. } = &end { until - now } else { 1 };
        let unusable = match refusal {
            Refusal::Revoked => Unusable::Revoked,
            Refusal::Transient { cause, .. } | Refusal::Lost { cause } => Unusable::Transient { retry_after, cause },
            Refusal::Misconfigured { invalid_client, cause } => {
                Unusable::Misconfigured { invalid_client, retry_after, cause }
            }
        };
        Attempt::Ended(end, unusable)
    }
}
