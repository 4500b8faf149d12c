//! The start of an authorization: where to send the admin's browser, and what binds it.

use guard::fields::Fields;
use serde_json::json;
use shared::caller::{Member, logged_person};
use shared::crypto;
use shared::error::Error;
use shared::gateway::{Event, Response};
use shared::integration::{self, AccountId, Integration, IntegrationId, MOST_CONNECTED};
use shared::store::authorizations::{Authorization, AuthorizationKind};
use shared::token_error::{TokenError, TokenErrorKind};
use url::Url;

use crate::app::App;
use crate::install::ReturnUrl;
use crate::integrations;

/// Lifetime of an authorization and its cookie, in seconds: single sign-on and a second factor take minutes.
const LIFETIME: i64 = 1800;
/// Maximum body size in bytes.
const LARGEST_BODY: usize = 4096;

/// The body of `POST /v1/authorizations`.
struct AuthorizationRequest {
    target: AuthorizationTarget,
    /// HubSpot's page to continue on, if the installation began there.
    return_url: Option<ReturnUrl>,
}

/// The purpose of an authorization, as the admin requests it.
enum AuthorizationTarget {
    First,
    NewInstance,
    Reconnect(IntegrationId),
}

/// Starts an authorization: `POST /v1/authorizations`.
pub(crate) async fn start(app: &App, event: &Event) -> Result<Response, Error> {
    let admin = Member::admin_of(event, &app.config.claims)?;
    let request = parse(&event.body(LARGEST_BODY)?, &app.config.authorize_url)?;
    let (kind, integration_id) = decide(app, &admin.account_id, request.target).await?;
    let client_id = app.hubspot.client_id().await.map_err(not_ready)?;

    let state = crypto::secret()?;
    let browser = crypto::secret()?;
    let state_hash = crypto::sha256_hex(&state);
    let cookie = cookie(&state_hash, &browser);
    let (authorize_url, pkce_verifier) = match &request.return_url {
        // HubSpot makes the authorization request, so it has no challenge.
        Some(return_url) => (return_url.with_state(&state), None),
        None => {
            let pkce_verifier = crypto::secret()?;
            (authorize_url(app, &client_id, &state, &pkce_verifier), Some(pkce_verifier))
        }
    };
    let expires_at = app.clock.now() + LIFETIME;
    let authorization = Authorization {
        state_hash,
        account_id: admin.account_id,
        user_id: admin.user_id,
        integration_id,
        kind,
        browser_hash: crypto::sha256_hex(&browser),
        pkce_verifier,
        return_url: request.return_url.map(|url| url.as_str().to_owned()),
        expires_at,
        consumed_by: None,
        outcome: None,
    };
    app.authorizations.put(&authorization).await?;
    tracing::info!(account_id = %authorization.account_id, integration_id = %authorization.integration_id,
        acted_by = %logged_person(&authorization.user_id), "authorization started");

    let mut response = Response::json(201, &json!({"authorize_url": authorize_url.as_str(), "expires_at": expires_at}));
    response.cookies.push(cookie);
    Ok(response)
}

/// The beginning of every binding cookie's name.
pub(crate) const COOKIE_BEGINNING: &str = "__Host-hubspot-";

/// The name of the cookie that binds the browser; one per authorization, so that two tabs do not disturb each other.
pub(crate) fn cookie_name(state_hash: &str) -> String {
    format!("{COOKIE_BEGINNING}{}", &state_hash[..8])
}

/// The binding cookie. It lives as long as the authorization, since a repeated callback needs it too.
fn cookie(state_hash: &str, value: &str) -> String {
    let name = cookie_name(state_hash);
    format!("{name}={value}; Path=/; Max-Age={LIFETIME}; Secure; HttpOnly; SameSite=Lax")
}

fn parse(body: &str, authorize_url: &Url) -> Result<AuthorizationRequest, Error> {
    if body.trim().is_empty() {
        return Ok(AuthorizationRequest { target: AuthorizationTarget::First, return_url: None });
    }
    let mut fields = Fields::parse("body", body)?;
    let new_instance = fields.take_as::<bool>("new_instance", "true or false")?.unwrap_or(false);
    let integration_id = fields.take_string("integration_id")?;
    let return_url = fields.take_string("return_url")?;
    fields.finish()?;
    let target = match (new_instance, integration_id) {
        (false, None) => AuthorizationTarget::First,
        (true, None) => AuthorizationTarget::NewInstance,
        (false, Some(id)) => AuthorizationTarget::Reconnect(IntegrationId::try_from(id)?),
        (true, Some(_)) => {
            let detail = "body: either new_instance or integration_id is expected, not both";
            return Err(Error::InvalidRequest(detail.to_owned()));
        }
    };
    let return_url =
        return_url.map(|text| ReturnUrl::parse(&text, authorize_url).ok_or_else(not_hubspots)).transpose()?;
    Ok(AuthorizationRequest { target, return_url })
}

