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

mod cache;
mod decision;
mod refresh;
mod verdicts;

use std::time::Duration;

use guard::hubs::Hub;

use self::cache::TokenCache;
use self::decision::{Look, Moment, Step};
use self::refresh::{Refresh, RefreshStep};
use self::verdicts::VerdictLimit;
use crate::clock::Clock;
use crate::config;
use crate::crypto;
use crate::hubspot::HubSpot;
use crate::integration::{Integration, Pointer};
use crate::lease::Lease;
use crate::refresh_policy::{Purpose, RefreshEnd};
use crate::store::Store;
use crate::store::secrets::Version;
use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::Corrupt;
use crate::tokens::Tokens;

/// A version that cannot be found is waited for, until its tokens are this much past their expiry: Secrets Manager
/// removes no version younger than a day.
const VERSION_KEPT: i64 = 86_400;
/// The first pause of a caller that waits for another's refresh.
const FIRST_WAIT: Duration = Duration::from_millis(40);
/// The longest pause of a caller that waits for another's refresh.
const LONGEST_WAIT: Duration = Duration::from_millis(800);
/// How often a version that cannot be found yet is looked for.
const MISSES: u32 = 6;

/// Gives out tokens, and refreshes them.
#[derive(Clone)]
pub struct Access {
    store: Store,
    hubspot: HubSpot,
    clock: Clock,
    config: config::RefreshConfig,
    cache: TokenCache,
    verdicts: VerdictLimit,
}

/// The caller that needs tokens, and its deadline. Times are milliseconds since the epoch.
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
    /// True if this very call refreshed them.
    pub refreshed: bool,
    /// True if this call waited, or found that another process has just refreshed them: another integration may have
    /// become the newest meanwhile.
    pub waited: bool,
    /// The hub that the token endpoint named when this very call refreshed them; a record that was read before does not
    /// have it.
    pub named_hub: Option<Hub>,
}

/// A caller that waits.
struct Waiting {
    pause: Duration,
    misses: u32,
}

impl Access {
    /// Access to the tokens in `store`.
    pub fn new(store: Store, hubspot: HubSpot, clock: Clock, config: config::RefreshConfig) -> Self {
        let (cache, verdicts) = (TokenCache::default(), VerdictLimit::default());
        Self { store, hubspot, clock, config, cache, verdicts }
    }

    /// The same, whose changes are an operator's rather than the service's.
    #[must_use]
    pub fn acting_as(self, acted_by: &str) -> Self {
        Self { store: self.store.acting_as(acted_by), ..self }
    }

    /// Usable tokens of `record`, which was just read.
    ///
    /// Waits at most until the deadline, except for a refresh of its own in flight: that may take longer by the token
    /// endpoint's time-out and the writes. The future must not be dropped: a refresh in flight would be lost.
    pub async fn usable(&self, record: Integration, request: &TokenRequest<'_>) -> Result<UsableTokens, TokenError> {
        match self.usable_from_cache(&record, request)? {
            Some(tokens) => Ok(tokens),
            // Boxed: nearly every execution does without it, and would move it about all the same.
            None => Box::pin(self.load_or_refresh(record, request)).await,
        }
    }

    /// Loads or refreshes tokens.
    async fn load_or_refresh(
        &self,
        record: Integration,
        request: &TokenRequest<'_>,
    ) -> Result<UsableTokens, TokenError> {
        let read = record.pointer.clone();
        let mut waiting = Waiting { pause: FIRST_WAIT, misses: 0 };
        let tokens = self.load_or_refresh_in_turn(record, request, &mut waiting).await?;
        let by_another = !tokens.refreshed && read.as_ref() != Some(&tokens.version.pointer);
        Ok(UsableTokens { waited: waiting.pause > FIRST_WAIT || by_another, ..tokens })
    }

    /// Begins a run that may mark integrations: of many verdicts in a row without one success, in this run and those
    /// before it, only the first few are believed, since HubSpot may refuse everybody for a while.
    pub fn begin_run(&self) {
        self.verdicts.begin_run();
    }

    /// How many verdicts were not believed since the run began.
    pub fn verdicts_withheld(&self) -> usize {
        self.verdicts.withheld()
    }

