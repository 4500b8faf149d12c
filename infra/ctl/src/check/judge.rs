//! What the function would say to one stored automation, by the function's own code.

use guard::fields::Fields;
use guard::request::AutomationRequest;
use guard::scopes::{self, Asked, Remedy, Verdict};
use serde::Serialize;
use shared::error::{Error, RequestOutcome};
use shared::integration::{AccountId, IntegrationId, Status, why_not_newest};

/// What is known of one integration.
#[derive(Clone, Debug)]
pub(super) struct KnownIntegration {
    pub(super) integration_id: IntegrationId,
    pub(super) status: Status,
    /// None where an import file does not say.
    pub(super) scopes: Option<Vec<String>>,
}

/// What the function says to one stored automation.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CheckResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    automation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_id: Option<String>,
    /// `runs`, `missing_scopes`, or the code that the function refuses with.
    pub(super) verdict: &'static str,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Whether HubSpot's scopes cover it, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scopes: Option<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_scopes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<Remedy>,
    /// The names of the credentials that it carries, which are ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ignored_credentials: Vec<String>,
}

impl CheckResult {
    /// A line that the function refuses for what stands in it; whose it is, as far as that can be read.
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

/// Judges a request of an account that has `known`, the newest first.
pub(super) fn judge(request: &AutomationRequest, known: &[KnownIntegration], asked: Asked<'_>) -> CheckResult {
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
    let required = scopes::required(target.method(), target.path());
    let Some(granted) = &newest.scopes else {
        return CheckResult { verdict: "runs", scopes: Some(Verdict::Unknown), ..judged };
    };
    let verdict = scopes::verdict(required.as_ref(), granted);
    if verdict != Verdict::Missing {
        return CheckResult { verdict: "runs", scopes: Some(verdict), ..judged };
    }
    let missing = required.as_ref().map(|required| scopes::missing(required, granted)).unwrap_or_default();
    let remedy = asked.remedy_for_all(&missing);
    let detail = remedy.map(|remedy| describe(remedy).to_owned());
    CheckResult { verdict: "missing_scopes", scopes: Some(verdict), missing_scopes: missing, remedy, detail, ..judged }
}

/// The integration that runs what belongs to `wanted`, if it is the newest and may be used.
fn running<'a>(known: &'a [KnownIntegration], wanted: Option<&IntegrationId>) -> Result<&'a KnownIntegration, Error> {
    let newest = known.first().ok_or(Error::NotConnected)?;
    match wanted {
        Some(wanted) if *wanted != newest.integration_id => {
            Err(why_not_newest(known.iter().map(|one| &one.integration_id), wanted))
        }
        _ if newest.status == Status::NeedsReauthorization => Err(Error::ReauthorizationRequired),
        _ => Ok(newest),
    }
}

/// What a remedy means for whom.
pub(super) fn describe(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reconnect => "an admin of the account reconnects: the app asks for the scopes by now",
        Remedy::AskOperator => {
            "we add the scopes to HUBSPOT_SCOPES and to the app at HubSpot, then an admin reconnects"
        }
        Remedy::HubspotPlan => "the customer's HubSpot plan lacks what the scopes are for",
    }
}
