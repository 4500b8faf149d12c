//! Usable tokens of an integration: one refresh at a time across all processes, and nothing lost.
//!
//! The order of writes of a refresh, and what a crash leaves behind:
//! 1. the lease on the record: it lapses, and the next one takes it over;
//! 2. (HubSpot's answer is in nobody's hands but ours: under strict rotation the one unavoidable window)
//! 3. the new version of the secret: AWSCURRENT names in `replaces` what it takes the place of, and the next holder of
//!    the lease rolls the record forward to it;
//! 4. the record's pointer, fenced by the pointer that was read: the commit.
//!
//! Invariant: a version that the record does not point at is never served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::clock::Clock;
use crate::config;
use crate::error::Error;
use crate::hubspot::{Grant, HubSpot, Refusal};
use crate::integration::{Integration, Pointer, Status};
use crate::lease::{self, End, Lease, Purpose, Settled};
use crate::random;
use crate::store::secrets::{Label, Version};
use crate::store::{Store, Written};
use crate::tokens::Tokens;

/// Tokens that a warm function remembers at most.
const CACHED: usize = 512;
/// A version that cannot be found is waited for, until its tokens are this much past their expiry: Secrets Manager
/// removes no version younger than a day.
const VERSION_KEPT: i64 = 86_400;
/// What has to be left of the function's time beyond the token endpoint's, for the writes after it.
const ROOM_FOR_WRITES: i64 = 5;
/// The pauses of those who wait for another's refresh.
const WAIT: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(800));
/// How often a version that cannot be found yet is looked for.
const MISSES: u32 = 6;

/// Gives out tokens, and refreshes them.
#[derive(Clone)]
pub struct Access {
    store: Store,
    hubspot: HubSpot,
    clock: Clock,
    config: config::Refresh,
    cache: Arc<Mutex<HashMap<Pointer, Tokens>>>,
}

/// Who needs tokens, and until when. Times are milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// Whose margin counts.
    pub purpose: Purpose,
    /// Until when it waits for another's refresh, or begins its own.
    pub deadline: i64,
    /// Until when the function itself lives.
    pub function_deadline: i64,
    /// The version that HubSpot has just rejected: it is not usable whatever its expiry.
    pub rejected: Option<&'a str>,
}

/// Tokens that may be used now.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The tokens and where they lie.
    pub version: Version,
    /// Whether this very call refreshed them.
    pub refreshed: bool,
}

/// Why there are none; the texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// HubSpot no longer accepts the authorization.
    Revoked,
    /// A mistake of ours.
    Misconfigured {
        /// Whether our app's credentials were refused.
        invalid_client: bool,
        /// Seconds until it is worth trying again.
        retry_after: i64,
        /// What happened.
        cause: String,
    },
    /// It passes.
    Transient {
        /// Seconds until it is worth trying again.
        retry_after: i64,
        /// What happened.
        cause: String,
    },
    /// The record or the secret contradicts itself.
    Corrupt(String),
    /// The record is gone.
    Gone,
}

impl Unusable {
    fn transient(retry_after: i64, cause: impl Into<String>) -> Self {
        Self::Transient { retry_after, cause: cause.into() }
    }
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        let retry_after = error.retry_after().and_then(|seconds| seconds.try_into().ok()).unwrap_or(2);
        if let Error::Internal(cause) = error {
            return Self::Corrupt(cause);
        }
        if let Error::TemporarilyUnavailable { cause, .. } = error {
            return Self::Transient { retry_after, cause };
        }
        Self::Transient { retry_after, cause: error.to_string() }
    }
}

impl From<Unusable> for Error {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Revoked => Self::ReauthorizationRequired,
            Unusable::Misconfigured { retry_after, cause, .. } | Unusable::Transient { retry_after, cause } => {
                Self::unavailable(u64::try_from(retry_after).unwrap_or(1).max(1), cause)
            }
            Unusable::Corrupt(cause) => Self::Internal(cause),
            Unusable::Gone => Self::unavailable(1, "the integration was disconnected meanwhile"),
        }
    }
}

