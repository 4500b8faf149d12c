//! The token endpoints of the dated API.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::grants::{Issued, Rotation, TokenFields, TokenStatus, identifier};
use super::journal::RecordedRequest;
use super::problem::oauth;
use super::state::App;
use crate::wire::Answer;

/// The app's number.
const APP_ID: u64 = 4_711_001;

/// A form whose client is ours.
struct Form(Vec<(String, String)>);

/// `POST /oauth/{version}/token`.
pub(super) fn token(app: &mut App, request: &RecordedRequest) -> Answer {
    let outcome = Form::read(app, request).and_then(|form| match form.required("grant_type")? {
        "authorization_code" => exchange(app, &form),
        "refresh_token" => refresh(app, &form),
        _ => Err(oauth("unsupported_grant_type", "BAD_GRANT_TYPE", "grant_type is not supported")),
    });
    outcome.unwrap_or_else(|refusal| refusal).header("cache-control", "no-store")
}

/// `POST /oauth/{version}/token/introspect`.
pub(super) fn introspect(app: &App, request: &RecordedRequest) -> Answer {
    let body = Form::read(app, request).and_then(|form| {
        let token = form.required("token")?;
        let known = app.token_fields != TokenFields::RequiredWithoutIntrospection;
        let described = if known { describe(app, token) } else { None };
        Ok(described.unwrap_or_else(|| json!({ "active": false })))
    });
    body.map_or_else(|refusal| refusal, |body| Answer::json(200, &body)).header("cache-control", "no-store")
}

/// `POST /oauth/{version}/token/revoke`. A token that is not known is a success, as RFC 7009 has it.
pub(super) fn revoke(app: &mut App, request: &RecordedRequest) -> Answer {
    let form = match Form::read(app, request) {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let token = match form.required("token") {
        Ok(token) => token,
        Err(refusal) => return refusal,
    };
    // The access tokens already issued live on.
    app.grants.set(token, TokenStatus::Revoked);
    if let Some(access) = app.grants.access.get_mut(token) {
        access.revoked = true;
    }
    Answer::new(204)
}

impl Form {
    /// The form, if everything is in the body, once, and the client is known.
    fn read(app: &App, request: &RecordedRequest) -> Result<Self, Answer> {
        let bad = |words: &str| Err(oauth("invalid_request", "BAD_REQUEST", words));
        let kind = request.header("content-type").unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(super::problem::problem(
                415,
                "VALIDATION_ERROR",
                "Content-Type must be application/x-www-form-urlencoded",
            ));
        }
        if !request.query().is_empty() || request.header("authorization").is_some() {
            return bad("parameters and credentials belong into the body");
        }
        let form = Self(request.form());
        if form.0.iter().any(|(name, _)| form.0.iter().filter(|(other, _)| other == name).count() > 1) {
            return bad("a parameter is given twice");
        }
        if form.required("client_id")? != app.client_id {
            return Err(oauth("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id"));
        }
        let secret = form.required("client_secret")?;
        if secret != app.client_secret && !app.further_client_secrets.iter().any(|further| further == secret) {
            return Err(oauth("invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret"));
        }
        Ok(form)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &str) -> Result<&str, Answer> {
        let value = self.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| oauth("invalid_request", "BAD_REQUEST", &format!("missing parameter {name}")))
    }
}

fn exchange(app: &mut App, form: &Form) -> Result<Answer, Answer> {
    let now = app.now();
    let bad_code = || oauth("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code");
    let (given, redirect_uri) = (form.required("code")?, form.required("redirect_uri")?);
    let code =
        app.grants.codes.get_mut(given).filter(|code| !code.used && now < code.expires_at).ok_or_else(bad_code)?;
    if code.redirect_uri != redirect_uri {
        let words = "redirect_uri does not match the one that the code was issued for";
        return Err(oauth("invalid_grant", "MISMATCH_REDIRECT_URI_AUTH_CODE", words));
    }
    let verifier = form.get("code_verifier");
    let verified = match &code.challenge {
        _ if app.ignores_pkce => true,
        Some(challenge) => verifier.is_some_and(|verifier| s256(verifier) == *challenge),
        None => verifier.is_none(),
    };
    if !verified {
        return Err(oauth("invalid_grant", "BAD_CODE_VERIFIER", "code_verifier does not fit the code_challenge"));
    }
    code.used = true;
    let (hub_id, scopes) = (code.hub_id, code.scopes.clone());
    portal_is_there(app, hub_id)?;
    let issued = app.authorize(hub_id, scopes);
    Ok(answer(app, &issued, true))
}

