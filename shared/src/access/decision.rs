//! The next step of a token request, decided from what was read: pure.
//!
//! | question | true if |
//! | --- | --- |
//! | `is_unexpired` | the access token has not expired and HubSpot has not just rejected it; for the schedule, the record is active too |
//! | `outlives_margin` | tokens last longer than the purpose's margin; for the schedule, the grant is certain too |
//! | `is_usable` | both |

use super::{TokenRequest, describe, transient};
use crate::config::RefreshConfig;
use crate::integration::{Integration, Pointer, Readiness, Status};
use crate::lease::Lease;
use crate::refresh_policy::Purpose;
use crate::store::secrets::Version;
use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::Corrupt;
use crate::tokens::Tokens;

/// Time that must be left after the token endpoint's answer, for the writes that follow it.
const ROOM_FOR_WRITES: i64 = 5;
/// The schedule has proved a grant in this time, as a rule, in seconds.
pub(super) const PROOF_TAKES: i64 = 60;

/// A token request at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) request: &'a TokenRequest<'a>,
    pub(super) now_millis: i64,
    pub(super) config: &'a RefreshConfig,
}

/// The result of reading the version that the record points at.
#[derive(Debug)]
pub(super) enum Look {
    /// It was not read: its tokens are known to be of no use.
    Skipped,
    /// It cannot be found (yet).
    Missing,
    /// Its tokens.
    Found(Tokens),
}

/// The next step.
#[derive(Debug)]
pub(super) enum Step {
    /// Use the tokens that were found.
    Use,
    /// Try to take this lease, then refresh.
    Refresh(Lease),
    /// Wait for another's refresh, or for a version to appear.
    Wait,
    /// Give up, unless there are tokens to fall back on.
    Fail(TokenError),
}

/// The tokens from which a refresh under the lease starts.
#[derive(Debug)]
pub(super) enum Base {
    /// Another process has just refreshed them.
    AlreadyRefreshed(Version),
    /// A process died between its two writes: its tokens are good and only need the commit.
    Commit(Version),
    /// A process died between its two writes, a while ago: the record moves forward to its tokens, which are refreshed.
    RollForward(Version),
    /// Refresh these.
    RefreshWith(Version),
    /// AWSCURRENT is unrelated to the record's version, which has to be read.
    Unrelated(Version),
    /// The secret is gone.
    SecretMissing,
}

