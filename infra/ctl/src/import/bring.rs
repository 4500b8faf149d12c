//! What an import does with one integration: secret, record, proof.
//!
//! A crash between any two steps leaves what the next run goes on from: a secret that it finds by its name, a record
//! that stands, a record that nothing has proven yet.

use shared::access::{TokenRequest, Unusable};
use shared::error::Error;
use shared::integration::{Integration, Status};
use shared::refresh_policy::Purpose;
use shared::store::WriteResult;

use super::done::Stage;
use super::entry::Entry;
use crate::stack::Stack;

/// Time that one proof has, in milliseconds: a lease and the writes after it.
const PROOF: i64 = 70_000;
/// Secrets Manager shows everybody what was written this many seconds ago.
const SEEN_BY_THEN: i64 = 30;

/// What became of one integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stands, and HubSpot accepts it.
    Imported,
    /// It stands below a newer instance: it does not run, and nobody asks HubSpot for it.
    ImportedOlder,
    /// It stood there before, by other means than this import.
    AlreadyThere,
    /// It stands, and HubSpot does not accept its refresh token: an admin has to reconnect.
    Refused,
    /// The customer has disconnected it since an earlier run of this import.
    Disconnected,
    /// Something else stands in its way.
    Conflict(String),
    /// It stands, and could not be proven for now; worth another try after so many seconds.
    Later(i64, String),
    /// Our app's credentials are refused: nothing can be proven.
    AppRefused(String),
}

/// What stands in the table for an integration.
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// Its own record, and whether it is the account's newest.
    Own(Box<Integration>, bool),
    /// Something that is in its way.
    Other(&'static str),
}

/// Looks without touching anything.
pub(super) async fn look(stack: &Stack, entry: &Entry) -> Result<Found, Error> {
    let all = stack.store.all(&entry.account_id).await?;
    let Some(at) = all.iter().position(|known| known.integration_id == entry.integration_id) else {
        return Ok(Found::Nothing);
    };
    let Some(own) = all.into_iter().nth(at) else { return Ok(Found::Nothing) };
    Ok(match (own.sequence, own.created_at) {
        (0.., _) => Found::Other("integration_id: an instance of this id was connected here; give the line another id"),
        (_, created_at) if created_at != entry.created_at => {
            Found::Other("created_at: an instance of this id stands here with another creation time; make them agree")
        }
        _ => Found::Own(Box::new(own), at == 0),
    })
}

/// Brings one integration as far as it gets; `begun` is called between its secret and its record.
pub(super) async fn bring(
    stack: &Stack,
    entry: &Entry,
    stage: Option<(Stage, i64)>,
    begun: impl FnOnce() -> Result<(), Error>,
) -> Result<Fate, Error> {
    match look(stack, entry).await? {
        Found::Other(why) => Ok(Fate::Conflict(why.to_owned())),
        Found::Own(record, newest) => {
            let fate = prove(stack, *record, newest).await;
            // What an earlier run of this import has put is its work.
            let foreign = stage.is_none() && fate == Fate::Imported;
            Ok(if foreign { Fate::AlreadyThere } else { fate })
        }
        Found::Nothing => {
            let secret = stack.store.imported(&entry.account_id, &entry.integration_id);
            if let Some((Stage::Begun, at)) = stage
                && stack.store.current_tokens(&secret).await?.is_none()
            {
                let wait = at + SEEN_BY_THEN - stack.clock.now();
                let cause = "its secret, which an earlier run has written, is not there, or not yet";
                return Ok(if wait > 0 { Fate::Later(wait, cause.to_owned()) } else { Fate::Disconnected });
            }
            let pointer = stack.store.import_secret(&entry.tokens()).await?;
            begun()?;
            let mut record = entry.record(entry.sequence(), pointer, stack.clock.now());
            while stack.store.insert(&record).await? == WriteResult::ConditionFailed {
                record.sequence += 1;
            }
            let newest = stack.store.newest(&entry.account_id).await?;
            let newest = newest.is_some_and(|newest| newest.integration_id == record.integration_id);
            Ok(prove(stack, record, newest).await)
        }
    }
}

/// Has HubSpot accept a record, by the refresh that every function makes. An older instance is left alone: nobody uses
/// it, and instances of one portal may share a refresh token.
async fn prove(stack: &Stack, record: Integration, newest: bool) -> Fate {
    match record.status {
        Status::NeedsReauthorization if newest => return Fate::Refused,
        Status::Active if newest && record.token_expires_at > 0 => return Fate::Imported,
        Status::Active if newest => {}
        Status::Active | Status::NeedsReauthorization => return Fate::ImportedOlder,
    }
    let deadline = stack.clock.now_millis() + PROOF;
    // Like the schedule it does not wait for another's refresh: there is other work.
    let need = TokenRequest { purpose: Purpose::Schedule, deadline, function_deadline: deadline, rejected: None };
    match stack.access.usable(record, &need).await {
        Ok(_) => Fate::Imported,
        Err(Unusable::Revoked) => Fate::Refused,
        Err(Unusable::Gone) => Fate::Disconnected,
        Err(Unusable::Corrupt(cause)) => Fate::Conflict(cause),
        Err(Unusable::Transient { retry_after, cause }) => Fate::Later(retry_after, cause),
        Err(Unusable::Misconfigured { invalid_client: true, cause, .. }) => Fate::AppRefused(cause),
        Err(Unusable::Misconfigured { retry_after, cause, .. }) => Fate::Later(retry_after, cause),
    }
}
