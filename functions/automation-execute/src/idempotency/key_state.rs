//! The state of a key for a further delivery, decided from the key's row: pure.

use guard::target::Target;
use shared::store::executions::{ExecutionRecord, ExecutionState};

/// An owner without a heartbeat for this long is dead: no invocation lives half of it, clocks 5 s apart included. In
/// seconds.
const DEAD_AFTER: i64 = 60;
/// The longest life of an invocation, in seconds.
const LONGEST_LIFE: i64 = 30;
/// The wait for the answer of an owner that is alive, in seconds.
pub(super) const SOON: u64 = 2;

/// The state of a key that has a row, as a further delivery finds it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    /// The key belongs to another request.
    Conflict,
    /// Its owner may be alive; ask again in so many seconds.
    Running { retry_after: u64 },
    /// It has ended.
    Answered,
    /// It has ended and may be executed again: it only reads, or HubSpot has not answered it in time.
    Again,
    /// Its owner is dead, and it may be executed.
    Resend,
    /// Its owner is dead, and HubSpot may have acted.
    Unknown,
}

/// The state of a key whose row is `stored`, for a delivery of the request with this digest.
pub(super) fn key_state(stored: &ExecutionRecord, digest: &str, now: i64, target: &Target) -> KeyState {
    let ended_without_answer = stored.state == ExecutionState::Answered && stored.answer.is_none();
    if stored.digest != digest {
        let free = ended_without_answer && stored.timed_out;
        return if free { KeyState::Again } else { KeyState::Conflict };
    }
    let silent = now.saturating_sub(stored.heartbeat_at);
    match stored.state {
        ExecutionState::Answered if ended_without_answer && target.is_idempotent() => KeyState::Again,
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

#[cfg(test)]
mod tests {
    use shared::error::RequestOutcome;
    use shared::store::executions::StoredResponse;

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
            timed_out: false,
            answer: Some(StoredResponse { status: 200, outcome: RequestOutcome::Answered, body: "{}".to_owned() }),
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
    fn a_row_without_an_answer_is_executed_again() {
        let ended = ExecutionRecord { answer: None, ..row(ExecutionState::Answered, 0) };
        let timed_out = ExecutionRecord { timed_out: true, ..ended.clone() };

        for method in ["GET", "PUT", "DELETE"] {
            assert_eq!(key_state(&ended, "same", 1, &target(method)), KeyState::Again, "{method}");
            assert_eq!(key_state(&ended, "another", 1, &target(method)), KeyState::Conflict, "{method}");
            assert_eq!(key_state(&timed_out, "same", 1, &target(method)), KeyState::Again, "{method}");
        }
        assert_eq!(key_state(&timed_out, "another", 1, &target("POST")), KeyState::Again);
        // A write that ended without its answer is corrupt, and is not repeated.
        assert_eq!(key_state(&ended, "same", 1, &target("POST")), KeyState::Answered);
    }
}