impl Moment<'_> {
    pub(super) fn now(&self) -> i64 {
        self.now_millis / 1000
    }

    /// Returns true if it is worth reading the version that the record points at.
    pub(super) fn looks(&self, record: &Integration, pointer: &Pointer) -> bool {
        // The schedule comes when they are short, as a rule: it reads what is current once, under the lease.
        let short = self.request.purpose == Purpose::Schedule
            && record.token_expires_at.saturating_sub(self.now()) <= Purpose::LONGEST_MARGIN;
        self.is_unexpired(record, pointer) && !short
    }

    /// Where the tokens of a record are, if this request may use them.
    ///
    /// Only the schedule refreshes a marked integration; executions use its access token while that lasts.
    pub(super) fn pointer(&self, record: &Integration) -> Result<Pointer, TokenError> {
        let is_rejected = |pointer: &Pointer| self.request.rejected == Some(pointer.secret_version.as_str());
        match (&record.pointer, record.readiness(self.now())) {
            (Some(pointer), Readiness::Ready) => Ok(pointer.clone()),
            (Some(pointer), _) if !self.is_closed(record) => Ok(pointer.clone()),
            (Some(pointer), Readiness::ReadyUntil(_)) if !is_rejected(pointer) => Ok(pointer.clone()),
            (_, Readiness::WithoutTokens) => {
                Err(TokenError::of(Corrupt, format!("{} is active without a secret", describe(record))))
            }
            (_, Readiness::Ready | Readiness::ReadyUntil(_) | Readiness::NeedsReauthorization) => {
                Err(TokenError::revoked())
            }
        }
    }

    /// Returns true if this request may not refresh the record, whatever its tokens.
    pub(super) fn is_closed(&self, record: &Integration) -> bool {
        record.status == Status::NeedsReauthorization && self.request.purpose == Purpose::Execution
    }

    /// Decides what to do next.
    pub(super) fn decide(&self, record: &Integration, look: &Look) -> Step {
        if self.is_closed(record) && matches!(look, Look::Found(_)) {
            return Step::Use;
        }
        if let Look::Found(tokens) = look
            && self.outlives_margin(record, record.token_expires_at, tokens)
        {
            return Step::Use;
        }
        if let Some(error) = self.paused(record) {
            return Step::Fail(error);
        }
        let missing = matches!(look, Look::Missing);
        let lease = if missing || self.is_closed(record) { None } else { Lease::of(record, self.now(), self.config) };
        // A caller without time for a refresh of its own may still wait for another's.
        let too_late = lease.as_ref().is_some_and(|lease| !self.has_time_for_refresh(lease));
        if too_late || self.now_millis >= self.request.deadline {
            return Step::Fail(no_time());
        }
        lease.map_or(Step::Wait, Step::Refresh)
    }

    /// The error of a record whose refreshes pause.
    pub(super) fn paused(&self, record: &Integration) -> Option<TokenError> {
        if self.awaits_proof(record) {
            return Some(transient(PROOF_TAKES, "the schedule is to prove the grant with HubSpot"));
        }
        let until = record.refresh_not_before.filter(|until| *until > self.now())?;
        let left = until.saturating_sub(self.now());
        Some(transient(left, "refreshes of this integration pause after a failure"))
    }

    /// Returns true if an execution leaves HubSpot alone until the schedule has proved the grant, which moves
    /// `refresh_at`.
    fn awaits_proof(&self, record: &Integration) -> bool {
        let Some(requested_at) = record.proof_requested_at else { return false };
        self.request.purpose == Purpose::Execution
            && record.refresh_at.is_some_and(|at| at <= requested_at)
            && self.now() < requested_at.saturating_add(2 * PROOF_TAKES)
    }

    /// Decides which tokens to start from; `current` is AWSCURRENT of the record's secret.
    pub(super) fn base(&self, record: &Integration, fence: &Pointer, current: Version) -> Base {
        if current.pointer == *fence {
            return self.base_of_pointed(record, current);
        }
        if !current.tokens.replaces.contains(&fence.secret_version) {
            return Base::Unrelated(current);
        }
        let rejected = self.request.rejected == Some(current.pointer.secret_version.as_str());
        if !rejected && self.outlives_margin(record, current.tokens.expires_at, &current.tokens) {
            return Base::Commit(current);
        }
        Base::RollForward(current)
    }

    /// Decides the same for the version that the record points at.
    pub(super) fn base_of_pointed(&self, record: &Integration, pointed: Version) -> Base {
        if self.is_usable(record, &pointed) { Base::AlreadyRefreshed(pointed) } else { Base::RefreshWith(pointed) }
    }

    pub(super) fn has_time_for_refresh(&self, lease: &Lease) -> bool {
        let needed = self.config.token_timeout + ROOM_FOR_WRITES;
        let left = self.request.function_deadline.saturating_sub(self.now_millis) / 1000;
        left >= needed && lease.until.saturating_sub(self.now()) >= needed
    }

    /// Tokens that serve an execution when nothing better can be had: they have not expired.
    pub(super) fn fallback(&self, look: Look) -> Option<Tokens> {
        match (look, self.request.purpose) {
            (Look::Found(tokens), Purpose::Execution) => Some(tokens),
            (Look::Found(_) | Look::Missing | Look::Skipped, _) => None,
        }
    }

    pub(super) fn is_usable(&self, record: &Integration, version: &Version) -> bool {
        self.is_unexpired(record, &version.pointer)
            && self.outlives_margin(record, record.token_expires_at, &version.tokens)
    }

    fn is_unexpired(&self, record: &Integration, pointer: &Pointer) -> bool {
        // The schedule is to try a marked integration, not to believe its tokens.
        (record.status == Status::Active || self.request.purpose == Purpose::Execution)
            && record.token_expires_at > self.now()
            && self.request.rejected != Some(pointer.secret_version.as_str())
    }

    fn outlives_margin(&self, record: &Integration, expires_at: i64, tokens: &Tokens) -> bool {
        let unverified = record.ambiguous_until.is_some_and(|until| until <= self.now())
            || record.proof_requested_at.is_some_and(|at| at > tokens.obtained_at);
        expires_at.saturating_sub(self.now()) > self.request.purpose.margin(tokens.lifetime())
            && !(unverified && self.request.purpose == Purpose::Schedule)
    }
}

