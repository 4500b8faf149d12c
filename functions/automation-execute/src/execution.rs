//! One execution: parse, guard, newest integration, usable tokens, send, answer.

use guard::request::{AutomationRequest, MAX_REQUEST_BYTES};
use secrecy::SecretString;
use shared::access::{TokenRequest, UsableTokens};
use shared::caller::require_engine;
use shared::error::{Error, LostRequest, RequestId, RequestOutcome};
use shared::gateway::{Event, Response};
use shared::integration::{AccountId, Integration, IntegrationId};
use shared::refresh_policy::Purpose;
use shared::token_error::{TokenError, TokenErrorKind};

use crate::answer::{Answer, Rendered};
use crate::app::App;
use crate::best_effort::{LEAST_TIME, best_effort};
use crate::forward::{Attempts, Delivery};
use crate::idempotency::{self, Claim, ClaimResult};
use crate::newest::{NewestRead, newest};
use crate::reply::{Rejection, Reply};
use crate::{portal, retry};

/// Younger tokens are not refreshed because HubSpot calls them expired, in seconds.
const REJECTION_BELIEVED_AFTER: i64 = 900;
/// The time that the function keeps to answer, in milliseconds.
const TIME_TO_ANSWER: i64 = 1_000;
/// The part of it that follows when the answer is redacted, in milliseconds.
const TIME_TO_RETURN: i64 = 400;

/// One automation request under way.
pub(crate) struct Execution<'a> {
    app: &'a App,
    id: String,
    started_at: i64,
    function_deadline: i64,
    labels: Labels,
    progress: Progress,
}

/// The names that its log line carries.
#[derive(Default)]
struct Labels {
    account_id: Option<AccountId>,
    integration_id: Option<IntegrationId>,
    automation_id: Option<String>,
    /// How many of the customer's credentials were dropped.
    ignored_credentials: usize,
}

/// How far it has come.
struct Progress {
    attempts: Attempts,
    hubspot_status: Option<u16>,
    outcome: RequestOutcome,
    /// True if this execution refreshed the tokens itself.
    refreshed: bool,
    replayed: bool,
    /// The id of an error at the edge in front of HubSpot.
    cf_ray: Option<String>,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(app: &'a App, id: String, started_at: i64, function_deadline: i64) -> Self {
        let progress = Progress {
            attempts: Attempts::default(),
            hubspot_status: None,
            outcome: RequestOutcome::NotSent,
            refreshed: false,
            replayed: false,
            cf_ray: None,
        };
        Self { app, id, started_at, function_deadline, labels: Labels::default(), progress }
    }

    /// Executes, logs and answers: `POST /v1/automation-requests`.
    pub(crate) async fn respond(mut self, event: &Event) -> Response {
        let answered = self.run(event).await;
        self.log(&answered);
        answered.unwrap_or_else(|error| {
            error.log(RequestId::Execution(&self.id));
            Response::execution_problem(&error, self.outcome_of(&error), &self.id)
        })
    }

    async fn run(&mut self, event: &Event) -> Result<Response, Error> {
        let app = self.app;
        require_engine(event, app.config.engine_role_arn.as_deref())?;
        let request = AutomationRequest::parse(&event.body(MAX_REQUEST_BYTES)?, &app.config.hubspot.api_url)?;
        self.labels.account_id = Some(request.account_id.clone());
        self.labels.automation_id.clone_from(&request.automation_id);
        self.labels.ignored_credentials = request.call.ignored().len();
        let latest = self.function_deadline - TIME_TO_ANSWER;
        let deadline = request.deadline_ms.map_or(latest, |ms| latest.min(self.started_at + i64::from(ms)));
        match &request.idempotency_key {
            None => self.execute(&request, None, deadline).await.map(|rendered| rendered.response),
            Some(key) => Box::pin(self.execute_once(&request, key, deadline)).await,
        }
    }

