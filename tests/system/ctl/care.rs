//! `status`, `integrations`, `refresh`, `disconnect`: the health of an account, and what to do.

use devstack::aws::AwsFault;
use devstack::hubspot::{Match, PORTAL};
use serde_json::{Value, json};
use shared::integration::Status;

use super::run;
use crate::refresh::planted::{
    another_has_refreshed, change, change_text, expire, hold_lease, plant, planted, point_at, pointer, refused, store,
};
use crate::world::{ACCOUNT, World, request};

fn text(value: &str) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned())
}

/// The health that `status` shows of an account.
async fn health(world: &World, account: &str) -> (i32, String) {
    let ended = run(&world.stack, &["status", account, "--json"]).await;
    assert_eq!((ended.lines.len(), ended.errors.as_str()), (1, ""), "{ended:?}");
    (ended.code, ended.lines[0]["health"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn one_line_shows_the_health_of_an_account() {
    let world = World::start().await;
    let mut records = Vec::new();
    for account in ["sound", "idle", "marked", "limited", "failing", "died", "late", "lost", "strange"] {
        records.push(plant(&world, account, 1).await);
    }
    let now = world.clock.now();
    expire(&world, &records[1]).await;
    change_text(&world, &records[2], "status", text("needs_reauthorization")).await;
    change(&world, &records[3], &[("cooldown_until", Some(now + 500))]).await;
    change(&world, &records[4], &[("refresh_not_before", Some(now + 200)), ("failures", Some(4))]).await;
    hold_lease(&world, &records[5]).await;
    change(&world, &records[5], &[("lease_until", Some(now - 60))]).await;
    change(&world, &records[6], &[("refresh_at", Some(now - 4000))]).await;
    change_text(&world, &records[7], "secret_version", text("00000000-0000-0000-0000-000000000000")).await;
    let other = pointer(&records[0]);
    change_text(&world, &records[8], "secret_id", text(&other.secret_id)).await;
    change_text(&world, &records[8], "secret_version", text(&other.secret_version)).await;

    for (account, code, expected) in [
        ("sound", 0, "healthy"),
        ("idle", 0, "healthy"),
        ("marked", 1, "needs_reauthorization"),
        ("limited", 1, "rate_limited"),
        ("failing", 1, "refreshes_fail"),
        ("died", 1, "refresh_interrupted"),
        ("late", 1, "overdue"),
        ("lost", 1, "corrupt"),
        ("strange", 1, "corrupt"),
        ("nobody", 1, "not_connected"),
    ] {
        assert_eq!(health(&world, account).await, (code, expected.to_owned()), "{account}");
    }
}

#[tokio::test]
async fn the_line_for_people_names_account_health_and_integration() {
    let (world, record) = planted().await;
    plant(&world, ACCOUNT, 2).await;
    change_text(&world, &record, "status", text("needs_reauthorization")).await;

    let ended = run(&world.stack, &["status", ACCOUNT]).await;

    let newest = format!(" [integration-2, portal {PORTAL}, 1 older]\n");
    assert!(ended.text.starts_with("acc_1: healthy: the tokens are valid for "), "{ended:?}");
    assert!(ended.text.contains(", next refresh: in 22 min"), "{ended:?}");
    assert!(ended.text.ends_with(&newest) && ended.text.lines().count() == 1, "{ended:?}");
}

#[tokio::test]
async fn status_without_an_account_shows_accounts_with_issues() {
    let world = World::start().await;
    for number in 0..30 {
        plant(&world, &format!("acc_{number}"), 1).await;
        plant(&world, &format!("acc_{number}"), 2).await;
    }
    let (newest, older) = (world.record("acc_7", 2).await.unwrap(), world.record("acc_8", 1).await.unwrap());
    change_text(&world, &newest, "status", text("needs_reauthorization")).await;
    // Nobody has to act on an older one.
    change_text(&world, &older, "status", text("needs_reauthorization")).await;
    let unreadable = plant(&world, "acc_9", 3).await;
    change_text(&world, &unreadable, "status", text("odd")).await;

    let some = run(&world.stack, &["status", "--json"]).await;
    let all = run(&world.stack, &["status", "--all", "--json"]).await;

    let accounts: Vec<&str> = some.lines.iter().filter_map(|line| line["account_id"].as_str()).collect();
    assert_eq!((some.code, some.lines.len(), all.lines.len()), (1, 3, 32), "{some:?}");
    assert!(accounts == ["acc_7"] && some.lines.iter().any(|line| line["type"] == "unreadable_record"), "{some:?}");
    assert_eq!(some.lines[2], json!({"type": "status_summary", "accounts": 30, "with_issues": 2}));
    assert!(some.text.contains("account_id acc_9 sequence 3"), "{some:?}");
}

#[tokio::test]
async fn a_list_is_of_one_account_of_all_or_of_those_to_reconnect() {
    let world = World::start().await;
    for account in ["acc_1", "acc_2", "acc_3"] {
        plant(&world, account, 1).await;
        plant(&world, account, 2).await;
    }
    let marked = world.record("acc_2", 2).await.unwrap();
    change_text(&world, &marked, "status", text("needs_reauthorization")).await;
    let superseded = world.record("acc_3", 1).await.unwrap();
    change_text(&world, &superseded, "status", text("needs_reauthorization")).await;
    let list = async |options: &[&str]| {
        let ended = run(&world.stack, &[&["integrations", "list", "--json"], options].concat()).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        let row = |row: &Value| {
            format!("{} {} {}", row["account_id"], row["sequence"], row["runs_automations"]).replace('"', "")
        };
        let mut rows: Vec<String> = ended.lines.iter().map(row).collect();
        rows.sort();
        rows
    };

    let one = list(&["--account", "acc_1"]).await;
    let broken = list(&["--needs-reauthorization"]).await;
    let all = list(&[]).await;

    assert_eq!(one, ["acc_1 1 false", "acc_1 2 true"]);
    assert_eq!(broken, ["acc_2 2 true"]);
    assert_eq!(all.len(), 6);
    assert_eq!(all.iter().filter(|row| row.ends_with("true")).count(), 3);
}

#[tokio::test]
async fn an_integration_is_shown_with_versions_and_next_execution() {
    let (world, record) = planted().await;
    let served = another_has_refreshed(&world, &record).await;
    let show = async || run(&world.stack, &["integrations", "show", ACCOUNT, "integration-1", "--json"]).await;

    let sound = show().await;
    expire(&world, &record).await;
    let expired = show().await;

    let shown = &sound.lines[0];
    assert_eq!((sound.code, &shown["next_execution"], &shown["health"]), (0, &json!("sends"), &json!("healthy")));
    let versions = shown["versions"].as_array().unwrap();
    let flags: Vec<_> =
        versions.iter().map(|it| (it["id"] == served.secret_version.as_str(), it["is_served"] == true)).collect();
    assert!(flags.len() == 2 && flags.contains(&(true, true)) && flags.contains(&(false, false)), "{shown}");
    assert_eq!(shown["secret_id"], served.secret_id);
    assert_eq!(expired.lines[0]["next_execution"], "refreshes_and_sends", "{expired:?}");
}

#[tokio::test]
async fn a_refresh_replaces_tokens_that_are_still_valid() {
    let (world, record) = planted().await;

    let ended = run(&world.stack, &["refresh", ACCOUNT, "--json"]).await;

    let now = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((ended.code, &ended.lines[0]["outcome"]), (0, &json!("refreshed")), "{ended:?}");
    assert!(now.pointer != record.pointer && now.lease_owner.is_none(), "{now:?}");
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
}

#[tokio::test]
async fn a_refresh_reports_refusals_and_marks_nobody_for_our_mistakes() {
    let world = World::start().await;
    plant(&world, "revoked", 1).await;
    plant(&world, "ours", 1).await;
    plant(&world, "older", 1).await;
    plant(&world, "older", 2).await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);

    let revoked = run(&world.stack, &["refresh", "revoked"]).await;
    world.stack.hubspot.rotate_client_secret("another");
    let ours = run(&world.stack, &["refresh", "ours"]).await;
    let again = run(&world.stack, &["refresh", "ours"]).await;
    let older = run(&world.stack, &["refresh", "older", "integration-1"]).await;
    let nobody = run(&world.stack, &["refresh", "nobody"]).await;

    let codes = [&revoked, &ours, &again, &older, &nobody].map(|ended| ended.code);
    assert_eq!(codes, [1, 3, 3, 2, 2], "{revoked:?} {ours:?} {again:?} {older:?} {nobody:?}");
    assert!(ours.errors.contains("doctor") && again.errors.contains("Try again in"), "{ours:?} {again:?}");
    assert_eq!(world.record("revoked", 1).await.unwrap().status, Status::NeedsReauthorization);
    assert_eq!(world.record("ours", 1).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn show_gives_the_time_since_which_an_integration_is_marked() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    run(&world.stack, &["refresh", ACCOUNT]).await;

    let json = run(&world.stack, &["integrations", "show", ACCOUNT, "integration-1", "--json"]).await;
    let text = run(&world.stack, &["integrations", "show", ACCOUNT, "integration-1"]).await;

    let since = world.record(ACCOUNT, 1).await.unwrap().status_since.unwrap();
    assert_eq!(json.lines[0]["status_since"], since);
    let expected = format!("({since}, ");
    let status = text.text.lines().find(|line| line.starts_with("status")).unwrap();
    assert!(status.contains("needs_reauthorization (revoked) since ") && status.contains(&expected), "{status}");
}

#[tokio::test]
async fn a_refresh_recovers_an_integration_marked_by_mistake() {
    let (world, record) = planted().await;
    change_text(&world, &record, "status", text("needs_reauthorization")).await;

    let ended = run(&world.stack, &["refresh", ACCOUNT]).await;

    assert_eq!((ended.code, world.execute(&request(ACCOUNT, None)).await.status), (0, 200), "{ended:?}");
}

#[tokio::test]
async fn a_disconnect_asks_deletes_and_schedules_the_previous_one() {
    let world = World::start().await;
    let (older, newest) = (plant(&world, ACCOUNT, 1).await, plant(&world, ACCOUNT, 2).await);

    let unasked = run(&world.stack, &["disconnect", ACCOUNT, "integration-2"]).await;
    let before = world.record(ACCOUNT, 2).await;
    let done = run(&world.stack, &["disconnect", ACCOUNT, "integration-2", "--yes", "--json"]).await;

    assert_eq!((unasked.code, done.code), (2, 0), "{unasked:?} {done:?}");
    assert!(unasked.errors.contains("--yes") && before.is_some());
    assert!(world.record(ACCOUNT, 2).await.is_none());
    assert!(world.stack.secrets_manager.secret(&pointer(&newest).secret_id).is_none());
    assert!(world.record(ACCOUNT, 1).await.unwrap().refresh_at < older.refresh_at);
    assert_eq!(world.execute(&request(ACCOUNT, Some("integration-1"))).await.status, 200);
}

#[tokio::test]
async fn a_disconnect_reports_what_it_leaves_behind() {
    let (world, _) = planted().await;
    world.stack.secrets_manager.fail_next("DeleteSecret", AwsFault::AccessDenied, 1);

    let ended = run(&world.stack, &["disconnect", ACCOUNT, "integration-1", "--yes"]).await;

    assert!(ended.code == 0 && ended.text.contains("hubspotctl sweep"), "{ended:?}");
    assert!(store(&world).newest(&ACCOUNT.to_owned().try_into().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_disconnect_by_the_operator_leaves_the_secret_of_another_account() {
    let (world, record) = planted().await;
    let other = plant(&world, "acc_other", 1).await;
    point_at(&world, &record, &other).await;

    let ended = run(&world.stack, &["disconnect", ACCOUNT, "integration-1", "--yes"]).await;

    assert!(ended.code == 0 && ended.text.contains("named for another integration"), "{ended:?}");
    assert!(world.record(ACCOUNT, 1).await.is_none());
    assert_eq!(world.execute(&request("acc_other", None)).await.status, 200);
}

#[tokio::test]
async fn a_list_of_an_account_without_integrations_says_so() {
    let world = World::start().await;

    let ended = run(&world.stack, &["integrations", "list", "--account", "unknown"]).await;

    assert!(ended.code == 2 && ended.errors.contains("account unknown has no integration"), "{ended:?}");
}

#[tokio::test]
async fn status_shows_authorizations_that_never_came_back() {
    let (world, _) = planted().await;
    let begun = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({"new_instance": true})).await;

    let of_account = run(&world.stack, &["status", ACCOUNT, "--json"]).await;
    let of_other = run(&world.stack, &["status", "acc_2", "--json"]).await;
    let text = run(&world.stack, &["status", ACCOUNT]).await;

    assert_eq!(begun.status, 201, "{}", begun.text);
    let pending = of_account.lines[0]["pending_authorizations"].as_array().unwrap();
    assert_eq!((of_account.code, pending.len(), &pending[0]["kind"]), (0, 1, &json!("new_instance")), "{of_account:?}");
    assert_eq!(of_other.lines[0]["pending_authorizations"], json!([]), "{of_other:?}");
    assert!(text.text.contains("never came back"), "{text:?}");
}

#[tokio::test]
async fn a_change_shows_account_region_and_who_acts() {
    let (world, _) = planted().await;

    let asked = run(&world.stack, &["disconnect", ACCOUNT, "integration-1"]).await;
    let done = run(&world.stack, &["disconnect", ACCOUNT, "integration-1", "--yes", "--json"]).await;

    let place = "AWS account 123456789012, region us-east-1, stack local, as assumed-role/";
    assert!(asked.code == 2 && asked.text.starts_with(place), "{asked:?}");
    let done = &done.lines[0];
    assert_eq!((&done["aws_account"], &done["region"]), (&json!("123456789012"), &json!("us-east-1")), "{done}");
    // The name of a session may be an e-mail address.
    assert!(
        done["acted_by"].as_str().unwrap().starts_with("assumed-role/") && !done.to_string().contains('@'),
        "{done}"
    );
}

#[tokio::test]
async fn the_next_execution_does_what_show_predicts() {
    let world = World::start().await;
    let now = world.clock.now();
    let mut accounts = Vec::new();
    for (account, numbers) in [
        ("fresh", &[][..]),
        ("expired", &[("token_expires_at", Some(now - 1))]),
        ("short", &[("token_expires_at", Some(now + 30)), ("refresh_not_before", Some(now + 200))]),
        ("limited", &[("cooldown_until", Some(now + 500))]),
        ("paused", &[("token_expires_at", Some(now - 1)), ("refresh_not_before", Some(now + 200))]),
        ("marked", &[("token_expires_at", Some(now - 1))]),
        ("marked-alive", &[("token_expires_at", Some(now + 300))]),
    ] {
        let record = plant(&world, account, 1).await;
        change(&world, &record, numbers).await;
        if account.starts_with("marked") {
            change_text(&world, &record, "status", text("needs_reauthorization")).await;
        }
        accounts.push(account);
    }

    let mut seen = Vec::new();
    for account in accounts {
        let shown = run(&world.stack, &["integrations", "show", account, "--json"]).await;
        let refreshes = world.stack.hubspot.count(&Match::refresh());
        let answer = world.execute(&request(account, None)).await;
        let refreshed = world.stack.hubspot.count(&Match::refresh()) > refreshes;
        let executed = match (answer.status, refreshed) {
            (200, false) => "sends",
            (200, true) => "refreshes_and_sends",
            _ => answer.code(),
        };
        assert_eq!(shown.lines[0]["next_execution"], executed, "{account}: {} {shown:?}", answer.text);
        let runs_until = if account == "marked-alive" { json!(now + 300) } else { json!(null) };
        assert_eq!(shown.lines[0]["runs_until"], runs_until, "{account}: {shown:?}");
        seen.push(executed.to_owned());
    }

    let expected = [
        "sends",
        "refreshes_and_sends",
        "sends",
        "rate_limited",
        "temporarily_unavailable",
        "reauthorization_required",
        "sends",
    ];
    assert_eq!(seen, expected);
}
