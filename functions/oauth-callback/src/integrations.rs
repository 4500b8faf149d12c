//! The account's integrations: stored after an authorization, listed, disconnected.

use std::borrow::Cow;

use guard::hubs::Hub;
use serde::Serialize;
use shared::caller::{Member, logged_person};
use shared::error::Error;
use shared::gateway::{Event, Response};
use shared::integration::{
    self, AccountId, Integration, IntegrationId, Key, MOST_CONNECTED, Pointer, Status, TokenState,
};
use shared::refresh_policy;
use shared::store::WriteResult;
use shared::store::authorizations::{Authorization, AuthorizationKind};
use shared::tokens::Tokens;

use crate::app::App;
use crate::outcome::AuthorizationOutcome;

/// Other writers of the same account that one connect gives way to before it gives up.
const TRIES: u32 = 20;

/// Tokens of a new authorization.
pub(crate) struct NewTokens {
    pub(crate) tokens: Tokens,
    pub(crate) hub_id: u64,
    /// The regional hub that HubSpot named for the portal.
    pub(crate) named_hub: Option<Hub>,
}

/// Stores an authorization: the secret first, then the one conditional write that makes it count. A crash between
/// them leaves a secret that no record names.
pub(crate) async fn store(
    app: &App,
    authorization: &Authorization,
    new: NewTokens,
) -> Result<AuthorizationOutcome, Error> {
    if authorization.kind == AuthorizationKind::Reconnect {
        // Refused before a secret is created in vain; the write itself is conditional.
        let newest = app.store.newest(&authorization.account_id).await?;
        if let Some(outcome) = newest_to_reconnect(newest.as_ref(), authorization, new.hub_id).err() {
            return Ok(outcome);
        }
    }
    let pointer = app.store.create_secret(&new.tokens).await?;
    let stored = match authorization.kind {
        AuthorizationKind::Connect | AuthorizationKind::NewInstance => {
            connect(app, authorization, &new, &pointer).await?
        }
        AuthorizationKind::Reconnect => reconnect(app, authorization, &new, &pointer).await?,
    };
    if !matches!(stored, AuthorizationOutcome::Connected | AuthorizationOutcome::Reconnected) {
        drop_secret(app, &authorization.account_id, &authorization.integration_id, &pointer).await;
    }
    Ok(stored)
}

/// Puts the record at the next sequence. The loser of the race for it takes the one after, and a plain connect gives
/// way.
///
/// An error leaves the secret where it is: the put may have taken place.
async fn connect(
    app: &App,
    authorization: &Authorization,
    new: &NewTokens,
    pointer: &Pointer,
) -> Result<AuthorizationOutcome, Error> {
    for _ in 0..TRIES {
        let all = app.store.all(&authorization.account_id).await?;
        let newest = all.first();
        if newest.is_some_and(|newest| newest.integration_id == authorization.integration_id) {
            return Ok(AuthorizationOutcome::Connected);
        }
        if newest.is_some() && authorization.kind == AuthorizationKind::Connect {
            return Ok(AuthorizationOutcome::AlreadyConnected);
        }
        // The put below is conditional on the next sequence, so no other connect can come between count and put.
        if is_full(&all) {
            return Ok(AuthorizationOutcome::TooManyIntegrations);
        }
        let sequence = newest.map_or(0, |newest| newest.sequence).max(0).saturating_add(1);
        let record = record(app, authorization, new, pointer, sequence);
        if app.store.insert(&record).await? == WriteResult::Applied {
            return Ok(AuthorizationOutcome::Connected);
        }
    }
    Err(Error::unavailable(1, "too many integrations of this account are connected at once"))
}

/// Returns true if the account has tokens of as many integrations as it may.
pub(crate) fn is_full(all: &[Integration]) -> bool {
    integration::connected(all) >= MOST_CONNECTED
}

fn record(app: &App, authorization: &Authorization, new: &NewTokens, pointer: &Pointer, sequence: i64) -> Integration {
    let key = Key { account_id: authorization.account_id.clone(), sequence };
    let connected = Integration::new(key, authorization.integration_id.clone(), app.clock.now(), settled(new, pointer));
    Integration { connected_by: Some(authorization.user_id.clone()), ..connected }
}

fn settled(new: &NewTokens, pointer: &Pointer) -> TokenState {
    let tokens = &new.tokens;
    TokenState {
        pointer: pointer.clone(),
        token_expires_at: tokens.expires_at,
        scopes: tokens.scopes.clone(),
        hub_id: Some(new.hub_id),
        named_hub: new.named_hub,
        refresh_at: refresh_policy::next_refresh_at(tokens.expires_at, tokens.lifetime()),
        unverified_since: None,
    }
}