    fn moment<'a>(&'a self, request: &'a TokenRequest<'a>) -> Moment<'a> {
        Moment { request, now_millis: self.clock.now_millis(), config: &self.config }
    }

    /// Usable tokens that are in memory.
    fn usable_from_cache(
        &self,
        record: &Integration,
        request: &TokenRequest<'_>,
    ) -> Result<Option<UsableTokens>, TokenError> {
        let moment = self.moment(request);
        let Ok(pointer) = moment.pointer(record) else { return Ok(None) };
        let Some(tokens) = self.cache.get(record, &pointer)? else { return Ok(None) };
        let version = Version { pointer, tokens };
        Ok(moment.is_usable(record, &version).then(|| found(version)))
    }

    /// Reads tokens, refreshes them, or waits for another's refresh, until there are usable ones or no time is left.
    async fn load_or_refresh_in_turn(
        &self,
        mut record: Integration,
        request: &TokenRequest<'_>,
        waiting: &mut Waiting,
    ) -> Result<UsableTokens, TokenError> {
        loop {
            let pointer = self.moment(request).pointer(&record)?;
            let look = self.look(&record, &pointer, request).await?;
            waiting.misses += u32::from(matches!(look, Look::Missing));
            let moment = self.moment(request);
            let step = moment.decide(&record, &look);
            if let (Step::Use, Look::Found(tokens)) = (&step, &look) {
                return Ok(found(Version { pointer, tokens: tokens.clone() }));
            }
            let fallback = moment.fallback(look).map(|tokens| found(Version { pointer, tokens }));
            let refreshed = match step {
                Step::Fail(error) => return fallback.ok_or(error),
                Step::Refresh(lease) => self.refresh_with(&record, &lease, request).await,
                Step::Use | Step::Wait => RefreshStep::LeaseTaken,
            };
            match refreshed {
                RefreshStep::Tokens(tokens) => return Ok(tokens),
                RefreshStep::Failed(_, error) => {
                    let serves = error.passes() && record.token_expires_at > self.clock.now();
                    return fallback.filter(|_| serves).ok_or(error);
                }
                RefreshStep::LeaseTaken => match fallback {
                    Some(tokens) => return Ok(tokens),
                    None => self.wait(waiting, &record, request).await?,
                },
                RefreshStep::Reread => {}
            }
            record = self.store.reread(&record).await?.ok_or_else(TokenError::gone)?;
        }
    }

    /// Tries to take a lease, and refreshes under it.
    async fn refresh_with(&self, record: &Integration, lease: &Lease, request: &TokenRequest<'_>) -> RefreshStep {
        match self.store.take_lease(record, lease, self.clock.now()).await {
            Ok(Some(leased)) => Refresh::under(self, &leased, lease, request).await,
            Ok(None) => RefreshStep::LeaseTaken,
            Err(error) => RefreshStep::Failed(RefreshEnd::Released, error.into()),
        }
    }

    /// Waits for another's refresh, or for a version to appear; fails when the deadline would pass.
    async fn wait(
        &self,
        waiting: &mut Waiting,
        record: &Integration,
        request: &TokenRequest<'_>,
    ) -> Result<(), TokenError> {
        if waiting.misses > MISSES {
            return Err(self.not_found(record));
        }
        let millis = i64::try_from(waiting.pause.as_millis()).unwrap_or(i64::MAX);
        let jittered = waiting.pause - Duration::from_millis(crypto::jitter(millis / 2).unsigned_abs());
        if self.clock.remaining(request.deadline) <= jittered || request.purpose == Purpose::Schedule {
            return Err(transient(2, "another refresh of this integration is under way"));
        }
        self.clock.sleep(jittered).await;
        waiting.pause = (waiting.pause * 2).min(LONGEST_WAIT);
        Ok(())
    }

    /// Reads the version that the record points at, if that is worth it.
    async fn look(
        &self,
        record: &Integration,
        pointer: &Pointer,
        request: &TokenRequest<'_>,
    ) -> Result<Look, TokenError> {
        if !self.moment(request).looks(record, pointer) {
            return Ok(Look::Skipped);
        }
        Ok(self.read(record, pointer).await?.map_or(Look::Missing, Look::Found))
    }

    /// The tokens of the version that the record points at; none if it cannot be found (yet).
    async fn read(&self, record: &Integration, pointer: &Pointer) -> Result<Option<Tokens>, TokenError> {
        if let Some(tokens) = self.cache.get(record, pointer)? {
            return Ok(Some(tokens));
        }
        let Some(tokens) = self.store.secret_version(pointer).await? else { return Ok(None) };
        check(record, &tokens)?;
        self.cache.insert(pointer, &tokens);
        Ok(Some(tokens))
    }

    /// The secret or version that the record points at is not there: not yet, or gone for good?
    fn not_found(&self, record: &Integration) -> TokenError {
        let cause = format!("{}: the secret version that it points at is not found", describe(record));
        let proven = record.token_expires_at > 0;
        if proven && record.token_expires_at.saturating_add(VERSION_KEPT) < self.clock.now() {
            return TokenError::of(Corrupt, cause);
        }
        transient(2, cause)
    }
}

fn found(version: Version) -> UsableTokens {
    UsableTokens { version, refreshed: false, waited: false, named_hub: None }
}

/// A secret that names another account or integration than the record is corruption, never a token.
fn check(record: &Integration, tokens: &Tokens) -> Result<(), TokenError> {
    if tokens.belong_to(record) {
        return Ok(());
    }
    Err(TokenError::of(Corrupt, format!("{}: its secret belongs to another account or integration", describe(record))))
}

fn describe(record: &Integration) -> String {
    format!("account {} integration {}", record.account_id, record.integration_id)
}

fn transient(retry_after: i64, cause: impl Into<String>) -> TokenError {
    TokenError::transient(cause).retry_in(retry_after)
}
