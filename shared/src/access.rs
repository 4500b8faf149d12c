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

mod attempt;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::attempt::Attempt;
use crate::clock::Clock;
use crate::config;
use crate::crypto;
use crate::error::Error;
use crate::hubspot::HubSpot;
use crate::integration::{Integration, Pointer, Status};
use crate::lease::Lease;
use crate::refresh_policy::Purpose;
use crate::store::Store;
use crate::store::secrets::Version;
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
    config: config::RefreshConfig,
    cache: Arc<Mutex<HashMap<Pointer, Tokens>>>,
}

/// Who needs tokens, and until when. Times are milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
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
pub struct UsableTokens {
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

impl Access {
    /// Access to the tokens in `store`.
    pub fn new(store: Store, hubspot: HubSpot, clock: Clock, config: config::RefreshConfig) -> Self {
        Self { store, hubspot, clock, config, cache: Arc::default() }
    }

    /// Usable tokens of `record`, which was just read.
    ///
    /// Others wait at most until the deadline; only who is itself refreshing when it comes may take longer, by the
    /// token endpoint's time-out and the writes. The future must not be dropped: a refresh that has begun is lost then.
    pub async fn usable(&self, record: Integration, request: &TokenRequest<'_>) -> Result<UsableTokens, Unusable> {
        match self.usable_from_cache(&record, request) {
            Some(granted) => Ok(granted),
            // Boxed: nearly every execution does without it, and would move it about all the same.
            None => Box::pin(self.load_or_refresh(record, request)).await,
        }
    }

    /// Good tokens that are in memory.
    fn usable_from_cache(&self, record: &Integration, request: &TokenRequest<'_>) -> Option<UsableTokens> {
        let pointer = pointer(record, request.purpose).ok()?;
        let tokens = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&pointer).cloned()?;
        let good = self.is_unexpired(record, &pointer, request)
            && self.outlives_margin(record, record.token_expires_at, &tokens, request);
        good.then(|| granted(pointer, tokens))
    }

    /// Tokens that are read, refreshed or waited for.
    async fn load_or_refresh(
        &self,
        mut record: Integration,
        request: &TokenRequest<'_>,
    ) -> Result<UsableTokens, Unusable> {
        let (mut pause, mut misses) = (WAIT.0, 0);
        loop {
            let pointer = pointer(&record, request.purpose)?;
            let now = self.clock.now();
            let alive = self.is_unexpired(&record, &pointer, request);
            // The schedule comes when they are short, as a rule: it reads what is current once, under the lease.
            let short =
                request.purpose == Purpose::Schedule && record.token_expires_at - now <= Purpose::LONGEST_MARGIN;
            let looks = alive && !short;
            let look = if looks { self.read(&record, &pointer).await? } else { None };
            if let Some(tokens) = &look
                && self.outlives_margin(&record, record.token_expires_at, tokens, request)
            {
                return Ok(granted(pointer, tokens.clone()));
            }
            let missing = looks && look.is_none();
            // What is alive serves an execution when there is no getting anything better.
            let second_best =
                look.filter(|_| request.purpose == Purpose::Execution).map(|tokens| granted(pointer, tokens));

            if let Some(until) = record.refresh_not_before.filter(|until| *until > now) {
                let why = || Unusable::transient(until - now, "refreshes of this integration pause after a failure");
                return second_best.ok_or_else(why);
            }
            let lease = if missing { None } else { Lease::of(&record, now, &self.config) };
            // Who has no time for a refresh of its own may still wait for another's.
            let too_late = lease.is_some() && !self.time_for_a_refresh(request, now + self.config.lease);
            if too_late || self.clock.now_millis() >= request.deadline {
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
                (Some(lease), Some(leased), second_best) => match self.attempt(&leased, &lease, request).await {
                    Attempt::Tokens(granted) => return Ok(granted),
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
                    pause = self.wait(pause, request).await?;
                }
            }
            record = self.store.reread(&record).await?.ok_or(Unusable::Gone)?;
        }
    }

