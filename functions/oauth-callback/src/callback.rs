//! The end of an authorization: HubSpot sends the browser back with a code or a refusal.
//!
//! Nothing of the query is shown, kept or logged; whatever happens, the browser gets one of the constant outcomes.

use shared::crypto;
use shared::gateway::{Event, Response};
use shared::hubspot::{Grant, Refusal};
use shared::integration::Pointer;
use shared::store::authorizations::{Authorization, ConsumeResult};
use shared::tokens::Tokens;
use url::form_urlencoded;

use crate::integrations::{self, NewTokens};
use crate::{App, authorization};

/// How an authorization ended: a word in the address of the result page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new integration is the account's newest.
    Connected,
    /// The newest has new tokens.
    Reconnected,
    /// The person did not consent.
    Declined,
    /// The authorization is unknown, used or too old.
    Expired,
    /// It was started in another browser; it may still be finished there.
    OtherBrowser,
    /// The account has been connected meanwhile.
    AlreadyConnected,
    /// HubSpot did not grant what the app needs.
    MissingScopes,
    /// A reconnect chose another portal.
    DifferentPortal,
    /// HubSpot's side or ours: worth another try.
    Failed,
    /// Our app's credentials are not right.
    Misconfigured,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Connected,
        Self::Reconnected,
        Self::Declined,
        Self::Expired,
        Self::OtherBrowser,
        Self::AlreadyConnected,
        Self::MissingScopes,
        Self::DifferentPortal,
        Self::Failed,
        Self::Misconfigured,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Reconnected => "reconnected",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::OtherBrowser => "other-browser",
            Self::AlreadyConnected => "already-connected",
            Self::MissingScopes => "missing-scopes",
            Self::DifferentPortal => "different-portal",
            Self::Failed => "failed",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// The outcome of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// What HubSpot sent with the browser.
enum Callback {
    Granted { code: String, state: String },
    Refused { reason: String, state: String },
}

/// Finishes an authorization: `GET /oauth/hubspot/callback`.
pub(crate) async fn finish(app: &App, event: &Event) -> (Response, Outcome) {
    let Ok(callback) = parse(event.query()) else {
        return (redirect(app, Outcome::Failed), Outcome::Failed);
    };
    let (Callback::Granted { state, .. } | Callback::Refused { state, .. }) = &callback;
    let state_hash = crypto::sha256_hex(state);
    // Without a cookie the hash is that of nothing, which no authorization has.
    let browser = event.cookie(&authorization::cookie_name(&state_hash)).unwrap_or_default();
    let consumed = app.authorizations.consume(&state_hash, &crypto::sha256_hex(browser), app.clock.now()).await;
    let authorization = match consumed {
        Ok(ConsumeResult::Consumed(authorization)) => authorization,
        Ok(ConsumeResult::OtherBrowser) => return (redirect(app, Outcome::OtherBrowser), Outcome::OtherBrowser),
        Ok(ConsumeResult::Expired) => return (redirect(app, Outcome::Expired), Outcome::Expired),
        Err(error) => {
            tracing::error!(cause = %error, "an authorization could not be consumed");
            return (redirect(app, Outcome::Failed), Outcome::Failed);
        }
    };
    let outcome = complete(app, &authorization, callback).await.unwrap_or_else(|outcome| outcome);
    tracing::info!(account_id = %authorization.account_id, integration_id = %authorization.integration_id,
        outcome = outcome.as_str(), authorizations_ended = 1, "authorization ended");
    let mut response = redirect(app, outcome);
    response.cookies.push(authorization::cookie(&state_hash, "", 0));
    (response, outcome)
}

/// Doubled, missing or empty parameters: nothing is consumed.
fn parse(query: &str) -> Result<Callback, Outcome> {
    let one = |name: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) if !value.is_empty() => Ok(Some(value.into_owned())),
            _ => Err(Outcome::Failed),
        }
    };
    match (one("error")?, one("code")?, one("state")?) {
        (Some(reason), None, Some(state)) => Ok(Callback::Refused { reason, state }),
        (None, Some(code), Some(state)) => Ok(Callback::Granted { code, state }),
        _ => Err(Outcome::Failed),
    }
}

