//! The work under the lease: roll forward, ask HubSpot, write the version, commit.

use std::time::Duration;

use guard::hubs::Hub;
use secrecy::ExposeSecret;

use super::decision::{Base, PROOF_TAKES, no_time};
use super::{Access, TokenRequest, UsableTokens, VERSION_KEPT, check, describe, found};
use crate::hubspot::Grant;
use crate::integration::{Integration, Pointer, Status, TokenState};
use crate::lease::Lease;
use crate::refresh_policy::{self, Purpose, RefreshEnd};
use crate::store::secrets::{Version, VersionStage};
use crate::store::{WriteError, WriteResult};
use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::{Misconfigured, Revoked};
use crate::tokens::Tokens;

/// The first pause before a write is repeated.
const FIRST_WRITE_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a write is repeated.
const LONGEST_WRITE_PAUSE: Duration = Duration::from_millis(3_200);

/// How a refresh under the lease ends.
pub(super) enum RefreshStep {
    /// With tokens, committed or still good.
    Tokens(UsableTokens),
    /// Another process has moved the record on: read it again.
    Reread,
    /// Another process has the lease.
    LeaseTaken,
    /// Without tokens, which the record then shows.
    Failed(RefreshEnd, TokenError),
}

/// HubSpot's answer to a refresh.
struct FreshGrant<'a> {
    /// The version whose refresh token was shown.
    spent: &'a Version,
    grant: Grant,
    /// When the request was sent.
    sent_at: i64,
}

/// A refresh under the lease.
pub(super) struct Refresh<'a> {
    access: &'a Access,
    record: &'a Integration,
    lease: &'a Lease,
    request: &'a TokenRequest<'a>,
    /// The pointer that every write is fenced by: it moves with a roll forward.
    fence: Pointer,
}

impl<'a> Refresh<'a> {
    /// Refreshes `record`, as it is under the lease, and releases the lease whatever the end.
    pub(super) async fn under(
        access: &'a Access,
        record: &'a Integration,
        lease: &'a Lease,
        request: &'a TokenRequest<'a>,
    ) -> RefreshStep {
        let Some(fence) = record.pointer.clone() else {
            // The record has dropped its tokens since it was read.
            access.release(record, lease, None, &RefreshEnd::Released).await;
            return RefreshStep::Reread;
        };
        let mut refresh = Refresh { access, record, lease, request, fence };
        let step = refresh.run().await.unwrap_or_else(|error| RefreshStep::Failed(RefreshEnd::Released, error));
        let end = match &step {
            // The commit has released it.
            RefreshStep::Tokens(tokens) if tokens.refreshed => return step,
            RefreshStep::Tokens(_) | RefreshStep::Reread | RefreshStep::LeaseTaken => &RefreshEnd::Released,
            RefreshStep::Failed(end, _) => end,
        };
        access.release(record, lease, Some(&refresh.fence), end).await;
        step
    }

    async fn run(&mut self) -> Result<RefreshStep, TokenError> {
        // Another process may just have done it, or failed to.
        if self.access.moment(self.request).is_closed(self.record) {
            return Ok(RefreshStep::Reread);
        }
        if let Some(error) = self.access.moment(self.request).paused(self.record) {
            return Err(error);
        }
        if let Some(tokens) = self.access.usable_from_cache(self.record, self.request)? {
            return Ok(RefreshStep::Tokens(tokens));
        }
        let base = match self.base().await? {
            Base::AlreadyRefreshed(version) => return Ok(self.already_refreshed(version)),
            Base::Commit(version) => return self.commit(version, None).await,
            Base::RollForward(version) => {
                let state = self.token_state(&version);
                if self.access.store.roll_forward(self.record, &self.fence, &state).await?
                    == WriteResult::ConditionFailed
                {
                    return Ok(RefreshStep::Reread);
                }
                self.fence = version.pointer.clone();
                version
            }
            Base::RefreshWith(version) => version,
            Base::Unrelated(_) | Base::SecretMissing => return self.secret_missing().await,
        };
        if let Err(error) = self.access.hubspot.load_credentials().await {
            return Ok(self.back_off(self.record, error));
        }
        let Some(sent_at) = self.send_time() else { return Ok(out_of_time()) };
        match self.access.hubspot.refresh(&base.tokens.refresh_token, self.record.hub()).await {
            Ok(grant) => self.store_and_commit(FreshGrant { spent: &base, grant, sent_at }).await,
            Err(error) if error.kind == Revoked => self.on_refused(base).await,
            Err(error) if self.is_long_refused(&error) => {
                let end = refresh_policy::after_long_refusal(self.access.clock.now());
                Ok(RefreshStep::Failed(end, TokenError::revoked()))
            }
            Err(error) => Ok(self.back_off(self.record, error)),
        }
    }