fn refresh(app: &mut App, form: &Form) -> Result<Answer, Answer> {
    let shown = form.required("refresh_token")?;
    if let Some(token) = app.grants.refresh.get(shown) {
        let grant = &app.grants.grants[token.grant];
        portal_is_there(app, grant.hub_id)?;
    }
    let now = app.now();
    let next = app.grants.spend(shown, app.rotation, now).and_then(|refresh_token| app.issue(refresh_token));
    let issued = next.ok_or_else(|| oauth("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token"))?;
    Ok(answer(app, &issued, app.rotation != Rotation::Unnamed))
}

fn portal_is_there(app: &App, hub_id: u64) -> Result<(), Answer> {
    let there = app.portals.get(&hub_id).is_some_and(|portal| portal.exists);
    there.then_some(()).ok_or_else(|| oauth("access_denied", "BAD_HUB", "the hub does not exist or is not active"))
}

/// The answer's fields; the optional ones only where the emulator gives all.
fn answer(app: &App, issued: &Issued, names_refresh_token: bool) -> Answer {
    let mut body = json!({ "access_token": issued.access_token, "expires_in": issued.expires_in });
    if names_refresh_token {
        body["refresh_token"] = json!(issued.refresh_token);
    }
    if app.token_fields == TokenFields::All {
        body["token_type"] = json!("bearer");
        body["hub_id"] = json!(issued.hub_id);
        body["user_id"] = json!(issued.user_id);
        body["scopes"] = json!(issued.scopes);
        body["token_use"] = json!("access_token");
    }
    Answer::json(200, &body)
}

fn describe(app: &App, token: &str) -> Option<Value> {
    let (use_, grant, scopes, expires_in) = if let Some(access) = app.grants.access.get(token) {
        let left = (access.expires_at - app.now()).div_euclid(1000);
        (!access.revoked && left > 0).then_some(("access_token", access.grant, &access.scopes, Some(left)))?
    } else {
        let refresh = app.grants.refresh.get(token).filter(|refresh| refresh.state != TokenStatus::Revoked)?;
        let spent = refresh.state != TokenStatus::Live && !matches!(app.rotation, Rotation::Grace(_));
        (!spent).then_some(("refresh_token", refresh.grant, &app.grants.grants[refresh.grant].scopes, None))?
    };
    let grant = app.grants.grants.get(grant).filter(|grant| !grant.revoked)?;
    let portal = app.portals.get(&grant.hub_id)?;
    let mut body = json!({ "active": true, "token_use": use_, "token_type": "bearer", "client_id": app.client_id,
        "app_id": APP_ID, "token": token, "hub_id": grant.hub_id, "hub_domain": portal.domain,
        "user_id": portal.user_id, "user": portal.user, "scopes": scopes });
    if let Some(left) = expires_in {
        body["expires_in"] = json!(left);
        body["is_private_distribution"] = json!(false);
        let expires_at = app.now() + left * 1000;
        body["signed_access_token"] = json!({ "appId": APP_ID, "appInstallId": "1", "audience": "", "expiresAt": expires_at,
            "hubId": grant.hub_id, "hublet": "na1", "installingUserId": portal.user_id, "isPrivateDistribution": false,
            "isServiceAccount": false, "isUserLevel": false, "newSignature": identifier(), "scopes": "",
            "scopeToScopeGroupPks": "", "signature": identifier(), "trialScopes": "", "trialScopeToScopeGroupPks": "",
            "userId": portal.user_id });
    }
    Some(body)
}

fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}