async fn complete(app: &App, authorization: &Authorization, callback: Callback) -> Result<Outcome, Outcome> {
    let code = match callback {
        Callback::Granted { code, .. } => code,
        Callback::Refused { reason, .. } if reason == "access_denied" => return Err(Outcome::Declined),
        Callback::Refused { .. } => return Err(Outcome::Failed),
    };
    let sent_at = app.clock.now();
    let exchanged = app.hubspot.exchange(&code, &app.config.redirect_uri(), &authorization.pkce_verifier).await;
    let grant = exchanged.map_err(|refusal| refused(authorization, &refusal))?;
    let new = believe(app, authorization, grant, sent_at).await?;
    if app.config.scopes.iter().any(|scope| !new.tokens.scopes.contains(scope)) {
        return Err(Outcome::MissingScopes);
    }
    integrations::store(app, authorization, new).await.map_err(|error| {
        let (account_id, integration_id) = (&authorization.account_id, &authorization.integration_id);
        tracing::error!(%account_id, %integration_id, cause = %error, "an authorization could not be stored");
        Outcome::Failed
    })
}

/// A token answer without portal or scopes is completed by one introspection.
async fn believe(app: &App, authorization: &Authorization, grant: Grant, sent_at: i64) -> Result<NewTokens, Outcome> {
    let (mut hub_id, mut scopes) = (grant.hub_id, grant.scopes);
    if hub_id.is_none() || scopes.is_none() {
        let asked = app.hubspot.introspect(&grant.access_token).await;
        let (portal, granted) = asked.map_err(|refusal| refused(authorization, &refusal))?;
        hub_id = hub_id.or(portal);
        scopes = scopes.or(granted);
    }
    let (Some(hub_id), Some(scopes), Some(refresh_token)) = (hub_id, scopes, grant.refresh_token) else {
        return Err(Outcome::Failed);
    };
    let tokens = Tokens {
        account_id: authorization.account_id.clone(),
        integration_id: authorization.integration_id.clone(),
        access_token: grant.access_token,
        refresh_token,
        token_type: "bearer".to_owned(),
        obtained_at: sent_at,
        expires_at: sent_at + grant.expires_in,
        scopes,
        hub_id: Some(hub_id),
        replaces: Vec::new(),
    };
    Ok(NewTokens { tokens, hub_id })
}

fn refused(authorization: &Authorization, refusal: &Refusal) -> Outcome {
    let (outcome, cause) = match refusal {
        Refusal::Revoked => (Outcome::Failed, "HubSpot refused the code"),
        Refusal::Transient { cause, .. } | Refusal::Lost { cause } => (Outcome::Failed, cause.as_str()),
        Refusal::Misconfigured { invalid_client: true, cause } => (Outcome::Misconfigured, cause.as_str()),
        Refusal::Misconfigured { cause, .. } => (Outcome::Failed, cause.as_str()),
    };
    tracing::warn!(account_id = %authorization.account_id, integration_id = %authorization.integration_id,
        outcome = outcome.as_str(), cause, "HubSpot gave no tokens");
    outcome
}

/// Sends the browser to the result page, or to the dashboard's one configured address.
fn redirect(app: &App, outcome: Outcome) -> Response {
    let location = match &app.config.return_url {
        None => format!("{}oauth/hubspot/result/{}", app.config.public_url, outcome.as_str()),
        Some(url) => {
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("hubspot", outcome.as_str());
            url.to_string()
        }
    };
    Response::empty(303).with("location", &location).with("referrer-policy", "no-referrer")
}

/// Deletes the secret of an authorization that is not to be: certain that no record names it.
pub(crate) async fn drop_secret(app: &App, pointer: &Pointer) {
    if let Err(error) = app.store.delete_secret(&pointer.secret_id).await {
        tracing::warn!(secret_id = pointer.secret_id, cause = %error, "a secret that no record names was not deleted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_missing_or_empty_parameters_are_no_callback() {
        for bad in [
            "",
            "code=1",
            "state=1",
            "code=&state=1",
            "code=1&state=",
            "code=1&code=2&state=1",
            "code=1&state=1&state=2",
            "code=1&state=1&error=access_denied",
            "error=access_denied",
            "error=a&error=b&state=1",
            "%63ode=1&code=2&state=1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(matches!(parse("code=a%2Bb&state=c&extra=1"), Ok(Callback::Granted { code, .. }) if code == "a+b"));
        assert!(matches!(parse("error=access_denied&state=c&error_description=no"), Ok(Callback::Refused { .. })));
    }

    #[test]
    fn every_outcome_has_its_word() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::parse("<script>"), None);
    }
}