    /// Waits for somebody else's work; ends when the deadline would pass.
    async fn wait(&self, pause: Duration, request: &TokenRequest<'_>) -> Result<Duration, Unusable> {
        let jittered = pause - Duration::from_millis(crypto::jitter(pause.as_millis() as i64 / 2).unsigned_abs());
        if self.clock.remaining(request.deadline) <= jittered || request.purpose == Purpose::Schedule {
            return Err(Unusable::transient(2, "another refresh of this integration is under way"));
        }
        self.clock.sleep(jittered).await;
        Ok((pause * 2).min(WAIT.1))
    }

    fn time_for_a_refresh(&self, request: &TokenRequest<'_>, lease_until: i64) -> bool {
        let needed = self.config.token_timeout + ROOM_FOR_WRITES;
        let left = self.clock.remaining(request.function_deadline).as_secs();
        i64::try_from(left).is_ok_and(|left| left >= needed) && lease_until - self.clock.now() >= needed
    }

    /// The tokens of the version that the record points at; none if it cannot be found (yet).
    async fn read(&self, record: &Integration, pointer: &Pointer) -> Result<Option<Tokens>, Unusable> {
        if let Some(tokens) = self.cached(pointer) {
            return Ok(Some(tokens));
        }
        let Some(tokens) = self.store.secret_version(pointer).await? else { return Ok(None) };
        check(record, &tokens)?;
        self.cache_tokens(pointer, &tokens);
        Ok(Some(tokens))
    }

    fn cached(&self, pointer: &Pointer) -> Option<Tokens> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(pointer).cloned()
    }

    /// Invariant: only versions that a record points at get here.
    fn cache_tokens(&self, pointer: &Pointer, tokens: &Tokens) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.clear();
        }
        cache.insert(pointer.clone(), tokens.clone());
    }

    /// Whether the record's tokens may be used at all, as of now. Those of a marked one are to be tried, not believed.
    fn is_unexpired(&self, record: &Integration, pointer: &Pointer, request: &TokenRequest<'_>) -> bool {
        record.status == Status::Active
            && record.token_expires_at > self.clock.now()
            && request.rejected != Some(pointer.secret_version.as_str())
    }

    /// Whether the tokens that the record points at may be used, and for long enough.
    fn is_usable(&self, record: &Integration, pointer: &Pointer, tokens: &Tokens, request: &TokenRequest<'_>) -> bool {
        self.is_unexpired(record, pointer, request)
            && self.outlives_margin(record, record.token_expires_at, tokens, request)
    }

    /// Whether tokens are good beyond the margin. An authorization of which it is not certain any more that HubSpot
    /// accepts it is not good enough for the schedule: it finds out.
    fn outlives_margin(
        &self,
        record: &Integration,
        expires_at: i64,
        tokens: &Tokens,
        request: &TokenRequest<'_>,
    ) -> bool {
        let now = self.clock.now();
        let suspect = record.ambiguous_until.is_some_and(|until| until <= now);
        expires_at - now > request.purpose.margin(tokens.lifetime())
            && !(suspect && request.purpose == Purpose::Schedule)
    }

    /// The secret or version that the record points at is not there: not yet, or gone for good?
    fn not_found(&self, record: &Integration) -> Unusable {
        let cause = format!("{}: the secret version that it points at is not found", describe(record));
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
        (None, Status::Active, _) => Err(Unusable::Corrupt(format!("{} is active without a secret", describe(record)))),
        (Some(pointer), _, _) => Ok(pointer.clone()),
    }
}

fn granted(pointer: Pointer, tokens: Tokens) -> UsableTokens {
    UsableTokens { version: Version { pointer, tokens }, refreshed: false }
}

/// A secret that names another account or integration than the record is corruption, never a token.
fn check(record: &Integration, tokens: &Tokens) -> Result<(), Unusable> {
    if tokens.belong_to(record) {
        return Ok(());
    }
    Err(Unusable::Corrupt(format!("{}: its secret belongs to another account or integration", describe(record))))
}

fn describe(record: &Integration) -> String {
    format!("account {} integration {}", record.account_id, record.integration_id)
}
