//! HubSpot's grant at the end of an authorization: exchanged, completed, judged and stored.

use guard::scopes;
use shared::hubspot::Grant;
use shared::store::authorizations::Authorization;
use shared::token_error::{TokenError, TokenErrorKind};
use shared::tokens::Tokens;

use crate::app::App;
use crate::integrations::{self, NewTokens};
use crate::outcome::AuthorizationOutcome;
use crate::query::Consent;

/// An authorization that ends without a connection.
pub(crate) struct AuthorizationFailure {
    pub(crate) outcome: AuthorizationOutcome,
    /// For the log.
    pub(crate) cause: String,
}

impl AuthorizationFailure {
    fn new(outcome: AuthorizationOutcome, cause: &str) -> Self {
        Self { outcome, cause: cause.to_owned() }
    }
}

impl From<TokenError> for AuthorizationFailure {
    fn from(error: TokenError) -> Self {
        let outcome = if error.kind == TokenErrorKind::InvalidClient {
            AuthorizationOutcome::Misconfigured
        } else {
            AuthorizationOutcome::Failed
        };
        Self { outcome, cause: error.cause }
    }
}

/// Exchanges the code of a consumed authorization and stores what HubSpot granted.
pub(crate) async fn complete(
    app: &App,
    authorization: &Authorization,
    consent: &Consent,
) -> Result<AuthorizationOutcome, AuthorizationFailure> {
    let code = match consent {
        Consent::Granted { code } => code,
        Consent::Refused { reason } if reason == "access_denied" => {
            return Err(AuthorizationFailure::new(AuthorizationOutcome::Declined, "consent declined"));
        }
        Consent::Refused { .. } => {
            return Err(AuthorizationFailure::new(AuthorizationOutcome::Failed, "HubSpot sent an error"));
        }
    };
    let sent_at = app.clock.now();
    let verifier = authorization.pkce_verifier.as_deref();
    let grant = app.hubspot.exchange(code, &app.config.redirect_uri(), verifier).await?;
    let new = complete_grant(app, authorization, grant, sent_at).await?;
    let missing = scopes::not_granted(&app.config.scopes, &new.tokens.scopes);
    if !missing.is_empty() {
        let cause = format!("not granted: {}", missing.join(" "));
        return Err(AuthorizationFailure::new(AuthorizationOutcome::MissingScopes, &cause));
    }
    let stored = integrations::store(app, authorization, new).await.map_err(|error| {
        tracing::error!(account_id = %authorization.account_id, integration_id = %authorization.integration_id,
            cause = %error, "failed to store authorization");
        AuthorizationFailure::new(AuthorizationOutcome::Failed, "authorization not stored")
    })?;
    if matches!(stored, AuthorizationOutcome::Connected | AuthorizationOutcome::Reconnected) {
        return Ok(stored);
    }
    Err(AuthorizationFailure::new(stored, "the account's integrations do not allow it"))
}

/// Completes a token response that lacks portal or scopes by one introspection.
async fn complete_grant(
    app: &App,
    authorization: &Authorization,
    grant: Grant,
    sent_at: i64,
) -> Result<NewTokens, AuthorizationFailure> {
    let (mut hub_id, mut scopes) = (grant.hub_id, grant.scopes);
    if hub_id.is_none() || scopes.is_none() {
        let (portal, granted) = app.hubspot.introspect(&grant.access_token, grant.named_hub).await?;
        hub_id = hub_id.or(portal);
        scopes = scopes.or(granted);
    }
    let (Some(hub_id), Some(scopes), Some(refresh_token)) = (hub_id, scopes, grant.refresh_token) else {
        return Err(AuthorizationFailure::new(
            AuthorizationOutcome::Failed,
            "a grant without portal, scopes or refresh token",
        ));
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
    Ok(NewTokens { tokens, hub_id, named_hub: grant.named_hub })
}