    /// Reads what the refresh starts from. A previous process may have crashed between its two writes.
    async fn base(&self) -> Result<Base, TokenError> {
        let store = &self.access.store;
        let current = store.version_at_stage(&self.fence.secret_id, VersionStage::Current).await?;
        let Some(current) = current else { return Ok(Base::SecretMissing) };
        check(self.record, &current.tokens)?;
        let moment = self.access.moment(self.request);
        let base = moment.base(self.record, &self.fence, current);
        let Base::Unrelated(current) = base else { return Ok(base) };
        let Some(tokens) = store.secret_version(&self.fence).await? else {
            let expected_until = self.record.token_expires_at.saturating_add(VERSION_KEPT);
            let gone = expected_until < self.access.clock.now();
            return if gone { Ok(Base::RefreshWith(current)) } else { Err(self.access.not_found(self.record)) };
        };
        check(self.record, &tokens)?;
        let pointed = Version { pointer: self.fence.clone(), tokens };
        Ok(self.access.moment(self.request).base_of_pointed(self.record, pointed))
    }

    /// The time at which the token endpoint is called, if there is time for that.
    ///
    /// Right before the call, with nothing awaited in between: a process that was frozen since it got the lease might
    /// show a refresh token that another has spent.
    fn send_time(&self) -> Option<i64> {
        let moment = self.access.moment(self.request);
        moment.has_time_for_refresh(self.lease).then(|| moment.now())
    }

    /// Usable tokens that the record points at: another process has refreshed while the lease was on its way.
    fn already_refreshed(&self, version: Version) -> RefreshStep {
        self.access.cache.insert(&version.pointer, &version.tokens);
        RefreshStep::Tokens(found(version))
    }

    /// HubSpot refused the refresh token: another's success, a lost answer or a revocation?
    async fn on_refused(&self, tried: Version) -> Result<RefreshStep, TokenError> {
        let now = self.access.clock.now();
        let Some(record) = self.access.store.reread(self.record).await? else { return Err(TokenError::gone()) };
        if record.pointer.as_ref() != Some(&self.fence) {
            let same_secret = record.pointer.as_ref().is_some_and(|pointer| pointer.secret_id == self.fence.secret_id);
            if same_secret && now > self.lease.until {
                // We have shown, late, what another had spent, and a server that rotates strictly punishes that.
                self.access.store.mark_unverified(&record, now).await?;
            }
            return Ok(RefreshStep::Reread);
        }
        if record.ambiguous_until.is_some_and(|until| now < until) {
            let cause = "the refresh token is refused while an earlier holder of the lease may still come back";
            return Ok(self.back_off(&record, TokenError::transient(cause)));
        }
        for candidate in self.candidates(&record, &tried).await? {
            let Some(sent_at) = self.send_time() else { return Ok(out_of_time()) };
            match self.access.hubspot.refresh(&candidate.tokens.refresh_token, self.record.hub()).await {
                Ok(grant) => return self.store_and_commit(FreshGrant { spent: &candidate, grant, sent_at }).await,
                Err(error) if error.kind == Revoked => {}
                Err(error) => return Ok(self.back_off(&record, error)),
            }
        }
        Ok(self.verdict(&record))
    }

    /// HubSpot accepts none of the refresh tokens. Only the schedule marks an integration for that, and not too many in
    /// a row.
    fn verdict(&self, record: &Integration) -> RefreshStep {
        let now = self.access.clock.now();
        if self.request.purpose == Purpose::Execution {
            let error = TokenError::transient("HubSpot refuses the refresh token; the schedule is to prove the grant");
            return RefreshStep::Failed(RefreshEnd::ProofRequested { at: now }, error.retry_in(PROOF_TAKES));
        }
        if record.status == Status::Active && !self.access.verdicts.may_believe() {
            let cause = "HubSpot refuses one integration after the other: the verdict is not believed";
            return self.back_off(record, TokenError::transient(cause));
        }
        RefreshStep::Failed(refresh_policy::after_revocation(record, now), TokenError::revoked())
    }

