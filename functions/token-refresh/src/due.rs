//! The work on one due integration.

use std::sync::atomic::Ordering;

use shared::access::TokenRequest;
use shared::error::Error;
use shared::integration::{Integration, Status};
use shared::refresh_policy::{self, Purpose};
use shared::store::WriteResult;
use shared::store::integrations::Due;
use shared::token_error::{TokenError, TokenErrorKind};

use crate::Run;
use crate::report::RefreshOutcome;

impl Run<'_> {
    /// Processes one due record and reschedules it.
    pub(crate) async fn process(&self, due: Due) -> RefreshOutcome {
        let futile = self.credentials_are_refused() || self.hubspot_is_down();
        if futile || self.app.clock.now_millis() >= self.stop_at {
            return RefreshOutcome::Left;
        }
        // The newest is read first, so an older instance is never refreshed, whatever a crash left behind.
        let done = match self.app.store.newest(&due.key.account_id).await {
            Ok(Some(newest)) if newest.sequence != due.key.sequence => self.superseded(&due, &newest).await,
            Ok(Some(newest)) if newest.refresh_at != Some(due.refresh_at) => Ok((RefreshOutcome::AlreadyFresh, None)),
            Ok(Some(newest)) => Ok(self.refresh(newest).await),
            Ok(None) => Ok((RefreshOutcome::AlreadyFresh, None)),
            Err(error) => Err(error),
        };
        let (done, look_again_at) = done.unwrap_or_else(|error| self.unreadable(&due, &error));
        if let Some(at) = look_again_at
            && let Err(error) = self.app.store.reschedule(&due, at).await
        {
            tracing::warn!(account_id = %due.key.account_id, cause = %error, "failed to reschedule integration");
        }
        done
    }

    /// Refreshes the newest, and says when to look again if the refresh itself does not.
    async fn refresh(&self, newest: Integration) -> (RefreshOutcome, Option<i64>) {
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
        match self.app.access.usable(newest, &need).await {
            Ok(granted) if granted.refreshed => {
                if marked {
                    tracing::warn!(%account_id, %integration_id, outcome = "recovered",
                        "HubSpot accepts an authorization again that it had refused");
                } else {
                    tracing::info!(%account_id, %integration_id, outcome = "refreshed", "tokens refreshed");
                }
                (RefreshOutcome::Refreshed, None)
            }
            Ok(granted) => {
                let tokens = &granted.version.tokens;
                let expiring = refresh_policy::next_refresh_at(tokens.expires_at, tokens.lifetime());
                let at = if idle { refresh_policy::next_probe_at(now, &self.app.config.refresh) } else { expiring };
                (RefreshOutcome::AlreadyFresh, Some(at))
            }
            Err(error) => {
                let (done, look_again_at) = self.without_tokens(&error, now);
                let (outcome, cause) = (format!("{done:?}").to_lowercase(), error.cause);
                if done == RefreshOutcome::Corrupt {
                    tracing::error!(%account_id, %integration_id, outcome, cause,
                        "integration record and secret are inconsistent");
                } else if done != RefreshOutcome::AlreadyFresh {
                    tracing::warn!(%account_id, %integration_id, outcome, cause, "tokens not refreshed");
                }
                (done, look_again_at)
            }
        }
    }

    /// How a refresh that began at `now` ends without tokens, and when to look again.
    fn without_tokens(&self, error: &TokenError, now: i64) -> (RefreshOutcome, Option<i64>) {
        let again = now.saturating_add(error.wait());
        match error.kind {
            TokenErrorKind::Gone => (RefreshOutcome::AlreadyFresh, None),
            TokenErrorKind::Revoked => (RefreshOutcome::Revoked, Some(now + 300)),
            TokenErrorKind::InvalidClient => {
                self.invalid_clients.fetch_add(1, Ordering::Relaxed);
                (RefreshOutcome::Misconfigured, Some(again))
            }
            TokenErrorKind::Misconfigured => (RefreshOutcome::Misconfigured, Some(again)),
            TokenErrorKind::Transient | TokenErrorKind::AnswerLost => (RefreshOutcome::Transient, Some(again)),
            TokenErrorKind::Corrupt => {
                (RefreshOutcome::Corrupt, Some(refresh_policy::next_probe_at(now, &self.app.config.refresh)))
            }
        }
    }

    /// An older instance keeps its tokens for a while, in case the newer one is disconnected; then they are deleted.
    ///
    /// A crash between the transaction and the deletion leaves a secret that no record names.
    async fn superseded(&self, due: &Due, newest: &Integration) -> Result<(RefreshOutcome, Option<i64>), Error> {
        let Some(record) = self.app.store.get(&due.key).await? else { return Ok((RefreshOutcome::AlreadyFresh, None)) };
        let now = self.app.clock.now();
        let since = record.superseded_at.unwrap_or(now);
        if let Some(pointer) = &record.pointer
            && since.saturating_add(self.app.config.superseded_keep) <= now
            && self.app.store.drop_tokens(&record, pointer, &newest.key(), now).await? == WriteResult::Applied
        {
            let (account_id, integration_id) = (&record.account_id, &record.integration_id);
            match self.app.store.delete_own_secret(account_id, integration_id, &pointer.secret_id).await {
                Ok(()) => {}
                Err(Error::Internal(cause)) => {
                    tracing::error!(%account_id, %integration_id, outcome = "corrupt", cause,
                        "integration record and secret are inconsistent");
                    return Ok((RefreshOutcome::Corrupt, None));
                }
                Err(error) => return Err(error),
            }
            tracing::info!(%account_id, %integration_id, outcome = "superseded", "tokens of an older instance deleted");
            return Ok((RefreshOutcome::Superseded, None));
        }
        self.app.store.supersede(&record, since, refresh_policy::next_probe_at(now, &self.app.config.refresh)).await?;
        Ok((RefreshOutcome::Superseded, None))
    }

    fn unreadable(&self, due: &Due, error: &Error) -> (RefreshOutcome, Option<i64>) {
        let now = self.app.clock.now();
        let (done, at) = if matches!(error, Error::Internal(_)) {
            (RefreshOutcome::Corrupt, refresh_policy::next_probe_at(now, &self.app.config.refresh))
        } else {
            (RefreshOutcome::Transient, now + 60)
        };
        tracing::error!(account_id = %due.key.account_id, sequence = due.key.sequence, cause = %error,
            "failed to process due integration");
        (done, Some(at))
    }
}
