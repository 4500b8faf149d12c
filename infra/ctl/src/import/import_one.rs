//! The import of one integration: HubSpot's word, secret, record.
//!
//! Nothing is written for an account's newest integration before HubSpot has accepted its refresh token, so that an
//! import with the credentials of another app leaves no trace. A crash between any two steps leaves what the next run
//! continues from: a secret that it finds by its name, or a record that is not verified yet.

use shared::access::TokenRequest;
use shared::error::Error;
use shared::hubspot::Grant;
use shared::integration::{self, Integration, MOST_CONNECTED, Status, TokenState};
use shared::refresh_policy::Purpose;
use shared::store::{WriteResult, secrets};
use shared::token_error::{TokenError, TokenErrorKind};
use uuid::Uuid;

use super::ledger::LedgerEntry;
use super::record::ImportRecord;
use crate::select::Position;
use crate::stack::Stack;

/// Time for one verification, in milliseconds: a lease and the writes after it.
const VERIFICATION_TIME: i64 = 70_000;
/// Secrets Manager shows a write to every reader within this many seconds.
const VISIBLE_AFTER: i64 = 30;
/// The pause after a failure of HubSpot that names none, in seconds.
const PAUSE: i64 = 5;

/// The outcome of one import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ImportOutcome {
    /// The record exists and HubSpot accepts it.
    Imported,
    /// The record exists below a newer instance: it does not run and is not verified.
    ImportedOlder,
    /// The record existed before, by other means than this import.
    AlreadyThere,
    /// HubSpot does not accept the refresh token, and nothing was written.
    RefusedUnrecorded,
    /// The record exists, and HubSpot does not accept its refresh token: an admin has to reconnect.
    Refused,
    /// As in an earlier run, with the same refresh token.
    RefusedBefore,
    /// The customer has disconnected it since an earlier run of this import.
    Disconnected,
    /// Something else prevents the import.
    Conflict(String),
    /// The import was not possible yet; try again after this many seconds.
    Later(i64, String),
    /// HubSpot refuses the app's credentials: nothing can be verified.
    AppRefused(String),
}

/// The treatment of an integration whose refresh token HubSpot refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalMode {
    /// Write nothing: it may be our mistake.
    LeaveUnrecorded,
    /// Import it all the same, for an admin to reconnect.
    Record,
}

