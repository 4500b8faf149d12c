//! Disconnecting an integration: the order of the writes, whatever the caller.

use super::Store;
use crate::error::Error;
use crate::integration::{Integration, Key};

/// The cleanup that a disconnect could not finish after it deleted the record. The integration is disconnected anyway.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// The secret that is still there, and why. [`Error::Internal`]: it is named for another integration.
    /// Otherwise no record names it any more, and it is swept.
    pub secret: Option<(String, Error)>,
    /// Why the previous instance is not due at once; it is refreshed on use.
    pub previous: Option<Error>,
}

impl Store {
    /// Disconnects an integration.
    ///
    /// The record names `acted_by` for the event of its deletion. It goes first, then its secret, then the previous
    /// instance becomes due at once. A crash in between leaves a secret that no record names, or a previous instance
    /// that is refreshed on use.
    pub async fn disconnect(&self, record: &Integration, acted_by: &str, now: i64) -> Result<Leftovers, Error> {
        self.announce_deletion(record, acted_by).await?;
        // Not there any more: the SDK has repeated a delete whose answer was lost, or somebody else was faster. Either
        // way no record names that secret.
        let deleted = self.delete(record).await?.unwrap_or_else(|| record.clone());
        let mut leftovers = Leftovers::default();
        if let Some(pointer) = &deleted.pointer
            && let Err(error) =
                self.delete_own_secret(&deleted.account_id, &deleted.integration_id, &pointer.secret_id).await
        {
            leftovers.secret = Some((pointer.secret_id.clone(), error));
        }
        leftovers.previous = self.schedule_previous(&deleted.key(), now).await.err();
        Ok(leftovers)
    }

    async fn schedule_previous(&self, deleted: &Key, now: i64) -> Result<(), Error> {
        match self.newest(&deleted.account_id).await? {
            Some(previous) if previous.sequence < deleted.sequence && previous.pointer.is_some() => {
                self.make_due(&previous, now).await
            }
            _ => Ok(()),
        }
    }
}
