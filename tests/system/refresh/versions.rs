//! The tokens that count: rotation, versions that are not visible yet, foreign ones and gone ones.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::{Match, PORTAL, Rotation, TokenFields};
use devstack::wire::At;
use serde_json::json;
use shared::integration::Status;
use shared::token_error::TokenErrorKind;

use super::planted::{
    HOUR, SCOPES, access, another_has_refreshed, change_text, expired, need, plant, planted, pointer, refused, shown,
    store,
};
use crate::world::{ACCOUNT, World, request};

#[tokio::test]
async fn a_new_refresh_token_replaces_the_old_one_which_goes_on_if_none_is_named() {
    for rotation in [Rotation::Strict, Rotation::Unnamed] {
        let world = World::start().await;
        world.stack.hubspot.set_rotation(rotation);
        plant(&world, ACCOUNT, 1).await;

        for _ in 0..3 {
            world.pass(HOUR);
            let answer = world.execute(&request(ACCOUNT, None)).await;
            assert_eq!(answer.status, 200, "{rotation:?}: {}", answer.text);
        }

        let mut shown = shown(&world);
        assert_eq!((world.stack.hubspot.refresh_token_reuses(), shown.len()), (0, 3), "{rotation:?}");
        shown.dedup();
        assert_eq!(shown.len(), if rotation == Rotation::Strict { 3 } else { 1 }, "{shown:?}");
    }
}

#[tokio::test]
async fn an_answer_without_any_optional_field_is_good_and_keeps_what_was_known() {
    let (world, before) = planted().await;
    world.stack.hubspot.set_token_fields(TokenFields::Required);
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.scopes, after.hub_id), (before.scopes, before.hub_id));
}

#[tokio::test]
async fn scopes_that_hubspot_has_changed_are_noted() {
    let (world, _) = planted().await;
    let scopes = ["crm.objects.contacts.read", "crm.objects.deals.read"];
    world.stack.hubspot.set_granted_scopes(PORTAL, &scopes);
    world.pass(HOUR);

    world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().scopes, scopes);
}

#[tokio::test]
async fn a_refresh_token_that_another_has_spent_meanwhile_marks_nobody() {
    let (world, record) = expired().await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);
    let body = request(ACCOUNT, None);

    let (answer, newer) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        world.stack.hubspot.revoke_refresh_tokens(PORTAL);
        let newer = another_has_refreshed(&world, &record).await;
        gate.open();
        newer
    });

    assert_eq!(answer.status, 200, "{}", answer.text);
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.status, after.pointer), (Status::Active, Some(newer)));
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn an_uncommitted_version_may_hold_the_working_refresh_token() {
    let (world, record) = planted().await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    let good = world.stack.hubspot.authorize(PORTAL, SCOPES);
    let stray = world.stack.tokens_of(&record, &good.access_token, &good.refresh_token, &["some-other-version"]);
    let stray_version = uuid::Uuid::now_v7().to_string();
    store(&world).put_secret(&pointer(&record).secret_id, &stray_version, &stray).await.unwrap();
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let newest = world.stack.secrets_manager.secret(&pointer(&record).secret_id).unwrap();
    let replaces = newest.current().unwrap().value.json()["replaces"].clone();
    assert_eq!(replaces, json!([pointer(&record).secret_version, stray_version]));
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn a_refresh_token_that_is_known_to_be_spent_is_never_shown_again() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.code(), "temporarily_unavailable", "{}", answer.text);
    assert_eq!((world.stack.hubspot.refresh_token_reuses(), shown(&world).len()), (0, 2));
}

#[tokio::test]
async fn an_invisible_version_is_awaited_and_the_old_one_never_served() {
    let (world, _) = expired().await;
    world.stack.secrets_manager.set_lag(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    let record = world.record(ACCOUNT, 1).await.unwrap();
    let elsewhere = access(&world);

    let hidden = elsewhere.usable(record.clone(), &need(&world)).await;
    world.stack.secrets_manager.settle();
    let visible = elsewhere.usable(record.clone(), &need(&world)).await;

    assert!(hidden.as_ref().is_err_and(|error| error.kind == TokenErrorKind::Transient), "{hidden:?}");
    assert_eq!(visible.unwrap().version.pointer, pointer(&record));
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn a_spent_refresh_token_that_a_lag_still_shows_is_not_used() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.secrets_manager.set_lag(2 * HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.pass(HOUR);
    let record = world.record(ACCOUNT, 1).await.unwrap();

    let hidden = access(&world).usable(record, &need(&world)).await;

    assert!(hidden.as_ref().is_err_and(|error| error.kind == TokenErrorKind::Transient), "{hidden:?}");
    assert_eq!((world.stack.hubspot.refresh_token_reuses(), shown(&world).len()), (0, 1));
}

#[tokio::test]
async fn a_lost_version_is_replaced_only_a_day_after_its_expiry() {
    let (world, record) = planted().await;
    let gone = AttributeValue::S("gone".to_owned());
    change_text(&world, &record, "secret_version", gone).await;
    world.pass(Duration::from_secs(1800 + 86_400 - 60));

    let early = world.execute(&request(ACCOUNT, None)).await;
    world.pass(Duration::from_secs(120));
    let late = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(early.code(), "temporarily_unavailable", "{}", early.text);
    assert_eq!(late.status, 200, "{}", late.text);
}
