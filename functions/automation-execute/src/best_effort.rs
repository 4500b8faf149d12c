//! Writes that the answer does not depend on.

use std::time::Duration;

use shared::error::Error;
use shared::integration::AccountId;
use tokio::time::timeout;

/// The least time of a write once HubSpot's answer is there: the answer goes out even if the write takes too long.
pub(crate) const LEAST_TIME: Duration = Duration::from_millis(200);

/// Performs a write for at most `budget`. A failure is logged, and nothing else depends on it.
pub(crate) async fn best_effort(
    account_id: &AccountId,
    operation: &'static str,
    budget: Duration,
    write: impl Future<Output = Result<(), Error>>,
) {
    let cause = match timeout(budget, write).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::warn!(%account_id, operation, cause, "best-effort write failed");
}
