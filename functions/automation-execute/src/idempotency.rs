//! One write per idempotency key, however often and wherever it is delivered, and whichever process dies on the way.
//!
//! A key's row goes `accepted` → `sending` → `answered`; each step is conditional on still being its owner. An owner
//! that dies leaves a row behind, which the next delivery takes over when that owner cannot be alive any more: in
//! `accepted` nothing was sent, so it is sent; in `sending` it is sent again only if it is idempotent, else its outcome
//! is unknown, for good.

use std::time::Duration;

use guard::request::AutomationRequest;
use guard::target::Target;
use shared::crypto::sha256_hex;
use shared::error::{Error, RequestOutcome};
use shared::gateway::Response;
use shared::store::executions::{ClaimWrite, ExecutionRecord, ExecutionState, Executions, StoredResponse};

use crate::app::App;

/// The lifetime of a row, in seconds; after that its key counts as new.
const LIFETIME: i64 = 86_400;
/// An owner without a heartbeat for this long is dead: no invocation lives half of it, clocks 5 s apart included. In
/// seconds.
const DEAD_AFTER: i64 = 60;
/// The longest life of an invocation, in seconds.
const LONGEST_LIFE: i64 = 30;
/// The wait for the answer of an owner that is alive, in seconds.
const SOON: u64 = 2;
/// The pause between two tries to finish a claim.
const PAUSE: Duration = Duration::from_millis(50);
/// The least time to finish a claim when the deadline has passed: the function has a second to answer.
pub(crate) const TIME_TO_FINISH: Duration = Duration::from_millis(600);

/// A key that this execution owns.
pub(crate) struct Claim {
    row: ExecutionRecord,
}

