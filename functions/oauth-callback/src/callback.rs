//! The end of an authorization: HubSpot sends the browser back with a code or a refusal.
//!
//! Nothing of the query is shown, kept or logged; whatever happens, the browser gets one of the constant outcomes.

use shared::crypto;
use shared::crypto;
use shared::gateway::{Event, Response};
use shared::hubspot::{Grant, Refusal};
use shared::store::authorizations::{Authorization, ConsumeResult};
use shared::tokens::Tokens;
use url::form_urlencoded;

use crate::app::App;
use crate::authorization;
use crate::integrations::{self, NewTokens};
use crate::outcome::AuthorizationOutcome;

/// The parameters with which HubSpot sends the browser back.
enum Callback {
    Granted { code: String, state: String },
    Refused { reason: String, state: String },
}

/// Finishes an authorization: `GET /oauth/hubspot/callback`.
pub(crate) async fn finish(app: &App, event: &Event) -> (Response, AuthorizationOutcome) {
    let (outcome, used_state_hash) = complete_authorization(app, event).await;
    let mut response = redirect(app, outcome);
    if let Some(state_hash) = used_state_hash {
        response.cookies.push(authorization::cookie(&state_hash, "", 0));
    }
    (response, outcome)
}

/// Consumes the state and completes its authorization; the hash of the state, if it is used now.
async fn complete_authorization(app: &App, event: &Event) -> (AuthorizationOutcome, Option<String>) {
    let Ok(callback) = parse(event.query()) else { return (AuthorizationOutcome::Failed, None) };
    let (Callback::Granted { state, .. } | Callback::Refused { state, .. }) = &callback;
    let state_hash = crypto::sha256_hex(state);
    // Without a cookie the hash is that of the empty text, which no authorization has.
    let browser = event.cookie(&authorization::cookie_name(&state_hash)).unwrap_or_default();
    let consumed = app.authorizations.consume(&state_hash, &crypto::sha256_hex(browser), app.clock.now()).await;
    let authorization = match consumed {
        Ok(ConsumeResult::Consumed(authorization)) => authorization,
        Ok(ConsumeResult::OtherBrowser) => return (AuthorizationOutcome::OtherBrowser, None),
        Ok(ConsumeResult::Expired) => return (AuthorizationOutcome::Expired, None),
        Err(error) => {
            tracing::error!(cause = %error, "failed to consume authorization");
            return (AuthorizationOutcome::Failed, None);
        }
    };
    let outcome = complete(app, &authorization, callback).await.unwrap_or_else(|outcome| outcome);
    tracing::info!(account_id = %authorization.account_id, integration_id = %authorization.integration_id,
        outcome = outcome.as_str(), authorizations_ended = 1, "authorization ended");
    (outcome, Some(state_hash))
}

/// Doubled, missing or empty parameters: nothing is consumed.
fn parse(query: &str) -> Result<Callback, AuthorizationOutcome> {
    let one = |name: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) if !value.is_empty() => Ok(Some(value.into_owned())),
            _ => Err(AuthorizationOutcome::Failed),
        }
    };
    match (one("error")?, one("code")?, one("state")?) {
        (Some(reason), None, Some(state)) => Ok(Callback::Refused { reason, state }),
        (None, Some(code), Some(state)) => Ok(Callback::Granted { code, state }),
        _ => Err(AuthorizationOutcome::Failed),
    }
}

async fn complete(
    app: &App,
    authorization: &Authorization,
    callback: Callback,
) -> Result<AuthorizationOutcome, AuthorizationOutcome> {
    let code = match callback {
        Callback::Granted { code, .. } => code,
        Callback::Refused { reason, .. } if reason == "access_denied" => return Err(AuthorizationOutcome::Declined),
        Callback::Refused { .. } => return Err(AuthorizationOutcome::Failed),
    };
    let sent_at = app.clock.now();
    let exchanged = app.hubspot.exchange(&code, &app.config.redirect_uri(), &authorization.pkce_verifier).await;
    let grant = exchanged.map_err(|refusal| refused(authorization, &refusal))?;
    let new = complete_grant(app, authorization, grant, sent_at).await?;
    if app.config.scopes.iter().any(|scope| !new.tokens.scopes.contains(scope)) {
        return Err(AuthorizationOutcome::MissingScopes);
    }
    integrations::store(app, authorization, new).await.map_err(|error| {
        let (account_id, integration_id) = (&authorization.account_id, &authorization.integration_id);
        tracing::error!(%account_id, %integration_id, cause = %error, "failed to store authorization");
        AuthorizationOutcome::Failed
    })
}

/// Completes a token response that lacks portal or scopes by one introspection.
async fn complete_grant(
    app: &App,
    authorization: &Authorization,
    grant: Grant,
    sent_at: i64,
) -> Result<NewTokens, AuthorizationOutcome> {
    let (mut hub_id, mut scopes) = (grant.hub_id, grant.scopes);
    if hub_id.is_none() || scopes.is_none() {
        let asked = app.hubspot.introspect(&grant.access_token).await;
        let (portal, granted) = asked.map_err(|refusal| refused(authorization, &refusal))?;
        hub_id = hub_id.or(portal);
        scopes = scopes.or(granted);
    }
    let (Some(hub_id), Some(scopes), Some(refresh_token)) = (hub_id, scopes, grant.refresh_token) else {
        return Err(AuthorizationOutcome::Failed);
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

fn refused(authorization: &Authorization, refusal: &Refusal) -> AuthorizationOutcome {
    let (outcome, cause) = match refusal {
        Refusal::Revoked => (AuthorizationOutcome::Failed, "HubSpot refused the code"),
        Refusal::Transient { cause, .. } | Refusal::Lost { cause } => (AuthorizationOutcome::Failed, cause.as_str()),
        Refusal::Misconfigured { invalid_client: true, cause } => (AuthorizationOutcome::Misconfigured, cause.as_str()),
        Refusal::Misconfigured { cause, .. } => (AuthorizationOutcome::Failed, cause.as_str()),
    };
    tracing::warn!(account_id = %authorization.account_id, integration_id = %authorization.integration_id,
        outcome = outcome.as_str(), cause, "token exchange failed");
    outcome
}

/// Redirects the browser to the result page, or to the dashboard's configured address.
fn redirect(app: &App, outcome: AuthorizationOutcome) -> Response {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_missing_or_empty_parameters_do_not_parse() {
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
}