/// How an attempt under the lease ends.
enum Attempt {
    /// With tokens, committed or still good.
    Granted(Granted),
    /// Somebody else has moved the record on: look again.
    Again,
    /// Without, and this is noted on the record.
    Ended(End, Unusable),
}

impl Access {
    /// Access to the tokens in `store`.
    pub fn new(store: Store, hubspot: HubSpot, clock: Clock, config: config::Refresh) -> Self {
        Self { store, hubspot, clock, config, cache: Arc::default() }
    }

    /// Usable tokens of `record`, which was just read.
    ///
    /// Others wait at most until the deadline; only who is itself refreshing when it comes may take longer, by the
    /// token endpoint's time-out and the writes. The future must not be dropped: a refresh that has begun is lost then.
    pub async fn usable(&self, mut record: Integration, need: &Need<'_>) -> Result<Granted, Unusable> {
        let (mut pause, mut misses) = (WAIT.0, 0);
        loop {
            let pointer = pointer(&record, need.purpose)?;
            let now = self.clock.now();
            let alive = self.is_alive(&record, &pointer, need);
            let look = if alive { self.read(&record, &pointer).await? } else { None };
            if let Some(tokens) = &look
                && self.is_good(record.token_expires_at, tokens, need)
            {
                return Ok(granted(pointer, tokens.clone()));
            }
            let missing = alive && look.is_none();
            // What is alive serves an execution when there is no getting anything better.
            let second_best =
                look.filter(|_| need.purpose == Purpose::Execution).map(|tokens| granted(pointer, tokens));

            if let Some(until) = record.refresh_not_before.filter(|until| *until > now) {
                let why = || Unusable::transient(until - now, "refreshes of this integration pause after a failure");
                return second_best.ok_or_else(why);
            }
            let lease = if missing { None } else { Lease::of(&record, now, &self.config) };
            // Who has no time for a refresh of its own may still wait for another's.
            let too_late = lease.is_some() && !self.time_for_a_refresh(need, now + self.config.lease);
            if too_late || self.clock.now_millis() >= need.deadline {
                return second_best.ok_or_else(|| Unusable::transient(1, "no time left for a refresh"));
            }
            let leased = match &lease {
                Some(lease) => match self.store.take_lease(&record, lease, now).await {
                    Ok(leased) => leased,
                    Err(error) => return second_best.ok_or_else(|| error.into()),
                },
                None => None,
            };
            match (lease, leased, second_best) {
                (Some(lease), Some(leased), second_best) => match self.attempt(&leased, &lease, need).await {
                    Attempt::Granted(granted) => return Ok(granted),
                    Attempt::Ended(_, unusable) => {
                        let passes = matches!(unusable, Unusable::Transient { .. } | Unusable::Misconfigured { .. });
                        let alive = record.token_expires_at > self.clock.now();
                        return second_best.filter(|_| passes && alive).ok_or(unusable);
                    }
                    Attempt::Again => {}
                },
                (_, _, Some(good)) => return Ok(good),
                _ => {
                    misses += u32::from(missing);
                    if misses > MISSES {
                        return Err(self.not_found(&record));
                    }
                    pause = self.wait(pause, need).await?;
                }
            }
            record = self.store.again(&record).await?.ok_or(Unusable::Gone)?;
        }
    }

    /// Waits for somebody else's work; ends when the deadline would pass.
    async fn wait(&self, pause: Duration, need: &Need<'_>) -> Result<Duration, Unusable> {
        let jittered = pause - Duration::from_millis(random::part_of(pause.as_millis() as i64 / 2).unsigned_abs());
        if self.clock.left(need.deadline) <= jittered || need.purpose == Purpose::Schedule {
            return Err(Unusable::transient(2, "another refresh of this integration is under way"));
        }
        tokio::time::sleep(jittered).await;
        Ok((pause * 2).min(WAIT.1))
    }

    fn time_for_a_refresh(&self, need: &Need<'_>, lease_until: i64) -> bool {
        let needed = self.config.token_timeout + ROOM_FOR_WRITES;
        let left = self.clock.left(need.function_deadline).as_secs();
        i64::try_from(left).is_ok_and(|left| left >= needed) && lease_until - self.clock.now() >= needed
    }

