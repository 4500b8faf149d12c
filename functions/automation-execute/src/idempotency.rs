//! One write per idempotency key, however often and wherever it is delivered, and whoever dies on the way.
//!
//! A key's row goes `accepted` → `sending` → `answered`; each step is conditional on still being its owner. Whoever
//! dies leaves a row behind that the next delivery takes over once nobody can be alive any more: in `accepted` nothing
//! was sent, so it is sent; in `sending` it is sent again only if that is harmless, else its outcome is unknown, for good.

use std::time::Duration;

use shared::crypto::sha256_hex;
use shared::error::{Error, RequestOutcome};
use shared::gateway::Response;
use shared::store::executions::{ClaimWrite, ExecutionRecord, ExecutionState, Executions, StoredResponse};

use guard::request::AutomationRequest;

/// A row is kept so long, in seconds; after that its key is as good as new.
const KEPT: i64 = 86_400;
/// An owner not heard of for so long is dead: no invocation lives half of it, clocks 5 s apart included. In seconds.
const DEAD_AFTER: i64 = 60;
/// No invocation lives longer, in seconds.
const LONGEST_LIFE: i64 = 30;
/// Where an owner is alive, its answer is soon there, in seconds.
const SOON: u64 = 2;
/// Between two tries to end a claim.
const PAUSE: Duration = Duration::from_millis(50);
/// What ending a claim gets at least, when the deadline has passed: the function has a second to answer.
pub(crate) const ROOM_TO_END: Duration = Duration::from_millis(600);

/// A key that this execution owns.
pub(crate) struct Claim {
    row: ExecutionRecord,
}

/// How a delivery goes on.
pub(crate) enum Claimed {
    /// It executes.
    Owned(Claim),
    /// It tells what was answered before.
    Replay(StoredResponse),
}

/// What stands in the way of a delivery whose key has a row.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The key stands for another request.
    Conflict,
    /// Its owner may be alive; ask again in so many seconds.
    Running { retry_after: u64 },
    /// It has ended.
    Answered,
    /// Its owner is dead, and it may be executed.
    Resend,
    /// Its owner is dead, and nobody can tell whether HubSpot has acted.
    Unknown,
}

fn judge(stored: &ExecutionRecord, digest: &str, now: i64, idempotent: bool) -> Found {
    if stored.digest != digest {
        return Found::Conflict;
    }
    let silent = now - stored.heartbeat_at;
    match stored.state {
        ExecutionState::Answered => Found::Answered,
        ExecutionState::Accepted | ExecutionState::Sending if silent < LONGEST_LIFE => {
            Found::Running { retry_after: SOON }
        }
        ExecutionState::Accepted | ExecutionState::Sending if silent <= DEAD_AFTER => {
            Found::Running { retry_after: (DEAD_AFTER - silent).unsigned_abs() + 1 }
        }
        ExecutionState::Accepted => Found::Resend,
        ExecutionState::Sending if idempotent => Found::Resend,
        ExecutionState::Sending => Found::Unknown,
    }
}

/// Claims the key of a request for the execution `owner`, if the request has one.
///
/// `reached` says, also where the claim fails, whether an earlier owner, dead by now, may have reached HubSpot.
///
/// # Errors
/// `execution_in_progress`, `idempotency_conflict`; for a dead owner's write that may not be repeated
/// `hubspot_unreachable`, which is kept as the key's answer.
pub(crate) async fn claim(
    executions: &Executions,
    request: &AutomationRequest,
    key: &str,
    owner: &str,
    now: i64,
    reached: &mut bool,
) -> Result<Claimed, Error> {
    let row = ExecutionRecord {
        account_id: request.account_id.clone(),
        key_hash: sha256_hex(key),
        state: ExecutionState::Accepted,
        owner: owner.to_owned(),
        digest: sha256_hex(request.identity()),
        heartbeat_at: now,
        expires_at: now + KEPT,
        answer: None,
    };
    let mut stored = match executions.claim(&row, now).await? {
        ClaimWrite::Applied => return Ok(Claimed::Owned(Claim { row })),
        ClaimWrite::Lost(None) => return Err(Error::ExecutionInProgress { retry_after: SOON }),
        ClaimWrite::Lost(Some(stored)) => stored,
    };
    let found = judge(&stored, &row.digest, now, request.call.target().is_idempotent());
    *reached = found != Found::Conflict && stored.state != ExecutionState::Accepted;
    let error = match found {
        Found::Conflict => return Err(Error::IdempotencyConflict),
        Found::Running { retry_after } => return Err(Error::ExecutionInProgress { retry_after }),
        Found::Answered => {
            let kept = stored.answer.take().ok_or_else(|| Error::internal("an execution has ended without an answer"));
            return kept.map(Claimed::Replay);
        }
        Found::Resend => {
            // The state stays: the next one to take over has to know what this one knows.
            let claim = Claim { row: ExecutionRecord { state: stored.state, ..row } };
            return step(executions, &claim.row, &stored).await.map(|()| Claimed::Owned(claim));
        }
        Found::Unknown => Error::HubspotUnreachable { outcome: RequestOutcome::Unknown, retryable: false },
    };
    let row = ExecutionRecord {
        state: ExecutionState::Answered,
        answer: Some(problem(&error, RequestOutcome::Unknown, owner)),
        ..row
    };
    step(executions, &row, &stored).await?;
    Err(error)
}