pub(super) fn no_time() -> TokenError {
    transient(1, "no time left for a refresh")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_error::TokenErrorKind::Revoked;

    const NOW: i64 = 1_000_000;
    const CONFIG: RefreshConfig = RefreshConfig { lease: 20, token_timeout: 8, idle_after: 86_400, idle_probe: 7_200 };

    fn request(purpose: Purpose) -> TokenRequest<'static> {
        let now = NOW * 1000;
        TokenRequest { purpose, deadline: now + 20_000, function_deadline: now + 30_000, rejected: None }
    }

    fn moment<'a>(request: &'a TokenRequest<'a>) -> Moment<'a> {
        Moment { request, now_millis: NOW * 1000, config: &CONFIG }
    }

    fn pointer(version: &str) -> Pointer {
        Pointer { secret_id: "s".to_owned(), secret_version: version.to_owned() }
    }

    /// A record that points at version `v1`, whose token is good for so many seconds.
    fn record(seconds: i64) -> Integration {
        let record = serde_json::json!({
            "account_id": "a", "sequence": 1, "integration_id": "i", "created_at": 0, "status": "active",
            "secret_id": "s", "secret_version": "v1", "token_expires_at": NOW + seconds,
        });
        serde_json::from_value(record).unwrap()
    }

    fn version(name: &str, seconds: i64, replaces: &[&str]) -> Version {
        let tokens = serde_json::json!({
            "account_id": "a", "integration_id": "i", "access_token": "t", "refresh_token": "r", "token_type": "bearer",
            "obtained_at": NOW + seconds - 1800, "expires_at": NOW + seconds, "replaces": replaces,
        });
        Version { pointer: pointer(name), tokens: serde_json::from_value(tokens).unwrap() }
    }

    fn step(moment: &Moment<'_>, record: &Integration, look: &Look) -> &'static str {
        match moment.decide(record, look) {
            Step::Use => "use",
            Step::Refresh(_) => "refresh",
            Step::Wait => "wait",
            Step::Fail(_) => "fail",
        }
    }

    #[test]
    fn a_step_follows_from_the_margin_the_pause_the_lease_and_the_time() {
        let good = |seconds| Look::Found(version("v1", seconds, &[]).tokens);
        let paused = |until| Integration { refresh_not_before: Some(NOW + until), ..record(30) };
        let held =
            |until| Integration { lease_owner: Some("x".to_owned()), lease_until: Some(NOW + until), ..record(30) };
        let unverified = |until| Integration { ambiguous_until: Some(NOW + until), ..record(900) };
        let marked = |seconds| Integration { status: Status::NeedsReauthorization, ..record(seconds) };
        let proof_requested =
            |at| Integration { proof_requested_at: Some(NOW + at), refresh_at: Some(NOW + at), ..record(30) };
        let (execution, schedule) = (Purpose::Execution, Purpose::Schedule);
        for (purpose, record, look, expected) in [
            (execution, record(61), good(61), "use"),
            (execution, record(60), good(60), "refresh"),
            (execution, record(-1), Look::Skipped, "refresh"),
            (execution, record(61), Look::Missing, "wait"),
            (execution, paused(1), good(30), "fail"),
            (execution, paused(0), good(30), "refresh"),
            (execution, held(0), good(30), "wait"),
            (execution, held(-5), good(30), "wait"),
            (execution, held(-6), good(30), "refresh"),
            (execution, unverified(0), good(900), "use"),
            (execution, marked(30), good(30), "use"),
            (execution, marked(30), Look::Missing, "wait"),
            (schedule, marked(900), Look::Skipped, "refresh"),
            (execution, proof_requested(0), good(30), "fail"),
            (execution, proof_requested(-119), good(30), "fail"),
            (execution, proof_requested(-120), good(30), "refresh"),
            (execution, Integration { refresh_at: Some(NOW + 1), ..proof_requested(0) }, good(30), "refresh"),
            (schedule, proof_requested(0), Look::Skipped, "refresh"),
            (schedule, Integration { token_expires_at: NOW + 900, ..proof_requested(0) }, good(900), "refresh"),
            (schedule, Integration { token_expires_at: NOW + 900, ..proof_requested(-900) }, good(900), "use"),
            (schedule, record(601), good(601), "use"),
            (schedule, record(600), good(600), "refresh"),
            (schedule, unverified(0), good(900), "refresh"),
            (schedule, unverified(1), good(900), "use"),
        ] {
            let request = request(purpose);
            assert_eq!(step(&moment(&request), &record, &look), expected, "{purpose:?} {record:?} {look:?}");
        }
    }

    #[test]
    fn only_the_schedule_tries_a_marked_integration_whose_token_has_expired() {
        let marked = |seconds| Integration { status: Status::NeedsReauthorization, ..record(seconds) };
        let without_secret = |record| Integration { pointer: None, ..record };
        let (execution, schedule) = (Purpose::Execution, Purpose::Schedule);
        for (purpose, rejected, record, expected) in [
            (execution, None, record(-1), Ok(pointer("v1"))),
            (execution, Some("v1"), record(900), Ok(pointer("v1"))),
            (execution, None, marked(1), Ok(pointer("v1"))),
            (execution, Some("v0"), marked(1), Ok(pointer("v1"))),
            (execution, Some("v1"), marked(1), Err(Revoked)),
            (execution, None, marked(0), Err(Revoked)),
            (schedule, None, marked(0), Ok(pointer("v1"))),
            (schedule, None, without_secret(marked(0)), Err(Revoked)),
            (execution, None, without_secret(record(900)), Err(Corrupt)),
        ] {
            let request = TokenRequest { rejected, ..request(purpose) };
            let found = moment(&request).pointer(&record).map_err(|error| error.kind);
            assert_eq!(found, expected, "{purpose:?} {rejected:?} {record:?}");
        }
    }

    #[test]
    fn numbers_of_a_record_saturate() {
        let request = request(Purpose::Schedule);
        for extreme in [i64::MIN, i64::MAX] {
            let record = Integration {
                token_expires_at: extreme,
                refresh_not_before: Some(extreme),
                lease_owner: Some("x".to_owned()),
                lease_until: Some(extreme),
                ambiguous_until: Some(extreme),
                proof_requested_at: Some(extreme),
                ..record(0)
            };
            let mut tokens = version("v1", 0, &[]).tokens;
            (tokens.obtained_at, tokens.expires_at) = (extreme, extreme.saturating_neg());

            let look = Look::Found(tokens);
            assert!(!step(&moment(&request), &record, &look).is_empty());
            assert!(record.is_idle(NOW, 1) || record.last_used_at.is_none());
        }
    }

    #[test]
    fn without_time_nothing_is_begun() {
        let held = Integration { lease_owner: Some("x".to_owned()), lease_until: Some(NOW + 9), ..record(-1) };
        for (deadline, function_deadline, record, expected) in [
            (1, 13_000, record(-1), "refresh"),
            (1, 12_999, record(-1), "fail"),
            (0, 13_000, record(-1), "fail"),
            // Another's refresh may be waited for all the same.
            (1, 0, held.clone(), "wait"),
            (0, 0, held, "fail"),
        ] {
            let now = NOW * 1000;
            let request = TokenRequest {
                deadline: now + deadline,
                function_deadline: now + function_deadline,
                ..request(Purpose::Execution)
            };
            assert_eq!(step(&moment(&request), &record, &Look::Skipped), expected, "{deadline} {function_deadline}");
        }
    }

    #[test]
    fn a_rejected_version_is_neither_read_nor_committed() {
        let request = TokenRequest { rejected: Some("v1"), ..request(Purpose::Execution) };
        let rejecting = TokenRequest { rejected: Some("v2"), ..request };

        assert!(!moment(&request).looks(&record(900), &pointer("v1")));
        assert!(moment(&request).looks(&record(900), &pointer("v0")));
        let base = |request| moment(request).base(&record(-1), &pointer("v1"), version("v2", 900, &["v1"]));
        assert!(matches!(base(&request), Base::Commit(_)));
        assert!(matches!(base(&rejecting), Base::RollForward(_)));
    }

    #[test]
    fn the_schedule_does_not_read_tokens_that_are_short() {
        let (execution, schedule) = (request(Purpose::Execution), request(Purpose::Schedule));

        for (seconds, by_execution, by_schedule) in
            [(0, false, false), (1, true, false), (600, true, false), (601, true, true)]
        {
            assert_eq!(moment(&execution).looks(&record(seconds), &pointer("v1")), by_execution, "{seconds}");
            assert_eq!(moment(&schedule).looks(&record(seconds), &pointer("v1")), by_schedule, "{seconds}");
        }
    }

    #[test]
    fn the_schedule_does_not_read_the_tokens_of_a_marked_integration() {
        let (execution, schedule) = (request(Purpose::Execution), request(Purpose::Schedule));
        let marked = Integration { status: Status::NeedsReauthorization, ..record(900) };

        assert!(moment(&execution).looks(&marked, &pointer("v1")));
        assert!(!moment(&schedule).looks(&marked, &pointer("v1")));
    }

    #[test]
    fn only_executions_fall_back_on_tokens_that_were_found() {
        let found = || Look::Found(version("v1", 30, &[]).tokens);
        let (execution, schedule) = (request(Purpose::Execution), request(Purpose::Schedule));

        assert_eq!(moment(&execution).fallback(found()).unwrap().expires_at, NOW + 30);
        assert!(moment(&execution).fallback(Look::Missing).is_none());
        assert!(moment(&execution).fallback(Look::Skipped).is_none());
        assert!(moment(&schedule).fallback(found()).is_none());
    }

    #[test]
    fn a_refresh_starts_from_what_a_crash_left_behind() {
        let request = request(Purpose::Execution);
        let base = |record: &Integration, current| match moment(&request).base(record, &pointer("v1"), current) {
            Base::AlreadyRefreshed(_) => "already refreshed",
            Base::Commit(_) => "commit",
            Base::RollForward(_) => "roll forward",
            Base::RefreshWith(_) => "refresh",
            Base::Unrelated(_) => "unrelated",
            Base::SecretMissing => "missing",
        };

        assert_eq!(base(&record(900), version("v1", 900, &[])), "already refreshed");
        assert_eq!(base(&record(60), version("v1", 60, &[])), "refresh");
        assert_eq!(base(&record(-1), version("v2", 900, &["v1"])), "commit");
        assert_eq!(base(&record(-1), version("v2", 60, &["v0", "v1"])), "roll forward");
        assert_eq!(base(&record(-1), version("v2", 900, &["v0"])), "unrelated");
    }
}
