//! The import of one integration: secret, record, verification.
//!
//! A crash between any two steps leaves what the next run continues from: a secret that it finds by its name, or a
//! record that is not verified yet.

use shared::access::{TokenRequest, Unusable};
use shared::error::Error;
use shared::integration::{Integration, Status};
use shared::lease::Purpose;
use shared::store::WriteResult;

use super::ledger::Stage;
use super::record::ImportRecord;
use crate::select::Position;
use crate::stack::Stack;

/// Time for one verification, in milliseconds: a lease and the writes after it.
const VERIFICATION_TIME: i64 = 70_000;
/// Secrets Manager shows a write to every reader within this many seconds.
const VISIBLE_AFTER: i64 = 30;

/// The outcome of one import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ImportOutcome {
    /// The record exists and HubSpot accepts it.
    Imported,
    /// The record exists below a newer instance: it does not run and is not verified.
    ImportedOlder,
    /// The record existed before, by other means than this import.
    AlreadyThere,
    /// The record exists, and HubSpot does not accept its refresh token: an admin has to reconnect.
    Refused,
    /// The customer has disconnected it since an earlier run of this import.
    Disconnected,
    /// Something else prevents the import.
    Conflict(String),
    /// The record exists and could not be verified yet; try again after this many seconds.
    Later(i64, String),
    /// HubSpot refuses the app's credentials: nothing can be verified.
    AppRefused(String),
}

/// What the table holds for an integration.
pub(super) enum ExistingRecord {
    Absent,
    /// Its own record, and the place of it in the account.
    Own(Box<Integration>, Position),
    /// A record that prevents the import.
    Conflict(&'static str),
}

/// Reads what the table holds, without changing it.
pub(super) async fn inspect(stack: &Stack, record: &ImportRecord) -> Result<ExistingRecord, Error> {
    let all = stack.store.all(&record.account_id).await?;
    let own = all.into_iter().enumerate().find(|(_, known)| known.integration_id == record.integration_id);
    let Some((index, own)) = own else { return Ok(ExistingRecord::Absent) };
    Ok(match (own.sequence, own.created_at) {
        (0.., _) => ExistingRecord::Conflict(
            "integration_id: an instance with this id was connected here; give the line another id",
        ),
        (_, created_at) if created_at != record.created_at => ExistingRecord::Conflict(
            "created_at: an instance with this id exists here with another creation time; make them agree",
        ),
        _ => ExistingRecord::Own(Box::new(own), Position::at(index)),
    })
}

/// Imports one integration as far as possible; `started` is called between its secret and its record.
pub(super) async fn import_one(
    stack: &Stack,
    record: &ImportRecord,
    stage: Option<(Stage, i64)>,
    started: impl FnOnce() -> Result<(), Error>,
) -> Result<ImportOutcome, Error> {
    match inspect(stack, record).await? {
        ExistingRecord::Conflict(why) => Ok(ImportOutcome::Conflict(why.to_owned())),
        ExistingRecord::Own(own, position) => {
            let outcome = verify(stack, *own, position).await;
            // Without a ledger entry, another means than this import has created the record.
            let foreign = stage.is_none() && outcome == ImportOutcome::Imported;
            Ok(if foreign { ImportOutcome::AlreadyThere } else { outcome })
        }
        ExistingRecord::Absent => {
            if let Some((Stage::Begun, at)) = stage
                && let Some(outcome) = secret_missing(stack, record, at).await?
            {
                return Ok(outcome);
            }
            let pointer = stack.store.import_secret(&record.tokens()).await?;
            started()?;
            let mut own = record.integration(record.sequence(), pointer, stack.clock.now());
            while stack.store.insert(&own).await? == WriteResult::ConditionFailed {
                own.sequence += 1;
            }
            let newest = stack.store.newest(&record.account_id).await?;
            let is_newest = newest.is_some_and(|newest| newest.integration_id == own.integration_id);
            let position = if is_newest { Position::Newest } else { Position::Older };
            Ok(verify(stack, own, position).await)
        }
    }
}

/// The outcome if an earlier run wrote the secret at `at` and it cannot be found: it may not be visible yet, or a
/// disconnect has deleted it.
async fn secret_missing(stack: &Stack, record: &ImportRecord, at: i64) -> Result<Option<ImportOutcome>, Error> {
    let secret = stack.store.imported(&record.account_id, &record.integration_id);
    if stack.store.current_tokens(&secret).await?.is_some() {
        return Ok(None);
    }
    let wait = at + VISIBLE_AFTER - stack.clock.now();
    let cause = "the secret that an earlier run has written is not visible yet";
    Ok(Some(if wait > 0 { ImportOutcome::Later(wait, cause.to_owned()) } else { ImportOutcome::Disconnected }))
}

/// Verifies a record by the refresh that every function makes. An older instance is not verified: nothing uses it, and
/// instances of one portal may share a refresh token.
async fn verify(stack: &Stack, record: Integration, position: Position) -> ImportOutcome {
    match (record.status, position) {
        (_, Position::Older) => return ImportOutcome::ImportedOlder,
        (Status::NeedsReauthorization, Position::Newest) => return ImportOutcome::Refused,
        (Status::Active, Position::Newest) if record.token_expires_at > 0 => return ImportOutcome::Imported,
        (Status::Active, Position::Newest) => {}
    }
    let deadline = stack.clock.now_millis() + VERIFICATION_TIME;
    // Like the schedule, it does not wait for another process's refresh.
    let need = TokenRequest { purpose: Purpose::Schedule, deadline, function_deadline: deadline, rejected: None };
    match stack.access.usable(record, &need).await {
        Ok(_) => ImportOutcome::Imported,
        Err(Unusable::Revoked) => ImportOutcome::Refused,
        Err(Unusable::Gone) => ImportOutcome::Disconnected,
        Err(Unusable::Corrupt(cause)) => ImportOutcome::Conflict(cause),
        Err(Unusable::Transient { retry_after, cause }) => ImportOutcome::Later(retry_after, cause),
        Err(Unusable::Misconfigured { invalid_client: true, cause, .. }) => ImportOutcome::AppRefused(cause),
        Err(Unusable::Misconfigured { retry_after, cause, .. }) => ImportOutcome::Later(retry_after, cause),
    }
}
