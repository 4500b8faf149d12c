//! Facts about the portal that an execution stores on the record, for all functions.
//!
//! Every write is best effort: the answer does not depend on it.

use std::time::Duration;

use guard::hubs::Hub;
use guard::target::Target;
use shared::error::Error;
use shared::integration::Integration;

use crate::app::App;
use crate::best_effort::best_effort;
use crate::reply::{LONGEST_COOLDOWN, Limit, LimitScope};

/// `last_used_at` is written at most this often, in seconds.
const USE_RECORDED_EVERY: i64 = 3_600;

/// Refuses while HubSpot's rate limit of the portal, or of its searches, is known to be used up.
pub(crate) fn check_cooldown(app: &App, integration: &Integration, target: &Target) -> Result<(), Error> {
    let searches = integration.search_cooldown_until.filter(|_| target.is_search());
    let Some(until) = integration.cooldown_until.max(searches) else { return Ok(()) };
    if until <= app.clock.now() {
        return Ok(());
    }
    // Never more than HubSpot has asked for; the rest of a second is a matter of the next answer.
    let retry_after = app.clock.remaining(until.saturating_mul(1000)).as_secs().max(1);
    Err(Error::RateLimited { retry_after })
}

/// Records that the integration executes something, if that is not known yet.
pub(crate) async fn record_use(app: &App, integration: &Integration, budget: Duration) {
    let now = app.clock.now();
    if integration.last_used_at.is_some_and(|at| at > now - USE_RECORDED_EVERY) {
        return;
    }
    let write = Box::pin(app.store.record_use(integration, now));
    best_effort(&integration.account_id, "record_use", budget, write).await;
}

/// Lets the schedule prove the grant: a rejected token may be the first sign that the app was uninstalled.
pub(crate) async fn request_proof(app: &App, integration: &Integration, budget: Duration) {
    let write = Box::pin(app.store.request_proof(integration, app.clock.now()));
    best_effort(&integration.account_id, "request_proof", budget, write).await;
}

/// Records the hub that HubSpot has named for the portal.
pub(crate) async fn record_hub(app: &App, integration: &Integration, hub: Hub, budget: Duration) {
    let write = Box::pin(app.store.record_hub(integration, hub));
    best_effort(&integration.account_id, "record_hub", budget, write).await;
}

/// Records a HubSpot rate limit, unless one that lasts as long is known.
pub(crate) async fn record_limit(app: &App, integration: &Integration, limit: Limit, budget: Duration) {
    let longest = i64::try_from(LONGEST_COOLDOWN).unwrap_or(i64::MAX);
    let seconds = i64::try_from(limit.seconds).map_or(longest, |seconds| seconds.min(longest));
    // Up to the whole second that follows: the limit must not end early.
    let until = (app.clock.now_millis() + seconds * 1000 + 999) / 1000;
    let until = until.min(app.clock.now() + longest);
    let known = match limit.scope {
        LimitScope::Searches => integration.search_cooldown_until,
        LimitScope::Portal => integration.cooldown_until,
    };
    if known.is_some_and(|known| known >= until) {
        return;
    }
    let write = async {
        match limit.scope {
            LimitScope::Searches => app.store.cool_down_searches(integration, until).await,
            LimitScope::Portal => app.store.cool_down(integration, until).await,
        }
    };
    best_effort(&integration.account_id, "record_cooldown", budget, write).await;
}