    /// HubSpot has refused in words that are not known, for a day, while it refreshes others.
    fn is_long_refused(&self, error: &TokenError) -> bool {
        let a_day_ago = self.access.clock.now().saturating_sub(86_400);
        error.kind == Misconfigured
            && self.request.purpose == Purpose::Schedule
            && self.record.status == Status::Active
            && self.record.refused_since.is_some_and(|since| since <= a_day_ago)
            && self.access.verdicts.others_refresh(self.access.clock.now())
    }

    /// The labelled versions whose refresh tokens may still be good, latest first; never one that is known to be spent.
    async fn candidates(&self, record: &Integration, tried: &Version) -> Result<Vec<Version>, TokenError> {
        let (store, secret_id) = (&self.access.store, &self.fence.secret_id);
        let current = store.version_at_stage(secret_id, VersionStage::Current).await?;
        let previous = store.version_at_stage(secret_id, VersionStage::Previous).await?;
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

    /// Writes HubSpot's answer, first the version, then the pointer. The answer may be the only copy of a
    /// refresh token.
    async fn store_and_commit(&self, fresh: FreshGrant<'_>) -> Result<RefreshStep, TokenError> {
        let record = self.record;
        if let (Some(known), Some(other)) = (record.hub_id, fresh.grant.hub_id)
            && known != other
        {
            // Never adopted, so not written either: whatever it is, it is not this integration's authorization.
            let cause = format!("{}: HubSpot answered for another portal than the record's", describe(record));
            let Integration { account_id, integration_id, .. } = record;
            tracing::error!(%account_id, %integration_id, "HubSpot answered for another portal than the record's");
            return Ok(self.back_off(record, TokenError::of(Misconfigured, cause)));
        }
        let named_hub = fresh.grant.named_hub;
        let tokens = self.tokens(fresh);
        let secret_version = uuid::Uuid::now_v7().to_string();
        let store = &self.access.store;
        match self.insist(async || store.put_secret(&self.fence.secret_id, &secret_version, &tokens).await).await {
            Ok(WriteResult::Applied) => {}
            Ok(WriteResult::ConditionFailed) => return self.secret_missing().await,
            // A pause, or every waiter would ask HubSpot again.
            Err(error) => return Ok(self.back_off(record, error)),
        }
        let pointer = Pointer { secret_id: self.fence.secret_id.clone(), secret_version };
        self.commit(Version { pointer, tokens }, named_hub).await
    }

    fn tokens(&self, FreshGrant { spent, grant, sent_at }: FreshGrant<'_>) -> Tokens {
        let mut replaces = vec![self.fence.secret_version.clone()];
        if spent.pointer.secret_version != self.fence.secret_version {
            replaces.push(spent.pointer.secret_version.clone());
        }
        Tokens {
            account_id: self.record.account_id.clone(),
            integration_id: self.record.integration_id.clone(),
            access_token: grant.access_token,
            refresh_token: grant.refresh_token.unwrap_or_else(|| spent.tokens.refresh_token.clone()),
            token_type: "bearer".to_owned(),
            obtained_at: sent_at,
            expires_at: sent_at.saturating_add(grant.expires_in),
            scopes: grant.scopes.unwrap_or_else(|| spent.tokens.scopes.clone()),
            hub_id: grant.hub_id.or(self.record.hub_id),
            replaces,
        }
    }

    async fn commit(&self, version: Version, named_hub: Option<Hub>) -> Result<RefreshStep, TokenError> {
        let mut state = TokenState { named_hub, ..self.token_state(&version) };
        let now = self.access.clock.now();
        if now > self.lease.until {
            // Another may have shown the same refresh token meanwhile.
            state.unverified_since = Some(now);
            state.refresh_at = now + 1;
        }
        match self.insist(async || self.access.store.commit(self.record, &self.fence, &state).await).await {
            Ok(WriteResult::Applied) => {}
            Ok(WriteResult::ConditionFailed) => return Ok(RefreshStep::Reread),
            Err(error) => return Ok(self.back_off(self.record, error)),
        }
        self.access.verdicts.record_success(self.access.clock.now());
        self.access.cache.insert(&version.pointer, &version.tokens);
        Ok(RefreshStep::Tokens(UsableTokens { version, refreshed: true, waited: false, named_hub }))
    }

    /// Repeats a write that fails for a reason that passes, with growing pauses, until the lease ends. A write that AWS
    /// refuses is not repeated: it would only keep a run from its other integrations.
    async fn insist(
        &self,
        write: impl AsyncFn() -> Result<WriteResult, WriteError>,
    ) -> Result<WriteResult, TokenError> {
        let mut pause = FIRST_WRITE_PAUSE;
        loop {
            match write().await {
                Ok(result) => return Ok(result),
                Err(WriteError::Passing(_)) if self.has_time_for_write(pause) => {}
                Err(WriteError::Passing(error)) => return Err(TokenError::transient(error.to_string())),
                Err(WriteError::Refused(error)) => {
                    let (account_id, integration_id) = (&self.record.account_id, &self.record.integration_id);
                    tracing::error!(%account_id, %integration_id, token_writes_refused = 1, cause = %error,
                        "AWS refused to write tokens");
                    return Err(TokenError::transient(error.to_string()));
                }
            }
            self.access.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_WRITE_PAUSE);
        }
    }

