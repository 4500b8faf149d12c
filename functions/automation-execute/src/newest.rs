//! The newest integration of an account: the only one whose automations run.

use shared::clients::SLOWER;
use shared::error::Error;
use shared::integration::{AccountId, Integration, IntegrationId};

use crate::app::App;

/// The account's newest integration, provided that it is the one asked for.
///
/// Invariant: one strongly consistent read decides the good case; only a refusal reads again for its reason.
pub(crate) async fn newest(
    app: &App,
    account_id: &AccountId,
    wanted: Option<&IntegrationId>,
) -> Result<Integration, Error> {
    let newest = app.store.newest(account_id).await?.ok_or(Error::NotConnected)?;
    match wanted {
        Some(wanted) if *wanted != newest.integration_id => Err(app.store.why_not_newest(account_id, wanted).await),
        _ => Ok(newest),
    }
}

/// When an execution last knew that its integration is the newest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewestRead {
    /// In milliseconds since the epoch; 0 if it has to be read again.
    pub(crate) at: i64,
}

impl NewestRead {
    /// A read older than this does not count, in milliseconds.
    const VALID_FOR: i64 = 1_000 * SLOWER as i64;

    /// Reads again after a wait, for tokens or between attempts: an integration that was superseded meanwhile sends
    /// nothing. Every attempt begins here, so this one place covers all waits.
    pub(crate) async fn confirm(&mut self, app: &App, integration: &Integration, deadline: i64) -> Result<(), Error> {
        let now = app.clock.now_millis();
        if now - self.at > Self::VALID_FOR {
            let reading = Box::pin(newest(app, &integration.account_id, Some(&integration.integration_id)));
            app.in_time(deadline, reading).await?;
            self.at = now;
        }
        Ok(())
    }
}
