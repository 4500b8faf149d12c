//! One execution: parse, guard, newest integration, usable tokens, send, answer.

use shared::access::{TokenRequest, Unusable, UsableTokens};
use shared::caller::require_engine;
use shared::error::{Error, RequestOutcome};
use shared::gateway::{Event, Response};
use shared::integration::{AccountId, Integration, IntegrationId};
use shared::refresh_policy::Purpose;
use shared::store::executions::StoredResponse;
use tokio::time::timeout;

use crate::App;
use crate::answer::{self, Answer};
use crate::forward::{self, Attempts, Received};
use crate::idempotency::{self, Claim, Claimed};
use crate::note::note;
use crate::retry;
use guard::request::{AutomationRequest, Call, MAX_REQUEST_BYTES};

/// `last_used_at` is written at most this often, in seconds.
const USE_NOTED_EVERY: i64 = 3_600;
/// Tokens younger than this are not refreshed because HubSpot calls them expired, in seconds.
const REJECTION_BELIEVED_AFTER: i64 = 900;
/// What the function needs of its time to answer, in milliseconds.
const ROOM_TO_ANSWER: i64 = 1_000;

/// One automation request under way, with what its log line says.
pub(crate) struct Execution<'a> {
    app: &'a App,
    id: String,
    began: i64,
    function_deadline: i64,
    account_id: Option<AccountId>,
    integration_id: Option<IntegrationId>,
    automation_id: Option<String>,
    claim: Option<Claim>,
    attempts: Attempts,
    hubspot_status: Option<u16>,
    outcome: RequestOutcome,
    replayed: bool,
    /// Whether it had to refresh the tokens itself.
    refreshed: bool,
    /// How many credentials of the customer's were dropped.
    ignored: usize,
}

/// An answer of HubSpot's, told; and as it is told again, if it has to be.
struct Told {
    response: Response,
    kept: Option<StoredResponse>,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(app: &'a App, id: String, began: i64, function_deadline: i64) -> Self {
        Self {
            app,
            id,
            began,
            function_deadline,
            account_id: None,
            integration_id: None,
            automation_id: None,
            claim: None,
            attempts: Attempts::default(),
            hubspot_status: None,
            outcome: RequestOutcome::NotSent,
            replayed: false,
            refreshed: false,
            ignored: 0,
        }
    }

    /// Executes: `POST /v1/automation-requests`.
    pub(crate) async fn run(&mut self, event: &Event) -> Result<Response, Error> {
        let app = self.app;
        require_engine(event, app.config.engine_role_arn.as_deref())?;
        let request = AutomationRequest::parse(&event.body(MAX_REQUEST_BYTES)?, &app.config.hubspot.api_url)?;
        self.account_id = Some(request.account_id.clone());
        self.automation_id.clone_from(&request.automation_id);
        self.ignored = request.call.ignored().len();
        let latest = self.function_deadline - ROOM_TO_ANSWER;
        let deadline = request.deadline_ms.map_or(latest, |ms| latest.min(self.began + i64::from(ms)));

        if let Some(key) = &request.idempotency_key {
            let reached = &mut self.attempts.reached;
            let claiming = idempotency::claim(&app.executions, &request, key, &self.id, app.clock.now(), reached);
            match in_time(app, deadline, Box::pin(claiming)).await? {
                Claimed::Owned(claim) => self.claim = Some(claim),
                Claimed::Replay(kept) => {
                    (self.outcome, self.replayed) = (kept.outcome, true);
                    return Ok(idempotency::replay(kept));
                }
            }
        }
        let told = self.execute(&request, deadline).await;
        if let Some(claim) = self.claim.take() {
            let kept = match &told {
                Ok(told) => told.kept.clone(),
                Err(error) => idempotency::kept_problem(error, self.outcome_of(error), &self.id),
            };
            let ending = idempotency::end(&app.executions, &claim, kept);
            let room = app.clock.remaining(deadline).max(idempotency::ROOM_TO_END);
            note(&request.account_id, "the end", room, Box::pin(ending)).await;
        }
        told.map(|told| told.response)
    }

    async fn execute(&mut self, request: &AutomationRequest, deadline: i64) -> Result<Told, Error> {
        let app = self.app;
        // What is rare, and what AWS's SDK does, is boxed throughout: futures are moved about whole, however little of
        // them is used.
        let reading = newest(app, &request.account_id, request.integration_id.as_ref());
        let integration = in_time(app, deadline, reading).await?;
        self.integration_id = Some(integration.integration_id.clone());
        let now = app.clock.now();
        if let Some(until) = integration.cooldown_until.filter(|until| *until > now) {
            // Never more than HubSpot has asked for; the rest of a second is a matter of the next answer.
            let seconds = app.clock.remaining(until * 1000).as_secs().max(1);
            return Err(Error::RateLimited { retry_after: seconds });
        }
        let need = TokenRequest {
            purpose: Purpose::Execution,
            deadline,
            function_deadline: self.function_deadline,
            rejected: None,
        };
        let granted = app.access.usable(integration.clone(), &need).await.map_err(Error::from)?;
        self.refreshed = granted.refreshed;
        if let Some(claim) = &mut self.claim {
            let sending = idempotency::sending(&app.executions, claim, app.clock.now());
            in_time(app, deadline, Box::pin(sending)).await?;
        }

        let noted = integration.last_used_at.is_some_and(|at| at > now - USE_NOTED_EVERY);
        let touch = async {
            if !noted {
                let room = app.clock.remaining(deadline);
                note(&integration.account_id, "the use", room, Box::pin(app.store.record_use(&integration, now))).await;
            }
        };
        let (received, ()) = tokio::join!(self.send(&request.call, &integration, granted, &need), touch);
        let (received, granted) = received?;
        self.hubspot_status = Some(received.status);
        self.outcome = answer::outcome(received.status, request.call.target().is_idempotent());
        let answer = Answer {
            execution_id: &self.id,
            integration: &integration,
            asked: app.config.asked(),
            call: &request.call,
            attempts: self.attempts.made,
            duration_ms: app.clock.now_millis() - self.began,
            retry_after: retry::pause_asked_for(&received),
            token: &granted.version.tokens.access_token,
            received: &received,
        };
        let response = answer::response(&answer);
        let kept = self.claim.as_ref().and_then(|_| answer::kept(&answer, &response));
        Ok(Told { response, kept })
    }