impl Claim {
    /// Whether an earlier owner, dead by now, may have reached HubSpot.
    pub(crate) fn may_have_reached_hubspot(&self) -> bool {
        self.row.state != ExecutionState::Accepted
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
    /// Whether another delivery of the key may have reached HubSpot.
    pub(crate) may_have_reached_hubspot: bool,
}

impl From<Error> for ClaimError {
    fn from(error: Error) -> Self {
        Self { error, may_have_reached_hubspot: false }
    }
}

/// The state of a key that has a row, as a further delivery finds it.
#[derive(Debug, PartialEq, Eq)]
enum KeyState {
    /// The key stands for another request.
    Conflict,
    /// Its owner may be alive; ask again in so many seconds.
    Running { retry_after: u64 },
    /// It has ended.
    Answered,
    /// Its owner is dead, and it may be executed.
    Resend,
    /// Its owner is dead, and HubSpot may have acted.
    Unknown,
}

fn key_state(stored: &ExecutionRecord, digest: &str, now: i64, target: &Target) -> KeyState {
    if stored.digest != digest {
        return KeyState::Conflict;
    }
    let silent = now - stored.heartbeat_at;
    match stored.state {
        ExecutionState::Answered => KeyState::Answered,
        ExecutionState::Accepted | ExecutionState::Sending if silent < LONGEST_LIFE => {
            KeyState::Running { retry_after: SOON }
        }
        ExecutionState::Accepted | ExecutionState::Sending if silent <= DEAD_AFTER => {
            KeyState::Running { retry_after: (DEAD_AFTER - silent).unsigned_abs() + 1 }
        }
        ExecutionState::Accepted => KeyState::Resend,
        ExecutionState::Sending if target.is_idempotent() => KeyState::Resend,
        ExecutionState::Sending => KeyState::Unknown,
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
        answer: None,
    };
    let stored = match app.in_time(deadline, Box::pin(app.executions.claim(&row, now))).await? {
        ClaimWrite::Applied => return Ok(ClaimResult::Owned(Claim { row })),
        ClaimWrite::Lost(None) => return Err(Error::ExecutionInProgress { retry_after: SOON }.into()),
        ClaimWrite::Lost(Some(stored)) => stored,
    };
    let state = key_state(&stored, &row.digest, now, request.call.target());
    let may_have_reached_hubspot = state != KeyState::Conflict && stored.state != ExecutionState::Accepted;
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
        KeyState::Resend => {
            // The state stays: the next one to take over has to know what this one knows.
            let row = ExecutionRecord { state: stored.state, ..row };
            step(executions, &row, &stored).await?;
            Ok(ClaimResult::Owned(Claim { row }))
        }
        KeyState::Unknown => {
            let error = Error::HubspotUnreachable { outcome: RequestOutcome::Unknown, retryable: false };
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

/// Finishes a claim: stores the answer, or else releases the key. It tries until the caller drops it: a row that stays
/// behind looks like that of a dead owner, and makes a retryable end an unknown one.
pub(crate) async fn finish(
    executions: &Executions,
    claim: &Claim,
    stored: Option<StoredResponse>,
) -> Result<(), Error> {
    let answered =
        |answer| ExecutionRecord { state: ExecutionState::Answered, answer: Some(answer), ..claim.row.clone() };
    let row = stored.map(answered);
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

/// A problem as it is stored, unless nothing was sent or the request may be sent again.
pub(crate) fn stored_problem(error: &Error, outcome: RequestOutcome, execution_id: &str) -> Option<StoredResponse> {
    (outcome != RequestOutcome::NotSent && !error.retryable()).then(|| problem(error, outcome, execution_id))
}

/// A stored answer, as it was returned the first time.
pub(crate) fn replay(stored: StoredResponse) -> Response {
    let kind = if stored.status == 200 { "application/json" } else { "application/problem+json" };
    Response::text(stored.status, kind, stored.body)
}

fn problem(error: &Error, outcome: RequestOutcome, execution_id: &str) -> StoredResponse {
    let response = Response::execution_problem(error, outcome, execution_id);
    StoredResponse { status: response.status_code, outcome, body: response.body }
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

    fn target(method: &str) -> Target {
        let origin = "https://api.hubapi.com".parse().unwrap();
        Target::parse(&origin, method, "/crm/v3/objects/contacts/1", &[]).unwrap()
    }

    #[test]
    fn a_dead_owners_row_is_taken_over_and_resent_only_if_idempotent() {
        let running = |retry_after| KeyState::Running { retry_after };
        for (state, silent, once, idempotent) in [
            (ExecutionState::Accepted, 0, running(2), running(2)),
            (ExecutionState::Accepted, -5, running(2), running(2)),
            (ExecutionState::Accepted, 29, running(2), running(2)),
            (ExecutionState::Accepted, 30, running(31), running(31)),
            (ExecutionState::Accepted, 60, running(1), running(1)),
            (ExecutionState::Accepted, 61, KeyState::Resend, KeyState::Resend),
            (ExecutionState::Sending, 29, running(2), running(2)),
            (ExecutionState::Sending, 60, running(1), running(1)),
            (ExecutionState::Sending, 61, KeyState::Unknown, KeyState::Resend),
            (ExecutionState::Answered, 0, KeyState::Answered, KeyState::Answered),
            (ExecutionState::Answered, 61, KeyState::Answered, KeyState::Answered),
        ] {
            let stored = row(state, 1_000);
            assert_eq!(key_state(&stored, "same", 1_000 + silent, &target("POST")), once, "{state:?} {silent}");
            assert_eq!(key_state(&stored, "same", 1_000 + silent, &target("PUT")), idempotent, "{state:?} {silent}");
            assert_eq!(
                key_state(&stored, "another", 1_000 + silent, &target("PUT")),
                KeyState::Conflict,
                "{state:?} {silent}"
            );
        }
    }

    #[test]
    fn a_problem_is_stored_only_if_final_and_possibly_sent() {
        let unknown = |retryable| Error::HubspotUnreachable { outcome: RequestOutcome::Unknown, retryable };
        let is_stored = |error: &Error, outcome| stored_problem(error, outcome, "id").is_some();

        assert!(is_stored(&unknown(false), RequestOutcome::Unknown));
        assert!(!is_stored(&unknown(true), RequestOutcome::Unknown));
        assert!(!is_stored(&Error::NotConnected, RequestOutcome::NotSent));
        assert!(is_stored(&Error::NotConnected, RequestOutcome::Unknown));
        assert!(!is_stored(&Error::unavailable(1, "a test"), RequestOutcome::Unknown));
    }

    #[test]
    fn a_stored_answer_is_replayed_with_its_status_and_type() {
        let stored = |status| StoredResponse { status, outcome: RequestOutcome::Unknown, body: "{}".to_owned() };
        let problem = stored_problem(
            &Error::HubspotUnreachable { outcome: RequestOutcome::Unknown, retryable: false },
            RequestOutcome::Unknown,
            "id",
        );

        for (stored, status, kind) in [
            (stored(200), 200, "application/json"),
            (stored(502), 502, "application/problem+json"),
            (problem.unwrap(), 502, "application/problem+json"),
        ] {
            let response = replay(stored);
            assert_eq!((response.status_code, response.headers["content-type"].as_str()), (status, kind));
            assert!(response.body.starts_with('{'), "{}", response.body);
        }
    }
}
