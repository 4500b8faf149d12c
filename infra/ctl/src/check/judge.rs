//! The verdict on one stored automation, by the code of the function.

use guard::fields::Fields;
use guard::request::AutomationRequest;
use guard::scopes::{Deprecation, Explanation, Remedy, RequestedScopes, Verdict};
use jiff::Timestamp;
use serde::Serialize;
use shared::error::{Error, RequestOutcome};
use shared::integration::{AccountId, IntegrationId, Readiness, why_not_newest};

/// An integration, from the table or an import file.
#[derive(Clone, Debug)]
pub(super) struct KnownIntegration {
    pub(super) integration_id: IntegrationId,
    pub(super) readiness: Readiness,
    /// None if an import file does not name them.
    pub(super) scopes: Option<Vec<String>>,
}

/// The verdict on one stored automation.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CheckResult {
    pub(super) account_id: Option<String>,
    automation_id: Option<String>,
    integration_id: Option<String>,
    /// `runs`, `missing_scopes`, `developer_key`, or the code of the refusal.
    pub(super) verdict: &'static str,
    /// A remedy.
    pub(super) detail: Option<String>,
    /// The verdict on the granted scopes; `None` if it is refused before.
    pub(super) scopes: Option<Verdict>,
    missing_scopes: Vec<&'static str>,
    /// Where HubSpot names alternatives: each of them, the scopes of one separated by blanks.
    pub(super) any_of: Vec<&'static str>,
    /// When HubSpot ends the endpoint, if it has announced that.
    pub(super) deprecated: Option<Deprecation>,
    pub(super) remedy: Option<Remedy>,
    /// The names of the credentials that it carries.
    pub(super) ignored_credentials: Vec<String>,
}

const DEVELOPER_KEY: &str = "HubSpot accepts only the developer key of an app here; automations cannot call it";

impl CheckResult {
    /// A line that the function refuses for its content. Ids are kept if they can be read.
    pub(super) fn refused(error: &Error, text: &str) -> Self {
        let mut fields = Fields::parse("line", text).ok();
        let mut id = |name: &str| fields.as_mut()?.take_string(name).ok().flatten();
        Self {
            account_id: id("account_id").filter(|id| AccountId::try_from(id.clone()).is_ok()),
            integration_id: id("integration_id").filter(|id| IntegrationId::try_from(id.clone()).is_ok()),
            automation_id: id("automation_id").filter(|id| id.len() <= 128 && !id.contains(char::is_control)),
            verdict: error.code(),
            detail: Some(error.detail(RequestOutcome::NotSent)),
            ..Self::default()
        }
    }
}

/// Judges a request of an account with these integrations, newest first.
pub(super) fn judge(
    request: &AutomationRequest,
    known: &[KnownIntegration],
    requested: RequestedScopes<'_>,
) -> CheckResult {
    let judged = CheckResult {
        account_id: Some(request.account_id.to_string()),
        automation_id: request.automation_id.clone(),
        integration_id: request.integration_id.as_ref().map(ToString::to_string),
        ignored_credentials: request.call.ignored().to_vec(),
        ..CheckResult::default()
    };
    let newest = match running(known, request.integration_id.as_ref()) {
        Ok(newest) => newest,
        Err(error) => {
            return CheckResult {
                verdict: error.code(),
                detail: Some(error.detail(RequestOutcome::NotSent)),
                ..judged
            };
        }
    };
    let target = request.call.target();
    let explanation = Explanation::of(target.method(), target.path());
    let any_of = explanation.required.as_ref().map(|required| required.any_of.clone()).unwrap_or_default();
    let judged = CheckResult { deprecated: explanation.deprecated, any_of, ..judged };
    if explanation.developer_key {
        return CheckResult { verdict: "developer_key", detail: Some(DEVELOPER_KEY.to_owned()), ..judged };
    }
    let runs = |judged: CheckResult, scopes| {
        let detail = limit(newest.readiness);
        CheckResult { verdict: "runs", detail, scopes: Some(scopes), ..judged }
    };
    let Some(granted) = &newest.scopes else { return runs(judged, Verdict::Unknown) };
    let verdict = explanation.verdict(granted);
    if verdict != Verdict::Missing {
        return runs(judged, verdict);
    }
    let missing = explanation.missing(granted);
    let remedy = explanation.remedy(granted, requested);
    let detail = remedy.map(|remedy| describe(remedy).to_owned());
    CheckResult { verdict: "missing_scopes", scopes: Some(verdict), missing_scopes: missing, remedy, detail, ..judged }
}

/// The integration that runs automations of `wanted`, if it is the newest and usable.
fn running<'a>(known: &'a [KnownIntegration], wanted: Option<&IntegrationId>) -> Result<&'a KnownIntegration, Error> {
    let newest = known.first().ok_or(Error::NotConnected)?;
    match wanted {
        Some(wanted) if *wanted != newest.integration_id => {
            Err(why_not_newest(known.iter().map(|one| &one.integration_id), wanted))
        }
        _ => match newest.readiness {
            Readiness::Ready | Readiness::ReadyUntil(_) => Ok(newest),
            Readiness::NeedsReauthorization => Err(Error::ReauthorizationRequired),
            Readiness::WithoutTokens => Err(Error::internal("active without a secret")),
        },
    }
}

/// The reason why the automation ends although nothing changes, for people.
fn limit(readiness: Readiness) -> Option<String> {
    let Readiness::ReadyUntil(at) = readiness else { return None };
    let expiry = Timestamp::from_second(at).map_or_else(|_| at.to_string(), |expiry| expiry.to_string());
    Some(format!("it runs until its access token expires at {expiry}; an admin of the account has to reconnect it"))
}

/// A remedy for people.
fn describe(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reconnect => "an admin of the account reconnects: the app now asks for the scopes",
        Remedy::AskOperator => "add the scopes to HUBSPOT_SCOPES and to the app at HubSpot; then an admin reconnects",
        Remedy::HubspotPlan => {
            "the customer's HubSpot plan lacked what the scopes are for; once it has that, an admin reconnects"
        }
    }
}