/// Notes that the request may from now on reach HubSpot.
///
/// # Errors
/// `execution_in_progress` if somebody else has taken the key over, for dead as this execution looked.
pub(crate) async fn sending(executions: &Executions, claim: &mut Claim, now: i64) -> Result<(), Error> {
    let row = ExecutionRecord { state: ExecutionState::Sending, heartbeat_at: now, ..claim.row.clone() };
    step(executions, &row, &claim.row).await?;
    claim.row = row;
    Ok(())
}

/// Ends a claim: keeps what is to be told again, or else gives the key free. It is tried until the caller drops it:
/// a row that stays behind looks like that of a dead owner, and makes a retryable end an unknown one.
pub(crate) async fn end(executions: &Executions, claim: &Claim, kept: Option<StoredResponse>) -> Result<(), Error> {
    let row =
        kept.map(|kept| ExecutionRecord { state: ExecutionState::Answered, answer: Some(kept), ..claim.row.clone() });
    loop {
        let ended = match &row {
            None => executions.release(&claim.row).await,
            Some(row) => step(executions, row, &claim.row).await,
        };
        if !matches!(ended, Err(Error::TemporarilyUnavailable { .. })) {
            return ended;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A problem as it is kept: what ends `not_sent`, and what may be sent again, is not.
pub(crate) fn kept_problem(error: &Error, outcome: RequestOutcome, execution_id: &str) -> Option<StoredResponse> {
    (outcome != RequestOutcome::NotSent && !error.retryable()).then(|| problem(error, outcome, execution_id))
}

/// A kept answer, as it was told the first time.
pub(crate) fn replay(kept: StoredResponse) -> Response {
    let kind = if kept.status == 200 { "application/json" } else { "application/problem+json" };
    Response::text(kept.status, kind, kept.body)
}

fn problem(error: &Error, outcome: RequestOutcome, execution_id: &str) -> StoredResponse {
    let response = Response::execution_problem(error, outcome, execution_id);
    StoredResponse { status: response.status_code, outcome, body: response.body }
}

/// Replaces `read` by `row`; whoever loses that finds somebody else at work.
async fn step(executions: &Executions, row: &ExecutionRecord, read: &ExecutionRecord) -> Result<(), Error> {
    match executions.step(row, read).await? {
        ClaimWrite::Applied => Ok(()),
        ClaimWrite::Lost(_) => Err(Error::ExecutionInProgress { retry_after: SOON }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: ExecutionState, heartbeat_at: i64) -> ExecutionRecord {
        ExecutionRecord {
            account_id: "acc_1".to_owned().try_into().unwrap(),
            key_hash: String::new(),
            state,
            owner: "other".to_owned(),
            digest: "same".to_owned(),
            heartbeat_at,
            expires_at: 100_000,
            answer: None,
        }
    }

    #[test]
    fn a_row_is_taken_over_only_from_a_dead_owner_and_sent_again_only_if_that_is_harmless() {
        let running = |retry_after| Found::Running { retry_after };
        for (state, silent, once, idempotent) in [
            (ExecutionState::Accepted, 0, running(2), running(2)),
            (ExecutionState::Accepted, -5, running(2), running(2)),
            (ExecutionState::Accepted, 29, running(2), running(2)),
            (ExecutionState::Accepted, 30, running(31), running(31)),
            (ExecutionState::Accepted, 60, running(1), running(1)),
            (ExecutionState::Accepted, 61, Found::Resend, Found::Resend),
            (ExecutionState::Sending, 29, running(2), running(2)),
            (ExecutionState::Sending, 60, running(1), running(1)),
            (ExecutionState::Sending, 61, Found::Unknown, Found::Resend),
            (ExecutionState::Answered, 0, Found::Answered, Found::Answered),
            (ExecutionState::Answered, 61, Found::Answered, Found::Answered),
        ] {
            let stored = row(state, 1_000);
            assert_eq!(judge(&stored, "same", 1_000 + silent, false), once, "{state:?} {silent}");
            assert_eq!(judge(&stored, "same", 1_000 + silent, true), idempotent, "{state:?} {silent}");
            assert_eq!(judge(&stored, "another", 1_000 + silent, true), Found::Conflict, "{state:?} {silent}");
        }
    }

    #[test]
    fn a_problem_is_kept_only_if_it_is_the_end_of_a_request_that_may_have_been_sent() {
        let unknown = |retryable| Error::HubspotUnreachable { outcome: RequestOutcome::Unknown, retryable };
        let is_kept = |error: &Error, outcome| kept_problem(error, outcome, "id").is_some();

        assert!(is_kept(&unknown(false), RequestOutcome::Unknown));
        assert!(!is_kept(&unknown(true), RequestOutcome::Unknown));
        assert!(!is_kept(&Error::NotConnected, RequestOutcome::NotSent));
        assert!(is_kept(&Error::NotConnected, RequestOutcome::Unknown));
        assert!(!is_kept(&Error::unavailable(1, "a test"), RequestOutcome::Unknown));
    }

    #[test]
    fn a_kept_answer_is_told_again_as_what_it_was() {
        let kept = |status| StoredResponse { status, outcome: RequestOutcome::Unknown, body: "{}".to_owned() };
        let problem = kept_problem(
            &Error::HubspotUnreachable { outcome: RequestOutcome::Unknown, retryable: false },
            RequestOutcome::Unknown,
            "id",
        );

        for (kept, status, kind) in [
            (kept(200), 200, "application/json"),
            (kept(502), 502, "application/problem+json"),
            (problem.unwrap(), 502, "application/problem+json"),
        ] {
            let response = replay(kept);
            assert_eq!((response.status_code, response.headers["content-type"].as_str()), (status, kind));
            assert!(response.body.starts_with('{'), "{}", response.body);
        }
    }
}