/// The record that an authorization may reconnect: the newest, still there, of the same portal.
fn newest_to_reconnect<'a>(
    newest: Option<&'a Integration>,
    authorization: &Authorization,
    hub_id: u64,
) -> Result<&'a Integration, AuthorizationOutcome> {
    let newest = newest
        .filter(|newest| newest.integration_id == authorization.integration_id)
        .ok_or(AuthorizationOutcome::Failed)?;
    if newest.hub_id.is_some_and(|known| known != hub_id) {
        return Err(AuthorizationOutcome::DifferentPortal);
    }
    Ok(newest)
}

/// Gives the newest the new secret, then deletes exactly the one that it had. It wins over any refresh of the old
/// authorization, which can from then on only write where nobody reads.
async fn reconnect(
    app: &App,
    authorization: &Authorization,
    new: &NewTokens,
    pointer: &Pointer,
) -> Result<AuthorizationOutcome, Error> {
    for _ in 0..TRIES {
        let newest = app.store.newest(&authorization.account_id).await?;
        let newest = match newest_to_reconnect(newest.as_ref(), authorization, new.hub_id) {
            Ok(newest) => newest,
            Err(outcome) => return Ok(outcome),
        };
        if app.store.reconnect(newest, &settled(new, pointer), &authorization.user_id).await? == WriteResult::Applied {
            if let Some(old) = newest.pointer.as_ref().filter(|old| old.secret_id != pointer.secret_id) {
                drop_secret(app, &newest.account_id, &newest.integration_id, old).await;
            }
            return Ok(AuthorizationOutcome::Reconnected);
        }
    }
    Err(Error::unavailable(1, "the integration is reconnected too often at once"))
}

/// Deletes a secret of an integration that its record does not reference any more.
async fn drop_secret(app: &App, account_id: &AccountId, integration_id: &IntegrationId, pointer: &Pointer) {
    let secret_id = &pointer.secret_id;
    if let Err(error) = app.store.delete_own_secret(account_id, integration_id, secret_id).await {
        log_left(account_id, integration_id, secret_id, &error);
    }
}

/// Logs why a secret is still there.
fn log_left(account_id: &AccountId, integration_id: &IntegrationId, secret_id: &str, cause: &Error) {
    if matches!(cause, Error::Internal(_)) {
        // The cause names the secret: what a corrupt record holds need not be a name that fits the field.
        tracing::error!(%account_id, %integration_id, %cause, "integration record and secret are inconsistent");
    } else {
        tracing::warn!(%account_id, %integration_id, secret_id, %cause, "failed to delete orphaned secret");
    }
}

/// An integration as members of the account see it.
#[derive(Serialize)]
struct IntegrationView<'a> {
    integration_id: &'a IntegrationId,
    sequence: i64,
    created_at: i64,
    connected_by: Option<Cow<'a, str>>,
    hub_id: Option<u64>,
    scopes: &'a [String],
    status: Status,
    status_reason: Option<&'a str>,
    status_since: Option<i64>,
    refresh_at: Option<i64>,
    runs_automations: bool,
}

/// Lists the account's integrations, newest first: `GET /v1/integrations`.
pub(crate) async fn list(app: &App, event: &Event) -> Result<Response, Error> {
    let member = Member::of(event, &app.config.claims)?;
    let all = app.store.all(&member.account_id).await?;
    let views: Vec<IntegrationView<'_>> = all
        .iter()
        .enumerate()
        .map(|(at, integration)| IntegrationView {
            integration_id: &integration.integration_id,
            sequence: integration.sequence,
            created_at: integration.created_at,
            connected_by: integration.connected_by.as_deref().map(logged_person),
            hub_id: integration.hub_id,
            scopes: &integration.scopes,
            status: integration.status,
            status_reason: integration.status_reason.as_deref(),
            status_since: integration.status_since,
            refresh_at: integration.refresh_at,
            runs_automations: at == 0,
        })
        .collect();
    Ok(Response::json(200, &serde_json::json!({"integrations": views})))
}

/// Disconnects an integration: `DELETE /v1/integrations/{integration_id}`.
pub(crate) async fn disconnect(app: &App, event: &Event, id: &str) -> Result<Response, Error> {
    let admin = Member::admin_of(event, &app.config.claims)?;
    let id = IntegrationId::try_from(id.to_owned())?;
    let all = app.store.all(&admin.account_id).await?;
    let record = all.iter().find(|integration| integration.integration_id == id).ok_or(Error::IntegrationNotFound)?;
    let left = app.store.disconnect(record, &admin.user_id, app.clock.now()).await?;
    if let Some((secret_id, cause)) = &left.secret {
        log_left(&admin.account_id, &id, secret_id, cause);
    }
    if let Some(cause) = &left.previous {
        tracing::warn!(account_id = %admin.account_id, %cause, "failed to schedule previous integration; it will refresh on use");
    }
    tracing::info!(account_id = %admin.account_id, integration_id = %id, acted_by = %logged_person(&admin.user_id),
        outcome = "disconnected", "integration disconnected");
    Ok(Response::empty(204))
}