    fn has_time_for_write(&self, pause: Duration) -> bool {
        let clock = &self.access.clock;
        let needed = pause + Duration::from_secs(1);
        clock.remaining(self.request.function_deadline) >= needed
            && clock.remaining(self.lease.until.saturating_mul(1000)) >= pause
    }

    /// The secret is gone: a reconnect or a disconnect has won, or somebody has deleted it by hand.
    async fn secret_missing(&self) -> Result<RefreshStep, TokenError> {
        let Some(record) = self.access.store.reread(self.record).await? else { return Err(TokenError::gone()) };
        if record.pointer != self.record.pointer {
            return Ok(RefreshStep::Reread);
        }
        Err(self.access.not_found(&record))
    }

    fn token_state(&self, version: &Version) -> TokenState {
        TokenState {
            pointer: version.pointer.clone(),
            token_expires_at: version.tokens.expires_at,
            scopes: version.tokens.scopes.clone(),
            hub_id: version.tokens.hub_id,
            named_hub: None,
            refresh_at: self.next_refresh_at(&version.tokens),
            unverified_since: None,
        }
    }

    fn next_refresh_at(&self, tokens: &Tokens) -> i64 {
        let (now, config) = (self.access.clock.now(), &self.access.config);
        if self.request.purpose == Purpose::Schedule && self.record.is_idle(now, config.idle_after) {
            return refresh_policy::next_probe_at(now, config);
        }
        refresh_policy::next_refresh_at(tokens.expires_at, tokens.lifetime())
    }

    fn back_off(&self, record: &Integration, error: TokenError) -> RefreshStep {
        let now = self.access.clock.now();
        let end = refresh_policy::after_failure(record, &error, now);
        let retry_after = if let RefreshEnd::Backoff { until, .. } = &end { until.saturating_sub(now) } else { 1 };
        RefreshStep::Failed(end, error.retry_in(retry_after))
    }
}

fn out_of_time() -> RefreshStep {
    RefreshStep::Failed(RefreshEnd::Released, no_time())
}

impl Access {
    /// Writes the end of a refresh without new tokens to the record, and releases the lease.
    async fn release(&self, record: &Integration, lease: &Lease, fence: Option<&Pointer>, end: &RefreshEnd) {
        let (account_id, integration_id) = (&record.account_id, &record.integration_id);
        match (self.store.end_lease(record, &lease.owner, fence, end).await, end) {
            (Ok(()), RefreshEnd::Revoked { reason: Some(reason), .. }) => {
                tracing::warn!(%account_id, %integration_id, outcome = "needs_reauthorization", reason,
                    reauthorizations_needed = 1, "HubSpot no longer accepts the authorization");
            }
            (Ok(()), _) => {}
            (Err(error), _) => tracing::warn!(%account_id, %integration_id, cause = %error,
                "failed to release lease; it will expire"),
        }
    }
}