    /// The tokens of the version that the record points at; none if it cannot be found (yet).
    async fn read(&self, record: &Integration, pointer: &Pointer) -> Result<Option<Tokens>, Unusable> {
        if let Some(tokens) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(pointer) {
            return Ok(Some(tokens.clone()));
        }
        let Some(tokens) = self.store.secret_version(pointer).await? else { return Ok(None) };
        check(record, &tokens)?;
        self.remember(pointer, &tokens);
        Ok(Some(tokens))
    }

    /// Invariant: only versions that a record points at get here.
    fn remember(&self, pointer: &Pointer, tokens: &Tokens) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.clear();
        }
        cache.insert(pointer.clone(), tokens.clone());
    }

    /// One attempt under the lease, which it releases whatever its end.
    async fn attempt(&self, leased: &Integration, lease: &Lease, need: &Need<'_>) -> Attempt {
        let Some(pointer) = &leased.pointer else {
            return Attempt::Ended(End::Released, Unusable::Corrupt(format!("{} lost its secret", place(leased))));
        };
        // The fence moves with a roll forward.
        let mut fence = pointer.clone();
        let attempt = match self.refresh(leased, lease, need, &mut fence).await {
            Ok(attempt) => attempt,
            Err(unusable) => Attempt::Ended(End::Released, unusable),
        };
        let end = match &attempt {
            // The commit has released it.
            Attempt::Granted(granted) if granted.refreshed => None,
            Attempt::Granted(_) | Attempt::Again => Some(End::Released),
            Attempt::Ended(end, _) => Some(end.clone()),
        };
        if let Some(end) = end
            && let Err(error) = self.store.end_lease(leased, &lease.owner, &fence, &end).await
        {
            tracing::warn!(account_id = %leased.account_id, integration_id = %leased.integration_id, cause = %error,
                "a lease could not be released; it lapses by itself");
        }
        attempt
    }

    async fn refresh(
        &self,
        leased: &Integration,
        lease: &Lease,
        need: &Need<'_>,
        fence: &mut Pointer,
    ) -> Result<Attempt, Unusable> {
        // Somebody may just have done it, or failed to.
        let now = self.clock.now();
        if leased.status == Status::NeedsReauthorization && need.purpose == Purpose::Execution {
            return Err(Unusable::Revoked);
        }
        if let Some(until) = leased.refresh_not_before.filter(|until| *until > now) {
            return Err(Unusable::transient(until - now, "refreshes of this integration pause after a failure"));
        }
        if self.is_alive(leased, fence, need)
            && let Some(tokens) = self.read(leased, fence).await?
            && self.is_good(leased.token_expires_at, &tokens, need)
        {
            return Ok(Attempt::Granted(granted(fence.clone(), tokens)));
        }

        // Somebody may have died between the two writes.
        let current = self.store.labelled(&fence.secret_id, Label::Current).await?;
        let Some(current) = current else { return self.without_secret(leased).await };
        check(leased, &current.tokens)?;
        let base = if current.pointer == *fence {
            current
        } else if current.tokens.replaces.contains(&fence.secret_version) {
            if self.is_good(current.tokens.expires_at, &current.tokens, need)
                && need.rejected != Some(current.pointer.secret_version.as_str())
            {
                return self.commit(leased, fence, current, need).await;
            }
            let settled = self.settled(leased, &current, need);
            if self.store.roll_forward(leased, fence, &settled).await? == Written::ConditionFailed {
                return Ok(Attempt::Again);
            }
            *fence = current.pointer.clone();
            current
        } else {
            match self.store.secret_version(fence).await? {
                Some(tokens) => {
                    check(leased, &tokens)?;
                    Version { pointer: fence.clone(), tokens }
                }
                None if leased.token_expires_at + VERSION_KEPT < self.clock.now() => current,
                None => return Err(self.not_found(leased)),
            }
        };
        if !self.time_for_a_refresh(need, lease.until) {
            return Ok(Attempt::Ended(End::Released, Unusable::transient(1, "no time left for a refresh")));
        }

        let sent_at = self.clock.now();
        match self.hubspot.refresh(&base.tokens.refresh_token).await {
            Ok(grant) => self.store_and_commit(leased, fence, &base, grant, sent_at, need).await,
            Err(Refusal::Revoked) => self.refused(leased, lease, need, fence, base).await,
            Err(refusal) => Ok(self.paused(leased, refusal)),
        }
    }

    /// HubSpot refused the refresh token: another's success, a lost answer or a revocation?
    async fn refused(
        &self,
        leased: &Integration,
        lease: &Lease,
        need: &Need<'_>,
        fence: &Pointer,
        tried: Version,
    ) -> Result<Attempt, Unusable> {
        let now = self.clock.now();
        let Some(record) = self.store.again(leased).await? else { return Err(Unusable::Gone) };
        if record.pointer.as_ref() != Some(fence) {
            return Ok(Attempt::Again);
        }
        if record.unsettled_until.is_some_and(|until| now < until) {
            let refusal = Refusal::Transient {
                retry_after: None,
                cause: "the refresh token is refused while an earlier holder of the lease may still come back"
                    .to_owned(),
            };
            return Ok(self.paused(&record, refusal));
        }
        for candidate in self.candidates(&record, fence, &tried).await? {
            if !self.time_for_a_refresh(need, lease.until) {
                return Ok(Attempt::Ended(End::Released, Unusable::transient(1, "no time left for a refresh")));
            }
            let sent_at = self.clock.now();
            match self.hubspot.refresh(&candidate.tokens.refresh_token).await {
                Ok(grant) => return self.store_and_commit(leased, fence, &candidate, grant, sent_at, need).await,
                Err(Refusal::Revoked) => {}
                Err(refusal) => return Ok(self.paused(&record, refusal)),
            }
        }
        Ok(Attempt::Ended(lease::revoked(&record, self.clock.now()), Unusable::Revoked))
    }

    /// The labelled versions whose refresh tokens may still be good, latest first; never one that is known to be spent.
    async fn candidates(
        &self,
        record: &Integration,
        fence: &Pointer,
        tried: &Version,
    ) -> Result<Vec<Version>, Unusable> {
        let current = self.store.labelled(&fence.secret_id, Label::Current).await?;
        let previous = self.store.labelled(&fence.secret_id, Label::Previous).await?;
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
        fence: &Pointer,
        spent: &Version,
        grant: Grant,
        sent_at: i64,
        need: &Need<'_>,
    ) -> Result<Attempt, Unusable> {
        if let (Some(known), Some(other)) = (leased.hub_id, grant.hub_id)
            && known != other
        {
            // Never adopted, so not written either: whatever it is, it is not this integration's authorization.
            let cause = format!("{}: HubSpot answered for another portal than the record's", place(leased));
            tracing::error!(account_id = %leased.account_id, integration_id = %leased.integration_id, "{cause}");
            return Ok(self.paused(leased, Refusal::Misconfigured { invalid_client: false, cause }));
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
                Ok(Written::Yes) => break,
                Ok(Written::ConditionFailed) => return self.without_secret(leased).await,
                Err(error) if self.insists(need, &error).await => {}
                // A pause, or everybody who comes next would ask HubSpot again.
                Err(error) => return Ok(self.paused(leased, error.into())),
            }
        }
        let pointer = Pointer { secret_id: fence.secret_id.clone(), secret_version };
        self.commit(leased, fence, Version { pointer, tokens }, need).await
    }

    async fn commit(
        &self,
        leased: &Integration,
        fence: &Pointer,
        version: Version,
        need: &Need<'_>,
    ) -> Result<Attempt, Unusable> {
        let settled = self.settled(leased, &version, need);
        loop {
            match self.store.commit(leased, fence, &settled).await {
                Ok(Written::Yes) => break,
                Ok(Written::ConditionFailed) => return Ok(Attempt::Again),
                Err(error) if self.insists(need, &error).await => {}
                Err(error) => return Ok(self.paused(leased, error.into())),
            }
        }
        self.remember(&version.pointer, &version.tokens);
        Ok(Attempt::Granted(Granted { version, refreshed: true }))
    }

    /// Whether to try a write again that AWS did not do: as long as the function lives, after a short pause.
    async fn insists(&self, need: &Need<'_>, error: &Error) -> bool {
        let passes = matches!(error, Error::TemporarilyUnavailable { .. });
        if !passes || self.clock.left(need.function_deadline) < Duration::from_secs(1) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        true
    }

    /// The secret is gone: a reconnect or a disconnect has won, or somebody has deleted it by hand.
    async fn without_secret(&self, leased: &Integration) -> Result<Attempt, Unusable> {
        let Some(record) = self.store.again(leased).await? else { return Err(Unusable::Gone) };
        if record.pointer != leased.pointer {
            return Ok(Attempt::Again);
        }
        Err(self.not_found(&record))
    }

    /// Whether the record's tokens may be used at all, as of now. Those of a marked one are to be tried, not believed.
    fn is_alive(&self, record: &Integration, pointer: &Pointer, need: &Need<'_>) -> bool {
        record.status == Status::Active
            && record.token_expires_at > self.clock.now()
            && need.rejected != Some(pointer.secret_version.as_str())
    }

    /// Whether tokens are good beyond the margin.
    fn is_good(&self, expires_at: i64, tokens: &Tokens, need: &Need<'_>) -> bool {
        expires_at - self.clock.now() > need.purpose.margin(tokens.lifetime())
    }

    fn settled(&self, record: &Integration, version: &Version, need: &Need<'_>) -> Settled {
        Settled {
            pointer: version.pointer.clone(),
            token_expires_at: version.tokens.expires_at,
            scopes: version.tokens.scopes.clone(),
            hub_id: version.tokens.hub_id,
            refresh_at: self.next_look(record, &version.tokens, need),
        }
    }

    fn next_look(&self, record: &Integration, tokens: &Tokens, need: &Need<'_>) -> i64 {
        let now = self.clock.now();
        let idle = need.purpose == Purpose::Schedule && record.is_idle(now, self.config.idle_after);
        lease::next_look(tokens.expires_at, tokens.lifetime(), idle, now, &self.config)
    }

    fn paused(&self, record: &Integration, refusal: Refusal) -> Attempt {
        let now = self.clock.now();
        let asked = if let Refusal::Transient { retry_after, .. } = &refusal { *retry_after } else { None };
        let end = lease::backoff(record, asked, now);
        let retry_after = if let End::Backoff { until, .. } = &end { until - now } else { 1 };
        let unusable = match refusal {
            Refusal::Revoked => Unusable::Revoked,
            Refusal::Transient { cause, .. } => Unusable::Transient { retry_after, cause },
            Refusal::Misconfigured { invalid_client, cause } => {
                Unusable::Misconfigured { invalid_client, retry_after, cause }
            }
        };
        Attempt::Ended(end, unusable)
    }

    /// The secret or version that the record points at is not there: not yet, or gone for good?
    fn not_found(&self, record: &Integration) -> Unusable {
        let cause = format!("{}: the secret version that it points at is not found", place(record));
        let proven = record.token_expires_at > 0;
        if proven && record.token_expires_at + VERSION_KEPT < self.clock.now() {
            return Unusable::Corrupt(cause);
        }
        Unusable::transient(2, cause)
    }
}

/// Where the tokens of a record are, if this purpose may use them.
fn pointer(record: &Integration, purpose: Purpose) -> Result<Pointer, Unusable> {
    match (&record.pointer, record.status, purpose) {
        // Only the schedule tries a marked one again.
        (None, Status::NeedsReauthorization, _) | (Some(_), Status::NeedsReauthorization, Purpose::Execution) => {
            Err(Unusable::Revoked)
        }
        (None, Status::Active, _) => Err(Unusable::Corrupt(format!("{} is active without a secret", place(record)))),
        (Some(pointer), _, _) => Ok(pointer.clone()),
    }
}

fn granted(pointer: Pointer, tokens: Tokens) -> Granted {
    Granted { version: Version { pointer, tokens }, refreshed: false }
}

/// A secret that names another account or integration than the record is corruption, never a token.
fn check(record: &Integration, tokens: &Tokens) -> Result<(), Unusable> {
    if tokens.belong_to(record) {
        return Ok(());
    }
    Err(Unusable::Corrupt(format!("{}: its secret belongs to another account or integration", place(record))))
}

fn place(record: &Integration) -> String {
    format!("account {} integration {}", record.account_id, record.integration_id)
}
