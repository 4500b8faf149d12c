//! Refreshing, and what ends a grant.

use super::*;

#[tokio::test]
async fn a_kept_refresh_token_comes_back_and_an_unnamed_one_goes_on() {
    let world = World::start().await;
    let token = &world.issued.refresh_token;

    let (status, tokens) = world.refresh(token).await;
    assert_eq!((status, text(&tokens, "refresh_token")), (200, token.as_str()));
    assert_ne!(text(&tokens, "access_token"), world.issued.access_token);

    world.hubspot.set_rotation(Rotation::Unnamed);
    for _ in 0..2 {
        let (status, tokens) = world.refresh(token).await;
        assert_eq!((status, tokens.get("refresh_token")), (200, None));
    }
}

#[tokio::test]
async fn with_grace_an_old_refresh_token_works_for_a_while_beside_the_new_one() {
    let world = World::start().await;
    world.hubspot.set_rotation(Rotation::Grace(30_000));
    let old = &world.issued.refresh_token;

    let new = text(&world.refresh(old).await.1, "refresh_token").to_owned();
    let newer = text(&world.refresh(old).await.1, "refresh_token").to_owned();
    assert!(new != *old && newer != new);

    world.hubspot.advance(Duration::from_secs(31));
    assert_eq!(text(&world.refresh(old).await.1, "status"), "BAD_REFRESH_TOKEN");
    assert_eq!((world.refresh(&new).await.0, world.refresh(&newer).await.0), (200, 200));
}

#[tokio::test]
async fn under_strict_rotation_the_reuse_of_a_spent_refresh_token_ends_the_grant() {
    let world = World::start().await;
    world.hubspot.set_rotation(Rotation::Strict);
    let old = &world.issued.refresh_token;
    let (_, tokens) = world.refresh(old).await;
    let access = text(&tokens, "access_token");
    assert_eq!(world.works(access).await, 200);

    let (status, body) = world.refresh(old).await;

    assert_eq!((status, text(&body, "error"), text(&body, "status")), (400, "invalid_grant", "BAD_REFRESH_TOKEN"));
    assert_eq!((world.hubspot.refresh_token_reuses(), world.works(access).await), (1, 401));
    assert_eq!(world.refresh(text(&tokens, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn integrations_of_a_portal_share_a_refresh_token_only_if_configured() {
    let World { hubspot, .. } = World::start().await;
    let tokens = |hub_id| hubspot.authorize(hub_id, &[READ]).refresh_token;

    assert_ne!(tokens(PORTAL), tokens(PORTAL));
    hubspot.set_sharing(Sharing::Portal);
    let shared = tokens(PORTAL);
    assert_eq!(tokens(PORTAL), shared);
    assert_ne!(tokens(PORTAL + 1), shared);
    hubspot.uninstall(PORTAL);
    assert_ne!(tokens(PORTAL), shared);
}

#[tokio::test]
async fn an_access_token_expires_by_the_emulators_clock_or_at_once() {
    let world = World::start().await;
    world.hubspot.set_expires_in(60);
    let short = world.hubspot.authorize(PORTAL, &[READ]).access_token;

    world.hubspot.advance(Duration::from_secs(61));
    assert_eq!((world.works(&short).await, world.works(&world.issued.access_token).await), (401, 200));

    world.hubspot.expire_access_tokens();
    assert_eq!(text(&world.call("GET", CONTACTS, None).await.body, "category"), "EXPIRED_AUTHENTICATION");
}

#[tokio::test]
async fn the_end_of_the_app_or_its_portal_ends_access_tokens_too() {
    type End = fn(&HubSpot);
    let ends: [(End, &str, u16); 3] = [
        (|hubspot| hubspot.revoke_refresh_tokens(PORTAL), "BAD_REFRESH_TOKEN", 200),
        (|hubspot| hubspot.uninstall(PORTAL), "BAD_REFRESH_TOKEN", 401),
        (|hubspot| hubspot.remove_portal(PORTAL), "BAD_HUB", 401),
    ];
    for (end, refused, works) in ends {
        let world = World::start().await;
        end(&world.hubspot);
        assert_eq!(text(&world.refresh(&world.issued.refresh_token).await.1, "status"), refused);
        assert_eq!(world.works(&world.issued.access_token).await, works, "{refused}");
    }

    let world = World::start().await;
    let other = world.hubspot.authorize(PORTAL, &[READ]).refresh_token;
    let revoked = [("token", world.issued.refresh_token.as_str())];
    assert_eq!(world.post("/oauth/2026-03/token/revoke", &revoked).await.0, 204);
    assert_eq!(world.refresh(&world.issued.refresh_token).await.0, 400);
    assert_eq!((world.works(&world.issued.access_token).await, world.refresh(&other).await.0), (200, 200));
}