    /// Executes under an idempotency key, or replays the answer that is stored for it.
    async fn execute_once(&mut self, request: &AutomationRequest, key: &str, deadline: i64) -> Result<Response, Error> {
        let app = self.app;
        let mut claim = match Box::pin(idempotency::claim(app, request, key, &self.id, deadline)).await {
            Ok(ClaimResult::Owned(claim)) => claim,
            Ok(ClaimResult::Replay(stored)) => {
                self.progress.outcome = stored.outcome;
                self.progress.replayed = true;
                return Ok(idempotency::replay(stored));
            }
            Err(refused) => {
                self.progress.attempts.may_have_reached_hubspot = refused.may_have_reached_hubspot;
                return Err(refused.error);
            }
        };
        self.progress.attempts.may_have_reached_hubspot = claim.may_have_reached_hubspot();
        let executed = self.execute(request, Some(&mut claim), deadline).await;
        let (answered, end) = match executed {
            Ok(rendered) => {
                let end = rendered.claim_end(request.call.target());
                (Ok(rendered.response), end)
            }
            Err(error) => {
                let error = if claim.repeats_a_timeout() { not_again(error) } else { error };
                let end = idempotency::problem_end(&error, self.outcome_of(&error), request.call.target(), &self.id);
                (Err(error), end)
            }
        };
        let finishing = Box::pin(idempotency::finish(&app.executions, &claim, end));
        let budget = app.clock.remaining(deadline).max(idempotency::TIME_TO_FINISH);
        best_effort(&request.account_id, "finish_execution", budget, finishing).await;
        answered
    }

    async fn execute(
        &mut self,
        request: &AutomationRequest,
        claim: Option<&mut Claim>,
        deadline: i64,
    ) -> Result<Rendered, Error> {
        let app = self.app;
        // What is rare, and what AWS's SDK does, is boxed throughout: futures are moved about whole, however little of
        // them is used.
        let read = NewestRead { at: app.clock.now_millis() };
        let reading = newest(app, &request.account_id, request.integration_id.as_ref());
        let integration = app.in_time(deadline, reading).await?;
        self.labels.integration_id = Some(integration.integration_id.clone());
        self.progress.attempts.newest = read;
        portal::check_cooldown(app, &integration, request.call.target())?;
        let token_request = TokenRequest {
            purpose: Purpose::Execution,
            deadline,
            function_deadline: self.function_deadline,
            rejected: None,
        };
        let delivery = Delivery { app, call: &request.call, integration: &integration, deadline };
        let tokens = self.tokens(&delivery, integration.clone(), &token_request).await?;
        if let Some(claim) = claim {
            let sending = idempotency::mark_sending(&app.executions, claim, app.clock.now());
            app.in_time(deadline, Box::pin(sending)).await?;
        }
        let sending = self.send(&delivery, tokens, &token_request);
        let (sent, ()) = tokio::join!(sending, portal::record_use(app, &integration, app.clock.remaining(deadline)));
        Ok(self.answer(&delivery, &sent?))
    }

    /// The answer around HubSpot's.
    fn answer(&mut self, delivery: &Delivery<'_>, sent: &Sent) -> Rendered {
        let Sent { reply, tokens } = sent;
        self.progress.hubspot_status = Some(reply.status);
        self.progress.cf_ray = if reply.status >= 400 { reply.cf_ray().map(str::to_owned) } else { None };
        let app = self.app;
        let answer = Answer {
            execution_id: &self.id,
            integration: delivery.integration,
            requested: app.config.requested_scopes(),
            call: delivery.call,
            attempts: &self.progress.attempts,
            duration_ms: app.clock.now_millis() - self.started_at,
            tokens,
            reply,
            clock: &app.clock,
            redact_until: self.function_deadline - TIME_TO_RETURN,
        };
        let rendered = answer.render();
        self.progress.outcome = rendered.outcome;
        rendered
    }

    /// Usable tokens of a record of the delivery's integration, which was just read.
    async fn tokens(
        &mut self,
        delivery: &Delivery<'_>,
        record: Integration,
        token_request: &TokenRequest<'_>,
    ) -> Result<UsableTokens, TokenError> {
        let tokens = delivery.app.access.usable(record, token_request).await?;
        self.progress.refreshed |= tokens.refreshed;
        if tokens.waited {
            self.progress.attempts.newest = NewestRead::default();
        }
        Ok(tokens)
    }

