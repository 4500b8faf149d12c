//! One write per idempotency key, however often and wherever it is delivered, and whichever process dies on the way.
//!
//! A key's row goes `accepted` → `sending` → `answered`; each step is conditional on still being its owner. An owner
//! that dies leaves a row behind, which the next delivery takes over when that owner cannot be alive any more: in
//! `accepted` nothing was sent, so it is sent; in `sending` it is sent again only if it is idempotent, else its outcome
//! is unknown, for good.

mod claim_end;
mod key_state;

use std::time::Duration;

use guard::request::AutomationRequest;
use shared::crypto::sha256_hex;
use shared::error::{Error, LostRequest, RequestOutcome};
use shared::store::executions::{ClaimWrite, ExecutionRecord, ExecutionState, Executions, StoredResponse};

use self::claim_end::problem;
pub(crate) use self::claim_end::{ClaimEnd, problem_end, replay};
use self::key_state::{KeyState, SOON, key_state};
use crate::app::App;

/// The lifetime of a row, in seconds; after that its key counts as new.
const LIFETIME: i64 = 86_400;
/// The pause between two tries to finish a claim.
const PAUSE: Duration = Duration::from_millis(50);
/// The least time to finish a claim when the deadline has passed: the function has a second to answer.
pub(crate) const TIME_TO_FINISH: Duration = Duration::from_millis(600);

/// A key that this execution owns.
pub(crate) struct Claim {
    row: ExecutionRecord,
}

impl Claim {
    /// Returns true if an earlier owner may have reached HubSpot: one that is dead by now, or one that got no answer in
    /// time.
    pub(crate) fn may_have_reached_hubspot(&self) -> bool {
        self.row.state != ExecutionState::Accepted || self.row.timed_out
    }

    /// Returns true if the caller repeats a delivery that HubSpot did not answer in time.
    pub(crate) fn repeats_a_timeout(&self) -> bool {
        self.row.timed_out
    }
}

/// How a delivery goes on.
pub(crate) enum ClaimResult {
    /// It executes.
    Owned(Claim),
    /// It gets the stored answer.
    Replay(StoredResponse),
}

/// A delivery that may not execute.
pub(crate) struct ClaimError {
    pub(crate) error: Error,
    /// True if another delivery of the key may have reached HubSpot.
    pub(crate) may_have_reached_hubspot: bool,
}

impl From<Error> for ClaimError {
    fn from(error: Error) -> Self {
        Self { error, may_have_reached_hubspot: false }
    }
}

/// Claims the key of a request for the execution `owner`, until `deadline` (milliseconds since the epoch).
///
/// # Errors
/// `execution_in_progress`, `idempotency_conflict`; for a dead owner's write that may not be repeated
/// `hubspot_unreachable`, which is stored as the key's answer.
pub(crate) async fn claim(
    app: &App,
    request: &AutomationRequest,
    key: &str,
    owner: &str,
    deadline: i64,
) -> Result<ClaimResult, ClaimError> {
    let now = app.clock.now();
    let row = ExecutionRecord {
        account_id: request.account_id.clone(),
        key_hash: sha256_hex(key),
        state: ExecutionState::Accepted,
        owner: owner.to_owned(),
        digest: sha256_hex(request.identity()),
        heartbeat_at: now,
        expires_at: now + LIFETIME,
        timed_out: false,
        answer: None,
    };
    let stored = match app.in_time(deadline, Box::pin(app.executions.claim(&row, now))).await? {
        ClaimWrite::Applied => return Ok(ClaimResult::Owned(Claim { row })),
        ClaimWrite::Lost(None) => return Err(Error::ExecutionInProgress { retry_after: SOON }.into()),
        ClaimWrite::Lost(Some(stored)) => stored,
    };
    let state = key_state(&stored, &row.digest, now, request.call.target());
    let earlier = stored.timed_out || (state != KeyState::Again && stored.state != ExecutionState::Accepted);
    let may_have_reached_hubspot = stored.digest == row.digest && earlier;
    let further = Box::pin(further_delivery(&app.executions, row, stored, state));
    app.in_time(deadline, further).await.map_err(|error| ClaimError { error, may_have_reached_hubspot })
}

