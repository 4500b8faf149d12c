//! The work on one due integration.

use std::sync::atomic::Ordering;

use shared::access::{TokenRequest, Unusable};
use shared::error::Error;
use shared::integration::{Integration, Status};
use shared::refresh_policy::{self, Purpose};
use shared::store::WriteResult;
use shared::store::integrations::Due;

use crate::{Done, Run};

impl Run<'_> {
    /// Works on one due record, and sees to it that it is not due any more.
    pub(crate) async fn work(&self, due: Due) -> Done {
        let futile = self.credentials_are_refused() || self.hubspot_is_down();
        if futile || self.app.clock.now_millis() >= self.stop_at {
            return Done::Left;
        }
        // The newest is read first, so an older instance is never refreshed, whatever a crash left behind.
        let done = match self.app.store.newest(&due.key.account_id).await {
            Ok(Some(newest)) if newest.sequence != due.key.sequence => self.superseded(&due, &newest).await,
            Ok(Some(newest)) if newest.refresh_at != Some(due.refresh_at) => Ok((Done::AlreadyFresh, None)),
            Ok(Some(newest)) => Ok(self.refresh(newest).await),
            Ok(None) => Ok((Done::AlreadyFresh, None)),
            Err(error) => Err(error),
        };
        let (done, look_again_at) = done.unwrap_or_else(|error| self.unreadable(&due, &error));
        if let Some(at) = look_again_at
            && let Err(error) = self.app.store.reschedule(&due, at).await
        {
            tracing::warn!(account_id = %due.key.account_id, cause = %error, "a due integration could not be put off");
        }
        done
    }

    /// Refreshes the newest, and says when to look again if the refresh itself does not.
    async fn refresh(&self, newest: Integration) -> (Done, Option<i64>) {
        let now = self.app.clock.now();
        let need = TokenRequest {
            purpose: Purpose::Schedule,
            deadline: self.stop_at,
            function_deadline: self.deadline,
            rejected: None,
        };
        let (account_id, integration_id) = (newest.account_id.clone(), newest.integration_id.clone());
        let marked = newest.status == Status::NeedsReauthorization;
        let idle = newest.is_idle(now, self.app.config.refresh.idle_after);
        let probe = refresh_policy::next_probe_at(now, &self.app.config.refresh);
        let (done, cause, look_again_at) = match self.app.access.usable(newest, &need).await {
            Ok(granted) if granted.refreshed => {
                if marked {
                    tracing::warn!(%account_id, %integration_id, outcome = "recovered",
                        "HubSpot accepts an authorization again that it had refused");
                } else {
                    tracing::info!(%account_id, %integration_id, outcome = "refreshed", "tokens refreshed");
                }
                return (Done::Refreshed, None);
            }
            Ok(granted) => {
                let tokens = &granted.version.tokens;
                let at = refresh_policy::next_refresh_at(
                    tokens.expires_at,
                    tokens.lifetime(),
                    idle,
                    now,
                    &self.app.config.refresh,
                );
                return (Done::AlreadyFresh, Some(at));
            }
            Err(Unusable::Gone) => return (Done::AlreadyFresh, None),
            Err(Unusable::Revoked) => {
                (Done::Revoked, "HubSpot no longer accepts the authorization".to_owned(), Some(now + 3600))
            }
            Err(Unusable::Misconfigured { invalid_client, retry_after, cause }) => {
                if invalid_client {
                    self.invalid_clients.fetch_add(1, Ordering::Relaxed);
                }
                (Done::Misconfigured, cause, Some(now + retry_after))
            }
            Err(Unusable::Transient { retry_after, cause }) => (Done::Transient, cause, Some(now + retry_after)),
            Err(Unusable::Corrupt(cause)) => (Done::Corrupt, cause, Some(probe)),
        };
        let outcome = format!("{done:?}").to_lowercase();
        if done == Done::Corrupt {
            tracing::error!(%account_id, %integration_id, outcome, cause, "record and secret contradict themselves");
        } else {
            tracing::warn!(%account_id, %integration_id, outcome, cause, "tokens not refreshed");
        }
        (done, look_again_at)
    }

    /// An older instance keeps its tokens for a while, in case the newer one is disconnected; then they are deleted.
    ///
    /// A crash between the transaction and the deletion leaves a secret that no record names.
    async fn superseded(&self, due: &Due, newest: &Integration) -> Result<(Done, Option<i64>), Error> {
        let Some(record) = self.app.store.get(&due.key).await? else { return Ok((Done::AlreadyFresh, None)) };
        let now = self.app.clock.now();
        let since = record.superseded_at.unwrap_or(now);
        if let Some(pointer) = &record.pointer
            && since + self.app.config.superseded_keep <= now
            && self.app.store.drop_tokens(&record, pointer, &newest.key()).await? == WriteResult::Applied
        {
            self.app.store.delete_secret(&pointer.secret_id).await?;
            let (account_id, integration_id) = (&record.account_id, &record.integration_id);
            tracing::info!(%account_id, %integration_id, outcome = "superseded", "tokens of an older instance deleted");
            return Ok((Done::Superseded, None));
        }
        self.app.store.supersede(&record, since, refresh_policy::next_probe_at(now, &self.app.config.refresh)).await?;
        Ok((Done::Superseded, None))
    }

    fn unreadable(&self, due: &Due, error: &Error) -> (Done, Option<i64>) {
        let now = self.app.clock.now();
        let (done, at) = if matches!(error, Error::Internal(_)) {
            (Done::Corrupt, refresh_policy::next_probe_at(now, &self.app.config.refresh))
        } else {
            (Done::Transient, now + 60)
        };
        tracing::error!(account_id = %due.key.account_id, sequence = due.key.sequence, cause = %error,
            "a due integration could not be worked on");
        (done, Some(at))
    }
}
