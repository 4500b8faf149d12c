//! Writes that an answer does not depend on.

use std::time::Duration;

use shared::error::Error;
use shared::integration::AccountId;
use tokio::time::timeout;

/// What a note gets at least when HubSpot's answer is there: it is told even if the note takes too long.
pub(crate) const LEAST: Duration = Duration::from_millis(200);

/// Notes something that the answer does not depend on, nor waits for beyond its time.
pub(crate) async fn note(
    account_id: &AccountId,
    what: &'static str,
    time: Duration,
    write: impl Future<Output = Result<(), Error>>,
) {
    let cause = match timeout(time, write).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::warn!(%account_id, cause, "{what} could not be noted");
}