/// Goes on with a delivery whose key has the row `stored`; `row` is that of its own.
async fn further_delivery(
    executions: &Executions,
    row: ExecutionRecord,
    mut stored: ExecutionRecord,
    state: KeyState,
) -> Result<ClaimResult, Error> {
    match state {
        KeyState::Conflict => Err(Error::IdempotencyConflict),
        KeyState::Running { retry_after } => Err(Error::ExecutionInProgress { retry_after }),
        KeyState::Answered => {
            let answer = stored.answer.take();
            answer.map(ClaimResult::Replay).ok_or_else(|| Error::internal("an execution has ended without an answer"))
        }
        KeyState::Again => {
            let timed_out = stored.timed_out && stored.digest == row.digest;
            let row = ExecutionRecord { timed_out, ..row };
            step(executions, &row, &stored).await?;
            Ok(ClaimResult::Owned(Claim { row }))
        }
        KeyState::Resend => {
            // The state stays: the next one to take over has to know what this one knows.
            let row = ExecutionRecord { state: stored.state, timed_out: stored.timed_out, ..row };
            step(executions, &row, &stored).await?;
            Ok(ClaimResult::Owned(Claim { row }))
        }
        KeyState::Unknown => {
            let error = Error::HubspotUnreachable(LostRequest::CheckFirst);
            let answer = problem(&error, RequestOutcome::Unknown, &row.owner);
            let row = ExecutionRecord { state: ExecutionState::Answered, answer: Some(answer), ..row };
            step(executions, &row, &stored).await?;
            Err(error)
        }
    }
}

/// Records that the request may from now on reach HubSpot.
///
/// # Errors
/// `execution_in_progress` if another delivery has taken the key over, since this execution looked dead.
pub(crate) async fn mark_sending(executions: &Executions, claim: &mut Claim, now: i64) -> Result<(), Error> {
    let row = ExecutionRecord { state: ExecutionState::Sending, heartbeat_at: now, ..claim.row.clone() };
    step(executions, &row, &claim.row).await?;
    claim.row = row;
    Ok(())
}

/// Finishes a claim. It tries until the caller drops it: a row that stays behind looks like that of a dead owner, and
/// makes a retryable end an unknown one.
pub(crate) async fn finish(executions: &Executions, claim: &Claim, end: ClaimEnd) -> Result<(), Error> {
    let row = ExecutionRecord { state: ExecutionState::Answered, ..claim.row.clone() };
    let row = match end {
        ClaimEnd::Released => None,
        ClaimEnd::TimedOut => Some(ExecutionRecord { timed_out: true, ..row }),
        ClaimEnd::Read => Some(row),
        ClaimEnd::Stored(answer) => Some(ExecutionRecord { answer: Some(answer), ..row }),
    };
    loop {
        let finished = match &row {
            None => executions.release(&claim.row).await,
            Some(row) => step(executions, row, &claim.row).await,
        };
        if !matches!(finished, Err(Error::TemporarilyUnavailable { .. })) {
            return finished;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Replaces `read` by `row`; a lost race means that another delivery is at work.
async fn step(executions: &Executions, row: &ExecutionRecord, read: &ExecutionRecord) -> Result<(), Error> {
    match executions.step(row, read).await? {
        ClaimWrite::Applied => Ok(()),
        ClaimWrite::Lost(_) => Err(Error::ExecutionInProgress { retry_after: SOON }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_knows_what_earlier_owners_may_have_done() {
        for (state, timed_out, reached) in [
            (ExecutionState::Accepted, false, false),
            (ExecutionState::Accepted, true, true),
            (ExecutionState::Sending, false, true),
        ] {
            let row = ExecutionRecord {
                account_id: "acc_1".to_owned().try_into().unwrap(),
                key_hash: String::new(),
                state,
                owner: "this".to_owned(),
                digest: String::new(),
                heartbeat_at: 0,
                expires_at: LIFETIME,
                timed_out,
                answer: None,
            };
            let claim = Claim { row };
            assert_eq!(claim.may_have_reached_hubspot(), reached, "{state:?} {timed_out}");
            assert_eq!(claim.repeats_a_timeout(), timed_out, "{state:?} {timed_out}");
        }
    }
}