    /// Sends the call; if HubSpot says that the token has expired, which it checks before it acts, once more with new
    /// tokens.
    async fn send(
        &mut self,
        delivery: &Delivery<'_>,
        tokens: UsableTokens,
        token_request: &TokenRequest<'_>,
    ) -> Result<Sent, Error> {
        let app = delivery.app;
        let reply = self.progress.attempts.send(delivery, &tokens).await?;
        let old = tokens.version.tokens.obtained_at <= app.clock.now().saturating_sub(REJECTION_BELIEVED_AFTER);
        let spent = self.progress.attempts.made >= retry::MOST_ATTEMPTS;
        let rejection = reply.rejection();
        let mut sent = vec![tokens.version.tokens.access_token];
        if rejection != Some(Rejection::Expired) || !old {
            if rejection.is_some() {
                let budget = app.clock.remaining(delivery.deadline).max(LEAST_TIME);
                portal::request_proof(app, delivery.integration, budget).await;
            }
            return Ok(Sent { reply, tokens: sent });
        }
        if spent {
            return Ok(Sent { reply, tokens: sent });
        }
        let rejected = tokens.version.pointer.secret_version;
        let token_request = TokenRequest { rejected: Some(&rejected), ..*token_request };
        let rereading = Box::pin(app.store.reread(delivery.integration)).await;
        let Ok(Some(record)) = rereading else { return Ok(Sent { reply, tokens: sent }) };
        match self.tokens(delivery, record, &token_request).await {
            Ok(renewed) => {
                let reply = Box::pin(self.progress.attempts.send(delivery, &renewed)).await?;
                sent.push(renewed.version.tokens.access_token);
                Ok(Sent { reply, tokens: sent })
            }
            Err(error) if error.kind == TokenErrorKind::Revoked => Err(Error::ReauthorizationRequired),
            Err(_) => Ok(Sent { reply, tokens: sent }),
        }
    }

    /// The outcome of the request: an error knows only the last step, and an earlier attempt may have reached HubSpot.
    fn outcome_of(&self, error: &Error) -> RequestOutcome {
        let outcome = error.outcome();
        let earlier = self.progress.attempts.may_have_reached_hubspot;
        if outcome == RequestOutcome::NotSent && earlier { RequestOutcome::Unknown } else { outcome }
    }

    /// The one line about this execution; our own failures get another from [`Error::log`].
    fn log(&self, answered: &Result<Response, Error>) {
        let (outcome, code, status, cause) = match answered {
            Ok(response) => (self.progress.outcome, None, response.status_code, None),
            Err(error) => (self.outcome_of(error), Some(error.code()), error.status(), Some(error.to_string())),
        };
        // The text of a refused request is the customer's business.
        let cause = if status >= 500 { cause } else { None };
        let Progress { attempts, hubspot_status, refreshed, replayed, .. } = self.progress;
        let ignored = self.labels.ignored_credentials;
        let duration_ms = self.app.clock.now_millis() - self.started_at;
        // Only for requests that reached HubSpot.
        let hubspot_ms = (attempts.made > 0).then_some(attempts.millis);
        tracing::info!(
            execution_id = self.id,
            account_id = self.labels.account_id.as_ref().map(AccountId::as_str),
            integration_id = self.labels.integration_id.as_ref().map(IntegrationId::as_str),
            automation_id = self.labels.automation_id,
            executions = 1,
            result = result(status, hubspot_status),
            outcome = outcome.as_str(),
            code,
            status,
            hubspot_status,
            duration_ms,
            hubspot_ms,
            overhead_ms = hubspot_ms.map(|millis| duration_ms - millis),
            attempts = attempts.made,
            ignored_credentials = (ignored > 0).then_some(ignored),
            tokens_refreshed = refreshed.then_some(true),
            replayed = replayed.then_some(true),
            cf_ray = self.progress.cf_ray,
            cause,
            "automation request"
        );
    }
}

/// HubSpot's answer, and every token that was sent for it.
struct Sent {
    reply: Reply,
    tokens: Vec<SecretString>,
}

/// The result that an execution counts as: `failed` is what customers notice and cannot mend themselves.
fn result(status: u16, hubspot_status: Option<u16>) -> &'static str {
    match (status, hubspot_status) {
        (500.., _) | (_, Some(500..)) => "failed",
        (429, _) | (_, Some(429)) => "throttled",
        (400.., _) => "refused",
        _ => "answered",
    }
}

/// A time-out that a caller has seen before does not pass by repeating the request.
fn not_again(error: Error) -> Error {
    if error == Error::HubspotTimeout(LostRequest::SafeToRetry) {
        return Error::HubspotTimeout(LostRequest::CheckFirst);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_hubspot_or_ours_count_as_failed() {
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