/// The record of an integration in the table.
pub(super) enum ExistingRecord {
    /// Nothing, where its record would be, and how many integrations of the account have tokens.
    Absent(Position, usize),
    Own(Box<Integration>, Position),
    /// A record that prevents the import.
    Conflict(&'static str),
}

/// Reads what the table holds, without changing it.
pub(super) async fn inspect(stack: &Stack, record: &ImportRecord) -> Result<ExistingRecord, Error> {
    let all = stack.store.all(&record.account_id).await?;
    let newest = all.first().map(|newest| newest.sequence);
    let connected = integration::connected(&all);
    let own = all.into_iter().enumerate().find(|(_, known)| known.integration_id == record.integration_id);
    let Some((index, own)) = own else {
        let is_older = newest.is_some_and(|newest| newest > record.sequence());
        let position = if is_older { Position::Older } else { Position::Newest };
        return Ok(ExistingRecord::Absent(position, connected));
    };
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

/// The outcome if an account, so many of whose integrations have tokens or are about to, can have no further one.
pub(super) fn no_room(connected: usize) -> Option<ImportOutcome> {
    let conflict = || {
        ImportOutcome::Conflict(format!(
            "account_id: the account has {connected} connected integrations; it can have {MOST_CONNECTED} at most, \
             of which the newest runs automations. Remove the line, or disconnect those that are no longer needed and \
             run the import again"
        ))
    };
    (connected >= MOST_CONNECTED).then(conflict)
}

/// Imports one integration as far as possible. `held` integrations of the account are recorded at the end of the run;
/// `started` is called between its secret and its record.
pub(super) async fn import_one(
    stack: &Stack,
    record: &ImportRecord,
    entry: Option<&LedgerEntry>,
    mode: RefusalMode,
    held: usize,
    started: impl FnOnce() -> Result<(), Error>,
) -> Result<ImportOutcome, Error> {
    match inspect(stack, record).await? {
        ExistingRecord::Conflict(why) => Ok(ImportOutcome::Conflict(why.to_owned())),
        ExistingRecord::Own(own, position) => {
            let is_marked = own.status == Status::NeedsReauthorization && position == Position::Newest;
            if is_marked && entry.is_some_and(|entry| entry.has_refused(record)) {
                return Ok(ImportOutcome::RefusedBefore);
            }
            let own = if is_marked { with_tokens_of(stack, *own, record).await? } else { *own };
            let outcome = verify(stack, own, position).await;
            // Without a ledger entry, another means than this import has created the record.
            let foreign = entry.is_none() && outcome == ImportOutcome::Imported && !is_marked;
            Ok(if foreign { ImportOutcome::AlreadyThere } else { outcome })
        }
        ExistingRecord::Absent(position, connected) => {
            if let Some(entry) = entry
                && let Some(outcome) = secret_missing(stack, record, entry.at).await?
            {
                return Ok(outcome);
            }
            if let Some(outcome) = no_room(connected.saturating_add(held)) {
                return Ok(outcome);
            }
            let untried = entry.is_none() && position == Position::Newest && mode == RefusalMode::LeaveUnrecorded;
            let mut grant = None;
            if untried {
                match stack.hubspot.refresh(record.refresh_token(), None).await {
                    Ok(tokens) => grant = Some(tokens),
                    Err(error) => return Ok(without_tokens(error, ImportOutcome::RefusedUnrecorded)),
                }
            }
            let own = insert(stack, record, grant.as_ref(), started).await?;
            let newest = stack.store.newest(&record.account_id).await?;
            let is_newest = newest.is_some_and(|newest| newest.integration_id == own.integration_id);
            let position = if is_newest { Position::Newest } else { Position::Older };
            Ok(verify(stack, own, position).await)
        }
    }
}

/// Writes secret and record, with the tokens that HubSpot has issued if it was asked.
async fn insert(
    stack: &Stack,
    record: &ImportRecord,
    grant: Option<&Grant>,
    started: impl FnOnce() -> Result<(), Error>,
) -> Result<Integration, Error> {
    let now = stack.clock.now();
    let tokens = record.tokens(grant, now);
    let pointer = stack.store.import_secret(&tokens).await?;
    started()?;
    let mut own = record.integration(&tokens, pointer, now);
    own.hub = grant.and_then(|grant| grant.named_hub).map(|hub| hub.as_str().to_owned());
    while stack.store.insert(&own).await? == WriteResult::ConditionFailed {
        own.sequence += 1;
    }
    Ok(own)
}

/// Gives a marked record the refresh token of the line. It stays marked until HubSpot accepts it.
async fn with_tokens_of(stack: &Stack, own: Integration, record: &ImportRecord) -> Result<Integration, Error> {
    let Some(from) = own.pointer.clone() else {
        return Err(Error::internal("its tokens are deleted: an admin has to reconnect"));
    };
    if secrets::has_another_owner(&own.account_id, &own.integration_id, &from.secret_id) {
        return Err(Error::internal("its record names the secret of another integration: an admin has to reconnect"));
    }
    let now = stack.clock.now();
    let tokens = record.tokens(None, now);
    let version = Uuid::now_v7().to_string();
    if stack.store.put_secret(&from.secret_id, &version, &tokens).await? == WriteResult::ConditionFailed {
        return Err(Error::internal("its secret is gone: an admin has to reconnect"));
    }
    let mut to = from.clone();
    to.secret_version = version;
    let settled = TokenState {
        pointer: to.clone(),
        token_expires_at: 0,
        scopes: tokens.scopes,
        hub_id: tokens.hub_id,
        named_hub: None,
        refresh_at: now,
        unverified_since: None,
    };
    match stack.store.roll_forward(&own, &from, &settled).await? {
        WriteResult::Applied => Ok(Integration { pointer: Some(to), token_expires_at: 0, ..own }),
        WriteResult::ConditionFailed => Err(Error::unavailable(1, "its record has just changed")),
    }
}

/// The outcome if an earlier run wrote the secret at `at` and it cannot be found: it may not be visible yet, or a
/// disconnect has deleted it.
async fn secret_missing(stack: &Stack, record: &ImportRecord, at: i64) -> Result<Option<ImportOutcome>, Error> {
    let secret = stack.store.imported(&record.account_id, &record.integration_id);
    if stack.store.current_tokens(&secret).await?.is_some() {
        return Ok(None);
    }
    let wait = at.saturating_add(VISIBLE_AFTER).saturating_sub(stack.clock.now());
    let cause = "the secret that an earlier run has written is not visible yet";
    Ok(Some(if wait > 0 { ImportOutcome::Later(wait, cause.to_owned()) } else { ImportOutcome::Disconnected }))
}

/// The outcome of an import without tokens; `revoked` is that of a refused refresh token.
fn without_tokens(error: TokenError, revoked: ImportOutcome) -> ImportOutcome {
    match error.kind {
        TokenErrorKind::Revoked => revoked,
        TokenErrorKind::Gone => ImportOutcome::Disconnected,
        TokenErrorKind::Corrupt => ImportOutcome::Conflict(error.cause),
        TokenErrorKind::InvalidClient => ImportOutcome::AppRefused(error.cause),
        TokenErrorKind::Transient | TokenErrorKind::AnswerLost | TokenErrorKind::Misconfigured => {
            ImportOutcome::Later(error.retry_after.unwrap_or(PAUSE), error.cause)
        }
    }
}

/// Verifies a record by the refresh that every function makes. An older instance is not verified: nothing uses it, and
/// instances of one portal may share a refresh token.
async fn verify(stack: &Stack, record: Integration, position: Position) -> ImportOutcome {
    if position == Position::Older {
        return ImportOutcome::ImportedOlder;
    }
    if record.status == Status::Active && record.token_expires_at > 0 {
        return ImportOutcome::Imported;
    }
    let deadline = stack.clock.now_millis() + VERIFICATION_TIME;
    // Like the schedule, it does not wait for another process's refresh.
    let need = TokenRequest { purpose: Purpose::Schedule, deadline, function_deadline: deadline, rejected: None };
    match stack.access.usable(record, &need).await {
        Ok(_) => ImportOutcome::Imported,
        Err(error) => without_tokens(error, ImportOutcome::Refused),
    }
}