fn not_hubspots() -> Error {
    let detail = "body.return_url: the return_url that HubSpot sent is expected, an https address of app.hubspot.com";
    Error::InvalidRequest(detail.to_owned())
}

async fn decide(
    app: &App,
    account_id: &AccountId,
    target: AuthorizationTarget,
) -> Result<(AuthorizationKind, IntegrationId), Error> {
    let newest = app.store.newest(account_id).await?;
    match (target, newest) {
        (AuthorizationTarget::First | AuthorizationTarget::NewInstance, None) => {
            Ok((AuthorizationKind::Connect, IntegrationId::random()))
        }
        (AuthorizationTarget::NewInstance, Some(_)) => {
            let all = app.store.all(account_id).await?;
            if integrations::is_full(&all) {
                Err(too_many_integrations(&all))
            } else {
                Ok((AuthorizationKind::NewInstance, IntegrationId::random()))
            }
        }
        (AuthorizationTarget::First, Some(newest)) => Err(already_connected(&newest)),
        (AuthorizationTarget::Reconnect(_), None) => Err(Error::NotConnected),
        (AuthorizationTarget::Reconnect(id), Some(newest)) if newest.integration_id == id => {
            Ok((AuthorizationKind::Reconnect, id))
        }
        (AuthorizationTarget::Reconnect(id), Some(_)) => Err(app.store.why_not_newest(account_id, &id).await),
    }
}

fn already_connected(newest: &Integration) -> Error {
    let id = &newest.integration_id;
    Error::AlreadyConnected(format!(
        "The newest integration is {id}. Send {{\"integration_id\": \"{id}\"}} to renew its authorization: its automations \
         keep running. Send {{\"new_instance\": true}} to connect a new one: automations bound to {id} stop running."
    ))
}

/// Names the older ones: their automations do not run.
fn too_many_integrations(newest_first: &[Integration]) -> Error {
    let older = newest_first.iter().skip(1).filter(|integration| integration.pointer.is_some());
    let ids: Vec<&str> = older.map(|integration| integration.integration_id.as_str()).collect();
    Error::TooManyIntegrations(format!(
        "The account has {} connected integrations; it can have {MOST_CONNECTED} at most. Disconnect those that are \
         no longer needed by DELETE /v1/integrations/{{integration_id}}. These are not the newest, so their automations do \
         not run: {}.",
        integration::connected(newest_first),
        ids.join(", ")
    ))
}

fn not_ready(error: TokenError) -> Error {
    let retry_after = if error.kind == TokenErrorKind::InvalidClient { 60 } else { 5 };
    Error::unavailable(retry_after, error.cause)
}

/// HubSpot's consent page, with PKCE (RFC 7636) and blanks as `%20`.
fn authorize_url(app: &App, client_id: &str, state: &str, pkce_verifier: &str) -> Url {
    let mut url = app.config.authorize_url.clone();
    let mut query = url.query_pairs_mut();
    query
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", &app.config.redirect_uri())
        .append_pair("scope", &app.config.scopes.join(" "));
    if !app.config.optional_scopes.is_empty() {
        query.append_pair("optional_scope", &app.config.optional_scopes.join(" "));
    }
    query
        .append_pair("state", state)
        .append_pair("code_challenge", &crypto::pkce_challenge(pkce_verifier))
        .append_pair("code_challenge_method", "S256");
    drop(query);
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_and_unknown_bodies_are_refused() {
        let hubspot = Url::parse("https://app.hubspot.com/oauth/authorize").unwrap();
        let code = |body: &str| parse(body, &hubspot).map_or_else(|error| error.code(), |_| "ok");

        for body in [
            "",
            "{}",
            r#"{"new_instance":true}"#,
            r#"{"new_instance":false}"#,
            r#"{"integration_id":"i"}"#,
            r#"{"return_url":"https://app-eu1.hubspot.com/x"}"#,
            r#"{"return_url":"https://app.hubspot.com/x","new_instance":true}"#,
        ] {
            assert_eq!(code(body), "ok", "{body}");
        }
        for body in [
            "[]",
            r#"{"new_instance":true,"integration_id":"i"}"#,
            r#"{"new_instance":"true"}"#,
            r#"{"newInstance":true}"#,
            r#"{"integration_id":"a b"}"#,
            r#"{"integration_id":7}"#,
            r#"{"account_id":"other"}"#,
            r#"{"return_url":"https://evil.example/"}"#,
            r#"{"return_url":""}"#,
            r#"{"return_url":7}"#,
        ] {
            assert_eq!(code(body), "invalid_request", "{body}");
        }
    }
}
