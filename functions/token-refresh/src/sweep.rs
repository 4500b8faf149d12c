//! Tokens that a crash left behind: no record names their secret, so nobody will ever use them.
//!
//! Names of secrets are random, so the secrets whose names begin with some three hex digits are a fair share of all. A
//! run looks at one such share, the next run at the next: a round takes less than three days, at a rate that is bounded
//! and needs no memory from run to run.

use shared::error::Error;
use shared::integration::Pointer;
use shared::store::secrets::SecretSummary;

use crate::Run;

/// As many as three hex digits can tell apart.
const SHARES: i64 = 0x1000;
/// What a connect or an import that is under way has just written is younger. In seconds.
const YOUNG: i64 = 86_400;

impl Run<'_> {
    /// Deletes what no record names in this minute's share of the secrets.
    pub(crate) async fn sweep(&self) {
        let share = self.app.clock.now().div_euclid(60).rem_euclid(SHARES);
        let listed = match self.app.store.list_secrets(&format!("{share:03x}")).await {
            Ok(listed) => listed,
            Err(error) => return tracing::warn!(cause = %error, "secrets without a record could not be looked for"),
        };
        for secret in listed {
            if self.app.clock.now_millis() >= self.stop_at {
                return;
            }
            if let Err(error) = self.sweep_one(&secret).await {
                tracing::warn!(secret = secret.secret_id, cause = %error, "a secret could not be looked at");
            }
        }
    }

    async fn sweep_one(&self, secret: &SecretSummary) -> Result<(), Error> {
        if secret.created_at > self.app.clock.now() - YOUNG {
            return Ok(());
        }
        let Some(tokens) = self.app.store.current_tokens(&secret.secret_id).await? else { return Ok(()) };
        // Strongly consistent: no record names it, and none that will be written can, since it is old.
        let records = self.app.store.all(&tokens.account_id).await?;
        let named = |pointer: &Pointer| pointer.secret_id == secret.secret_id;
        if records.iter().any(|record| record.pointer.as_ref().is_some_and(named)) {
            return Ok(());
        }
        self.app.store.discard_secret(&secret.secret_id).await?;
        let (account_id, integration_id) = (&tokens.account_id, &tokens.integration_id);
        tracing::info!(%account_id, %integration_id, outcome = "swept", "tokens that no record names are deleted");
        Ok(())
    }
}
