//! One execution: parse, guard, newest integration, usable tokens, send, answer.

use std::time::Duration;

use shared::access::{Granted, Need, Unusable};
use shared::caller::require_engine;
use shared::error::{Error, Outcome};
use shared::gateway::{Event, Response};
use shared::integration::{AccountId, Integration, IntegrationId};
use shared::lease::Purpose;
use tokio::time::timeout;

use crate::App;
use crate::answer::{self, Answer};
use crate::forward::{self, Attempts, Received};
use crate::request::{AutomationRequest, Call, MAX_REQUEST_BYTES};
use crate::retry;

/// `last_used_at` is written at most this often, in seconds.
const USE_NOTED_EVERY: i64 = 3_600;
/// Tokens younger than this are not refreshed because HubSpot calls them expired, in seconds.
const REJECTION_BELIEVED_AFTER: i64 = 900;
/// What the function needs of its time to answer, in milliseconds.
const ROOM_TO_ANSWER: i64 = 1_000;
/// What a note beside the answer gets at least.
const ROOM_FOR_A_NOTE: Duration = Duration::from_millis(200);

/// One automation request under way, with what its log line says.
pub(crate) struct Execution<'a> {
    app: &'a App,
    id: String,
    began: i64,
    function_deadline: i64,
    account_id: Option<AccountId>,
    integration_id: Option<IntegrationId>,
    automation_id: Option<String>,
    attempts: Attempts,
    hubspot_status: Option<u16>,
    outcome: Outcome,
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
            attempts: Attempts::default(),
            hubspot_status: None,
            outcome: Outcome::NotSent,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Executes: `POST /v1/automation-requests`.
    pub(crate) async fn run(&mut self, event: &Event) -> Result<Response, Error> {
        let app = self.app;
        require_engine(event, app.config.engine_role_arn.as_deref())?;
        let request = AutomationRequest::parse(&event.body(MAX_REQUEST_BYTES)?, &app.config.hubspot.api_url)?;
        self.account_id = Some(request.account_id.clone());
        self.automation_id = request.automation_id;
        let latest = self.function_deadline - ROOM_TO_ANSWER;
        let deadline = request.deadline_ms.map_or(latest, |ms| latest.min(self.began + i64::from(ms)));

        let reading = newest(app, &request.account_id, request.integration_id.as_ref());
        let integration = timeout(app.clock.left(deadline), reading)
            .await
            .map_err(|_| Error::unavailable(1, "the deadline has passed before the newest integration was read"))??;
        self.integration_id = Some(integration.integration_id.clone());
        let now = app.clock.now();
        if let Some(until) = integration.cooldown_until.filter(|until| *until > now) {
            return Err(Error::RateLimited { retry_after: u64::try_from(until - now).unwrap_or(1) });
        }
        let need =
            Need { purpose: Purpose::Execution, deadline, function_deadline: self.function_deadline, rejected: None };
        let granted = app.access.usable(integration.clone(), &need).await.map_err(Error::from)?;

        let noted = integration.last_used_at.is_some_and(|at| at > now - USE_NOTED_EVERY);
        let touch = async {
            if !noted {
                note(&integration, "the use", app.clock.left(deadline), app.store.touch(&integration, now)).await;
            }
        };
        let (received, ()) = tokio::join!(self.send(&request.call, &integration, granted, &need), touch);
        let (received, granted) = received?;
        self.hubspot_status = Some(received.status);
        self.outcome = answer::outcome(received.status, request.call.target().is_idempotent());
        let retry_after = self.cool_down(&integration, &received, deadline).await;
        Ok(answer::response(&Answer {
            execution_id: &self.id,
            integration: &integration,
            call: &request.call,
            attempts: self.attempts.made,
            duration_ms: app.clock.now_millis() - self.began,
            retry_after,
            token: &granted.version.tokens.access_token,
            received: &received,
        }))
    }

    /// Sends the call; if HubSpot says that the token has expired, which it tells before it acts, once more with new
    /// tokens.
    async fn send(
        &mut self,
        call: &Call,
        integration: &Integration,
        granted: Granted,
        need: &Need<'_>,
    ) -> Result<(Received, Granted), Error> {
        let app = self.app;
        let received = forward::send(app, call, &granted, need.deadline, &mut self.attempts).await?;
        let old = granted.version.tokens.obtained_at <= app.clock.now() - REJECTION_BELIEVED_AFTER;
        let spent = self.attempts.made >= retry::MOST_ATTEMPTS;
        if received.status != 401 || !old || spent || !answer::is_expired_authentication(&received) {
            return Ok((received, granted));
        }
        let rejected = granted.version.pointer.secret_version.clone();
        let need = Need { rejected: Some(&rejected), ..*need };
        let Ok(Some(record)) = app.store.again(integration).await else { return Ok((received, granted)) };
        match app.access.usable(record, &need).await {
            Ok(renewed) => {
                let received = forward::send(app, call, &renewed, need.deadline, &mut self.attempts).await?;
                Ok((received, renewed))
            }
            Err(Unusable::Revoked) => Err(Error::ReauthorizationRequired),
            Err(_) => Ok((received, granted)),
        }
    }

    /// Notes a rate limit for all functions; gives the seconds to wait, where an answer says or implies them.
    async fn cool_down(&self, integration: &Integration, received: &Received, deadline: i64) -> Option<u64> {
        let seconds = retry::pause_asked_for(received)?;
        if received.status == 429 {
            let until = self.app.clock.now() + i64::try_from(seconds).unwrap_or(retry::LONGEST_COOLDOWN);
            let until = until.min(self.app.clock.now() + retry::LONGEST_COOLDOWN);
            if integration.cooldown_until.is_none_or(|noted| noted < until) {
                // HubSpot's answer is there: it is told even if the note takes too long.
                let room = self.app.clock.left(deadline).max(ROOM_FOR_A_NOTE);
                note(integration, "a cool-down", room, self.app.store.cool_down(integration, until)).await;
            }
        }
        Some(seconds)
    }

    /// The one line about this execution: an error only where somebody has to look.
    pub(crate) fn log(&self, function_request_id: &str, answered: &Result<Response, Error>) {
        let (outcome, code, status, cause) = match answered {
            Ok(response) => (self.outcome, None, response.status_code, None),
            Err(error) => (error.outcome(), Some(error.code()), error.status(), Some(error.to_string())),
        };
        // A refused request's own words are the customer's business.
        let cause = cause.filter(|_| status >= 500);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    function_request_id,
                    execution_id = self.id,
                    account_id = self.account_id.as_ref().map(AccountId::as_str),
                    integration_id = self.integration_id.as_ref().map(IntegrationId::as_str),
                    automation_id = self.automation_id,
                    outcome = outcome.as_str(),
                    code,
                    status,
                    hubspot_status = self.hubspot_status,
                    duration_ms = self.app.clock.now_millis() - self.began,
                    hubspot_ms = self.attempts.millis,
                    attempts = self.attempts.made,
                    cause,
                    "automation request"
                )
            };
        }
        if matches!(answered, Err(Error::Internal(_))) { line!(error) } else { line!(info) }
    }
}

/// Notes something on the record that the answer does not depend on, nor waits for beyond its time.
async fn note(
    integration: &Integration,
    what: &'static str,
    time: Duration,
    write: impl Future<Output = Result<(), Error>>,
) {
    let cause = match timeout(time, write).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::warn!(account_id = %integration.account_id, cause, "{what} could not be noted");
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