    /// The problem that ends the execution.
    pub(crate) fn problem(&self, error: &Error) -> Response {
        Response::execution_problem(error, self.outcome_of(error), &self.id)
    }

    /// What became of the request: an error knows of the last step only, and an earlier attempt may have reached
    /// HubSpot.
    fn outcome_of(&self, error: &Error) -> RequestOutcome {
        let outcome = error.outcome();
        if outcome == RequestOutcome::NotSent && self.attempts.reached { RequestOutcome::Unknown } else { outcome }
    }

    /// Sends the call; if HubSpot says that the token has expired, which it tells before it acts, once more with new
    /// tokens.
    async fn send(
        &mut self,
        call: &Call,
        integration: &Integration,
        granted: UsableTokens,
        need: &TokenRequest<'_>,
    ) -> Result<(Received, UsableTokens), Error> {
        let app = self.app;
        let received = forward::send(app, call, integration, &granted, need.deadline, &mut self.attempts).await?;
        let old = granted.version.tokens.obtained_at <= app.clock.now() - REJECTION_BELIEVED_AFTER;
        let spent = self.attempts.made >= retry::MOST_ATTEMPTS;
        if received.status != 401 || !old || spent || !answer::is_expired_authentication(&received) {
            return Ok((received, granted));
        }
        let rejected = granted.version.pointer.secret_version.clone();
        let need = TokenRequest { rejected: Some(&rejected), ..*need };
        let Ok(Some(record)) = Box::pin(app.store.reread(integration)).await else { return Ok((received, granted)) };
        match app.access.usable(record, &need).await {
            Ok(renewed) => {
                let sending = forward::send(app, call, integration, &renewed, need.deadline, &mut self.attempts);
                let received = Box::pin(sending).await?;
                Ok((received, renewed))
            }
            Err(Unusable::Revoked) => Err(Error::ReauthorizationRequired),
            Err(_) => Ok((received, granted)),
        }
    }

    /// The one line about this execution: an error only where somebody has to look.
    pub(crate) fn log(&self, answered: &Result<Response, Error>) {
        let (outcome, code, status, cause) = match answered {
            Ok(response) => (self.outcome, None, response.status_code, None),
            Err(error) => (self.outcome_of(error), Some(error.code()), error.status(), Some(error.to_string())),
        };
        // A refused request's own words are the customer's business.
        let cause = cause.filter(|_| status >= 500);
        let duration_ms = self.app.clock.now_millis() - self.began;
        // What never got to HubSpot says nothing about HubSpot's speed, nor about ours.
        let hubspot_ms = (self.attempts.made > 0).then_some(self.attempts.millis);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    execution_id = self.id,
                    account_id = self.account_id.as_ref().map(AccountId::as_str),
                    integration_id = self.integration_id.as_ref().map(IntegrationId::as_str),
                    automation_id = self.automation_id,
                    executions = 1,
                    result = result(status, self.hubspot_status),
                    outcome = outcome.as_str(),
                    code,
                    status,
                    hubspot_status = self.hubspot_status,
                    duration_ms,
                    hubspot_ms,
                    overhead_ms = hubspot_ms.map(|millis| duration_ms - millis),
                    attempts = self.attempts.made,
                    ignored_credentials = (self.ignored > 0).then_some(self.ignored),
                    tokens_refreshed = self.refreshed.then_some(true),
                    replayed = self.replayed.then_some(true),
                    cause,
                    "automation request"
                )
            };
        }
        if matches!(answered, Err(Error::Internal(_))) { line!(error) } else { line!(info) }
    }
}

/// What an execution counts as: `failed` is what customers notice and cannot mend themselves.
fn result(status: u16, hubspot_status: Option<u16>) -> &'static str {
    match (status, hubspot_status) {
        (500.., _) | (_, Some(500..)) => "failed",
        (429, _) | (_, Some(429)) => "throttled",
        (400.., _) => "refused",
        _ => "answered",
    }
}

/// The result of a call that has to be there before anything is sent, or that the deadline has passed.
async fn in_time<T>(app: &App, deadline: i64, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(app.clock.remaining(deadline), call)
        .await
        .map_err(|_| Error::unavailable(1, "the deadline has passed before anything was sent"))?
}

/// The account's newest integration, provided that it is the one asked for.
///
/// Invariant: one strongly consistent read decides the good case; only a refusal reads again to tell which.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hubspot_or_we_fail_at_counts_as_failed_and_what_customers_can_mend_does_not() {
        for (status, hubspot_status, expected) in [
            (200, Some(200), "answered"),
            (200, Some(404), "answered"),
            (200, Some(499), "answered"),
            (200, None, "answered"),
            (200, Some(429), "throttled"),
            (429, None, "throttled"),
            (200, Some(500), "failed"),
            (200, Some(524), "failed"),
            (500, None, "failed"),
            (503, None, "failed"),
            (503, Some(429), "failed"),
            (400, None, "refused"),
            (422, None, "refused"),
        ] {
            assert_eq!(result(status, hubspot_status), expected, "{status} {hubspot_status:?}");
        }
    }
}
