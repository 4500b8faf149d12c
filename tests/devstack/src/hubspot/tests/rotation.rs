//! Refreshing, and what ends a grant.

use super::*;

async fn works(hubspot: &HubSpot, http: &Client, token: &str) -> u16 {
    call(hubspot, http, "GET", "/crm/v3/objects/contacts", token, None).await.0
}

#[tokio::test]
async fn a_kept_refresh_token_comes_back_and_an_unnamed_one_goes_on() {
    let (hubspot, http) = start().await;
    let issued = hubspot.authorize(PORTAL, &[READ]);

    let (status, tokens) = refresh(&hubspot, &http, &issued.refresh_token).await;
    assert_eq!((status, text(&tokens, "refresh_token")), (200, issued.refresh_token.as_str()));
    assert_ne!(text(&tokens, "access_token"), issued.access_token);
    assert_eq!(works(&hubspot, &http, text(&tokens, "access_token")).await, 200);

    hubspot.set_rotation(Rotation::Unnamed);
    let (status, tokens) = refresh(&hubspot, &http, &issued.refresh_token).await;
    assert_eq!((status, tokens.get("refresh_token")), (200, None));
    assert_eq!(refresh(&hubspot, &http, &issued.refresh_token).await.0, 200);
}

#[tokio::test]
async fn with_grace_an_old_refresh_token_works_for_a_while_beside_the_new_one() {
    let (hubspot, http) = start().await;
    hubspot.set_rotation(Rotation::Grace(30_000));
    let old = hubspot.authorize(PORTAL, &[READ]).refresh_token;

    let new = text(&refresh(&hubspot, &http, &old).await.1, "refresh_token").to_owned();
    assert_ne!(new, old);
    let newer = text(&refresh(&hubspot, &http, &old).await.1, "refresh_token").to_owned();
    assert_ne!(newer, new);

    hubspot.advance(Duration::from_secs(31));
    assert_eq!(text(&refresh(&hubspot, &http, &old).await.1, "status"), "BAD_REFRESH_TOKEN");
    assert_eq!(refresh(&hubspot, &http, &new).await.0, 200);
    assert_eq!(refresh(&hubspot, &http, &newer).await.0, 200);
}

#[tokio::test]
async fn under_strict_rotation_the_reuse_of_a_spent_refresh_token_ends_the_grant() {
    let (hubspot, http) = start().await;
    hubspot.set_rotation(Rotation::Strict);
    let old = hubspot.authorize(PORTAL, &[READ]).refresh_token;
    let (_, tokens) = refresh(&hubspot, &http, &old).await;
    let access = text(&tokens, "access_token");
    assert_eq!(works(&hubspot, &http, access).await, 200);

    let (status, body) = refresh(&hubspot, &http, &old).await;

    assert_eq!((status, text(&body, "error"), text(&body, "status")), (400, "invalid_grant", "BAD_REFRESH_TOKEN"));
    assert_eq!(hubspot.refresh_token_reuses(), 1);
    assert_eq!(works(&hubspot, &http, access).await, 401);
    assert_eq!(refresh(&hubspot, &http, text(&tokens, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn integrations_of_a_portal_share_a_refresh_token_only_if_configured() {
    let (hubspot, _) = start().await;
    let tokens = |hub_id| hubspot.authorize(hub_id, &[READ]).refresh_token;

    assert_ne!(tokens(PORTAL), tokens(PORTAL));
    hubspot.set_sharing(Sharing::Portal);
    assert_eq!(tokens(PORTAL), tokens(PORTAL));
    assert_ne!(tokens(PORTAL), tokens(PORTAL + 1));
    let shared = tokens(PORTAL + 1);
    hubspot.uninstall(PORTAL + 1);
    assert_ne!(tokens(PORTAL + 1), shared);
}

#[tokio::test]
async fn an_access_token_expires_by_the_doubles_clock_or_at_once() {
    let (hubspot, http) = start().await;
    let first = hubspot.authorize(PORTAL, &[READ]).access_token;
    hubspot.set_expires_in(60);
    let short = hubspot.authorize(PORTAL, &[READ]).access_token;

    hubspot.advance(Duration::from_secs(61));
    let (status, body) = call(&hubspot, &http, "GET", "/crm/v3/objects/contacts", &short, None).await;
    assert_eq!((status, text(&body, "category")), (401, "EXPIRED_AUTHENTICATION"));
    assert_eq!(works(&hubspot, &http, &first).await, 200);

    hubspot.expire_access_tokens();
    let (_, body) = call(&hubspot, &http, "GET", "/crm/v3/objects/contacts", &first, None).await;
    assert_eq!(text(&body, "category"), "EXPIRED_AUTHENTICATION");
}

#[tokio::test]
async fn revoking_kills_the_refresh_token_and_not_the_access_tokens() {
    let (hubspot, http) = start().await;
    let one = hubspot.authorize(PORTAL, &[READ]);
    let two = hubspot.authorize(PORTAL, &[READ]);

    let revoked = [("token", one.refresh_token.as_str())];
    assert_eq!(post(&hubspot, &http, "/oauth/2026-03/token/revoke", &revoked).await.0, 204);

    assert_eq!(refresh(&hubspot, &http, &one.refresh_token).await.0, 400);
    assert_eq!(works(&hubspot, &http, &one.access_token).await, 200);
    assert_eq!(refresh(&hubspot, &http, &two.refresh_token).await.0, 200);
    hubspot.revoke_refresh_tokens(PORTAL);
    assert_eq!(refresh(&hubspot, &http, &two.refresh_token).await.0, 400);
    assert_eq!(works(&hubspot, &http, &two.access_token).await, 200);
}

#[tokio::test]
async fn an_uninstalled_app_and_a_closed_portal_are_distinguished() {
    let (hubspot, http) = start().await;
    let one = hubspot.authorize(PORTAL, &[READ]);
    let two = hubspot.authorize(PORTAL + 1, &[READ]);

    hubspot.uninstall(PORTAL);
    let (_, body) = refresh(&hubspot, &http, &one.refresh_token).await;
    assert_eq!((text(&body, "error"), text(&body, "status")), ("invalid_grant", "BAD_REFRESH_TOKEN"));
    let (status, body) = call(&hubspot, &http, "GET", "/crm/v3/objects/contacts", &one.access_token, None).await;
    assert_eq!((status, text(&body, "category")), (401, "INVALID_AUTHENTICATION"));

    hubspot.remove_portal(PORTAL + 1);
    let (_, body) = refresh(&hubspot, &http, &two.refresh_token).await;
    assert_eq!((text(&body, "error"), text(&body, "status")), ("access_denied", "BAD_HUB"));
    assert_eq!(works(&hubspot, &http, &two.access_token).await, 401);
}
