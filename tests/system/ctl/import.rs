//! `import`: nothing is lost, nothing is there twice, nothing comes back, whatever happens on the way.

mod killed;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use devstack::hubspot::{Fault, Match, PORTAL};
use serde_json::{Value, json};
use shared::integration::{Integration, Status};

use super::{Ended, Folder, command, ended, legacy, path, run};
use crate::connect::secrets;
use crate::refresh::planted::{plant, point_at, refused, store, versions};
use crate::world::{ACCOUNT, ADMIN, World, request};

/// When the system before connected somebody.
const THEN: i64 = 1_600_000_000;

async fn import(world: &World, file: &Path, options: &[&str]) -> Ended {
    run(&world.stack, &[&["import", path(file), "--json"], options].concat()).await
}

/// All records of an account, newest first.
pub(super) async fn records(world: &World, account: &str) -> Vec<Integration> {
    store(world).all(&account.to_owned().try_into().unwrap()).await.unwrap()
}

#[tokio::test]
async fn an_imported_integration_keeps_its_id_and_runs_its_automations() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &[legacy(&world, ACCOUNT, "legacy-1", THEN)]);

    let ended = import(&world, &file, &[]).await;

    assert_eq!((ended.code, ended.outcomes()), (0, vec!["imported".to_owned()]), "{ended:?}");
    let records = records(&world, ACCOUNT).await;
    assert_eq!((records[0].sequence, records[0].status), (THEN - 10_000_000_000, Status::Active));
    assert!(records[0].token_expires_at > world.clock.now() && records[0].hub_id == Some(PORTAL), "{records:?}");
    let answer = world.execute(&request(ACCOUNT, Some("legacy-1"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn an_import_never_supersedes_a_connect() {
    let (world, folder) = (World::start().await, Folder::new());
    let accounts: Vec<String> = (0..10).map(|number| format!("acc_{number}")).collect();
    let lines: Vec<Value> =
        accounts.iter().map(|account| legacy(&world, account, &format!("old-{account}"), THEN)).collect();
    let file = folder.file("old", &lines);
    let mut connected = Vec::new();
    for account in &accounts[..5] {
        connected.push(world.stack.connect(account, ADMIN).await);
    }

    let ended = import(&world, &file, &[]).await;

    assert_eq!(ended.counts(), &json!({"imported": 5, "imported_as_older": 5}), "{ended:?}");
    for (account, id) in accounts.iter().zip(&connected) {
        let records = records(&world, account).await;
        assert_eq!((records.len(), records[0].integration_id.as_str()), (2, id.as_str()));
        assert_eq!(world.execute(&request(account, Some(id))).await.status, 200);
        let old = world.execute(&request(account, Some(&format!("old-{account}")))).await;
        assert_eq!(old.code(), "integration_superseded");
    }
}

#[tokio::test]
async fn instances_of_one_account_keep_their_original_order() {
    let (world, folder) = (World::start().await, Folder::new());
    let lines =
        [("third", 2), ("first", 0), ("second", 0)].map(|(id, later)| legacy(&world, ACCOUNT, id, THEN + later));
    let file = folder.file("old", &lines);

    let ended = import(&world, &file, &[]).await;

    assert_eq!(ended.counts(), &json!({"imported": 1, "imported_as_older": 2}), "{ended:?}");
    let ids: Vec<String> = records(&world, ACCOUNT).await.iter().map(|one| one.integration_id.to_string()).collect();
    assert_eq!(ids, ["third", "second", "first"]);
}

#[tokio::test]
async fn a_rerun_does_not_restore_what_a_customer_disconnected() {
    let (world, folder) = (World::start().await, Folder::new());
    let lines = ["acc_1", "acc_2"].map(|account| legacy(&world, account, &format!("old-{account}"), THEN));
    let file = folder.file("old", &lines);
    import(&world, &file, &[]).await;
    let gone = world.dashboard("acc_1", "admin", "DELETE", "/v1/integrations/old-acc_1", &json!({})).await;

    let ended = import(&world, &file, &[]).await;

    assert_eq!((gone.status, ended.code, ended.counts()), (204, 0, &json!({"finished_before": 2})), "{ended:?}");
    assert_eq!((records(&world, "acc_1").await.len(), records(&world, "acc_2").await.len()), (0, 1));
}

#[tokio::test]
async fn a_rerun_after_a_crash_does_not_restore_a_disconnected_one() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &[legacy(&world, ACCOUNT, "legacy-1", THEN)]);
    import(&world, &file, &[]).await;
    world.dashboard(ACCOUNT, "admin", "DELETE", "/v1/integrations/legacy-1", &json!({})).await;
    let note = json!({"account_id": ACCOUNT, "integration_id": "legacy-1", "stage": "started", "digest": "", "at": world.clock.now() - 60});
    folder.text("old.done", &note.to_string());

    let ended = import(&world, &file, &[]).await;

    assert_eq!((ended.code, ended.outcomes()), (0, vec!["disconnected".to_owned()]), "{ended:?}");
    assert!(records(&world, ACCOUNT).await.is_empty());
}

#[tokio::test]
async fn invalid_lines_are_reported_by_number_and_the_rest_continues() {
    let (world, folder) = (World::start().await, Folder::new());
    let connected = world.stack.connect("acc_2", ADMIN).await;
    let good = legacy(&world, "acc_1", "legacy-1", THEN);
    let other = |change: Value| {
        let mut line = legacy(&world, "acc_3", "legacy-3", THEN);
        line.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        line
    };
    let lines = [
        good.to_string(),
        "eu1-s3cret".to_owned(),
        "{\"account_id\":\"acc_3\"}".to_owned(),
        other(json!({"created_at": world.clock.now() + 3600})).to_string(),
        good.to_string(),
        other(json!({"integration_id": "legacy-1"})).to_string(),
        other(json!({"account_id": "acc_2", "integration_id": connected})).to_string(),
        other(json!({"refresh_token": "eu1-s3cret-of-another-app"})).to_string(),
        String::new(),
        other(json!({"account_id": "acc_4", "integration_id": "legacy-4"})).to_string(),
    ];
    let text = lines.join("\r\n");
    let file = folder.text("old", &text);

    let ended = import(&world, &file, &[]).await;

    let expected =
        ["imported", "malformed", "malformed", "malformed", "malformed", "imported", "conflict", "refused", "imported"];
    assert_eq!((ended.code, ended.outcomes()), (1, expected.map(str::to_owned).to_vec()), "{ended:?}");
    let reasoned = |line: &&Value| line["line"].is_u64() && line["outcome"] != "imported";
    assert!(ended.lines.iter().filter(reasoned).all(|line| line["detail"].as_str().is_some_and(|why| why.len() > 20)));
    assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_dead_token_leaves_an_integration_that_an_admin_can_reconnect() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &[legacy(&world, ACCOUNT, "legacy-1", THEN)]);
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);

    let ended = import(&world, &file, &[]).await;
    let reconnected = world.stack.connect_with(ACCOUNT, ADMIN, &json!({"integration_id": "legacy-1"})).await.unwrap();

    assert_eq!((ended.code, ended.outcomes()), (1, vec!["refused".to_owned()]), "{ended:?}");
    assert_eq!(reconnected.outcome, "reconnected");
    assert_eq!(world.execute(&request(ACCOUNT, Some("legacy-1"))).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_uses_the_words_of_the_run_and_writes_nothing() {
    let (world, folder) = (World::start().await, Folder::new());
    let there = legacy(&world, "acc_1", "legacy-1", THEN);
    import(&world, &folder.file("first", std::slice::from_ref(&there)), &[]).await;
    let moved =
        json!({"created_at": THEN + 1, "account_id": "acc_1", "integration_id": "legacy-1", "refresh_token": "x"});
    let absent = legacy(&world, "acc_2", "legacy-2", THEN);
    let (file, odd) = (folder.file("second", &[there, absent]), folder.file("third", &[moved]));
    let asked = world.stack.hubspot.count(&Match::token());

    let (ended, conflict) = (import(&world, &file, &["--dry-run"]).await, import(&world, &odd, &["--dry-run"]).await);

    assert_eq!((ended.code, ended.outcomes()), (0, vec!["already_there".to_owned(), "imported".to_owned()]));
    assert_eq!((conflict.code, conflict.outcomes()), (1, vec!["conflict".to_owned()]));
    assert!(records(&world, "acc_2").await.is_empty() && !file.with_extension("done").exists());
    assert_eq!(world.stack.hubspot.count(&Match::token()), asked);
}

#[tokio::test]
async fn a_rate_limit_pauses_all_lines_and_says_for_how_long() {
    let (world, folder) = (World::start().await, Folder::new());
    let lines: Vec<Value> = (0..6).map(|n| legacy(&world, &format!("acc_{n}"), &format!("legacy-{n}"), THEN)).collect();
    let file = folder.file("old", &lines);
    let limited = Fault::Answer(devstack::wire::Answer::new(429).header("retry-after", "2"));
    world.stack.hubspot.script(Match::refresh(), [limited]);

    let ended = import(&world, &file, &["--concurrency", "1"]).await;

    assert_eq!((ended.code, ended.counts()), (0, &json!({"imported": 6})), "{ended:?}");
    let asked = world.stack.hubspot.token_requests();
    // Times are kept in whole seconds here and in milliseconds there.
    assert!(asked[1].at - asked[0].at > 1_000, "{} ms", asked[1].at - asked[0].at);
}

#[tokio::test]
async fn refused_app_credentials_stop_the_import_and_a_rerun_continues() {
    let (world, folder) = (World::start().await, Folder::new());
    let lines: Vec<Value> = (0..9).map(|n| legacy(&world, &format!("acc_{n}"), &format!("legacy-{n}"), THEN)).collect();
    let file = folder.file("old", &lines);
    world.stack.hubspot.script_always(Match::refresh(), refused("invalid_client", "BAD_CLIENT_SECRET"));

    let stopped = import(&world, &file, &["--concurrency", "1"]).await;
    world.stack.hubspot.clear_scripts();
    let ended = import(&world, &file, &[]).await;

    assert_eq!((stopped.code, stopped.counts()), (3, &json!({"left": 9})), "{stopped:?}");
    assert!(stopped.errors.contains("correct them"), "{}", stopped.errors);
    assert_eq!((ended.code, ended.counts()), (0, &json!({"imported": 9})), "{ended:?}");
}

#[tokio::test]
async fn a_corrected_line_of_a_refused_integration_is_tried_again() {
    let (world, folder) = (World::start().await, Folder::new());
    let good = legacy(&world, ACCOUNT, "legacy-1", THEN);
    let mut wrong = good.clone();
    wrong["refresh_token"] = json!("eu1-mistyped");
    let file = folder.file("old", &[wrong]);

    let refused = import(&world, &file, &[]).await;
    let same = import(&world, &file, &[]).await;
    folder.file("old", &[good]);
    let corrected = import(&world, &file, &[]).await;
    let finished = import(&world, &file, &[]).await;

    assert_eq!((refused.code, refused.counts()), (1, &json!({"refused": 1})), "{refused:?}");
    assert_eq!((same.code, same.counts()), (1, &json!({"refused_before": 1})), "{same:?}");
    assert_eq!((corrected.code, corrected.counts()), (0, &json!({"imported": 1})), "{corrected:?}");
    assert_eq!((finished.code, finished.counts()), (0, &json!({"finished_before": 1})), "{finished:?}");
    assert_eq!(records(&world, ACCOUNT).await[0].status, Status::Active);
    assert_eq!(world.execute(&request(ACCOUNT, Some("legacy-1"))).await.status, 200);
    let ledger = std::fs::read_to_string(folder.path().join("old.done")).unwrap();
    assert!(!ledger.contains("eu1-mistyped"), "{ledger}");
}

#[tokio::test]
async fn a_corrected_line_overwrites_no_tokens_of_another_account() {
    let (world, folder) = (World::start().await, Folder::new());
    let good = legacy(&world, ACCOUNT, "legacy-1", THEN);
    let mut wrong = good.clone();
    wrong["refresh_token"] = json!("eu1-mistyped");
    let file = folder.file("old", &[wrong]);
    import(&world, &file, &[]).await;
    let other = plant(&world, "acc_other", 1).await;
    point_at(&world, &records(&world, ACCOUNT).await[0], &other).await;
    folder.file("old", &[good]);

    let ended = import(&world, &file, &[]).await;

    assert_eq!((ended.code, ended.counts()), (1, &json!({"conflict": 1})), "{ended:?}");
    assert_eq!(versions(&world, &other), 1);
}

/// So many integrations of one account, oldest first.
fn many(world: &World, count: i64) -> Vec<Value> {
    (0..count).map(|number| legacy(world, ACCOUNT, &format!("legacy-{number}"), THEN + number)).collect()
}

#[tokio::test]
async fn an_import_refuses_instances_beyond_the_newest_ten_of_an_account() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &many(&world, 12));

    let planned = import(&world, &file, &["--dry-run"]).await;
    let ended = import(&world, &file, &[]).await;
    let again = import(&world, &file, &[]).await;
    let places = (records(&world, ACCOUNT).await, secrets(&world).len());
    world.dashboard(ACCOUNT, "admin", "DELETE", "/v1/integrations/legacy-5", &json!({})).await;
    let after_a_disconnect = import(&world, &file, &[]).await;

    let counts = json!({"imported": 1, "imported_as_older": 9, "conflict": 2});
    assert_eq!((planned.code, planned.counts(), ended.code, ended.counts()), (1, &counts, 1, &counts), "{ended:?}");
    assert!(ended.text.contains("the account has 10 connected integrations"), "{ended:?}");
    assert_eq!((again.code, again.counts()), (1, &json!({"finished_before": 10, "conflict": 2})), "{again:?}");
    let (ids, secrets) = (places.0.iter().map(|one| one.integration_id.to_string()), places.1);
    assert!(ids.eq((2..12).rev().map(|number| format!("legacy-{number}"))) && secrets == 10, "{:?}", places.0);
    let counts = json!({"finished_before": 10, "imported_as_older": 1, "conflict": 1});
    assert_eq!(after_a_disconnect.counts(), &counts, "{after_a_disconnect:?}");
}

#[tokio::test]
async fn a_refused_newest_keeps_its_place_among_the_ten_of_its_account() {
    let (world, folder) = (World::start().await, Folder::new());
    let mut lines = many(&world, 11);
    lines[10]["refresh_token"] = json!("eu1-mistyped");
    let file = folder.file("old", &lines);

    let ended = import(&world, &file, &[]).await;

    let counts = json!({"refused": 1, "imported": 1, "imported_as_older": 8, "conflict": 1});
    assert_eq!((ended.code, ended.counts()), (1, &counts), "{ended:?}");
    let records = records(&world, ACCOUNT).await;
    assert_eq!((records.len(), records[0].integration_id.as_str()), (10, "legacy-10"));
}

#[tokio::test]
async fn the_credentials_of_another_app_stop_the_import_without_a_trace() {
    let (world, folder) = (World::start().await, Folder::new());
    let lines: Vec<Value> = (0..30)
        .map(|n| {
            json!({"account_id": format!("acc_{n}"), "integration_id": "legacy", "created_at": THEN,
                "refresh_token": format!("eu1-of-another-app-{n}")})
        })
        .collect();
    let file = folder.file("old", &lines);

    let ended = import(&world, &file, &[]).await;

    assert!(ended.code == 3 && ended.errors.contains("another app"), "{ended:?}");
    assert_eq!(store(&world).scan(None).await.unwrap().records.len(), 0, "nobody is marked, no event is sent");
    assert!(world.stack.secrets_manager.secrets().iter().all(|secret| !secret.name.contains("/integrations/")));
    let ledger = std::fs::read_to_string(folder.path().join("old.done")).unwrap();
    assert_eq!(ledger, "", "nothing is recorded");
    let asked = world.stack.hubspot.count(&Match::refresh());
    assert!((20..28).contains(&asked), "{asked}");
}

#[tokio::test]
async fn the_counts_of_an_import_add_up() {
    let (world, folder) = (World::start().await, Folder::new());
    let mut lines: Vec<Value> =
        (0..5).map(|n| legacy(&world, &format!("acc_{n}"), "legacy", THEN + i64::from(n))).collect();
    lines.push(json!({"account_id": "acc_9", "integration_id": "legacy", "created_at": THEN, "refresh_token": "dead"}));
    lines.push(json!({"account_id": "acc_9"}));
    let file = folder.file("old", &lines);

    let dry = import(&world, &file, &["--dry-run"]).await;
    let ended = import(&world, &file, &[]).await;
    let again = import(&world, &file, &[]).await;

    for ended in [&dry, &ended, &again] {
        let counts = ended.counts().as_object().unwrap();
        assert_eq!(counts.values().filter_map(Value::as_u64).sum::<u64>(), 7, "{ended:?}");
    }
    assert_eq!((ended.code, again.code), (1, 1), "a rerun with refusals left is not a success: {again:?}");
}

#[tokio::test]
async fn the_ledger_is_private_and_follows_no_symbolic_link() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &[legacy(&world, ACCOUNT, "legacy-1", THEN)]);
    let victim = folder.text("victim", "untouched");
    std::os::unix::fs::symlink(&victim, folder.path().join("old.done")).unwrap();

    let linked = import(&world, &file, &[]).await;
    std::fs::remove_file(folder.path().join("old.done")).unwrap();
    let private = import(&world, &file, &[]).await;

    let mode = std::fs::metadata(folder.path().join("old.done")).unwrap().permissions().mode() & 0o777;
    assert!(linked.code == 2 && linked.errors.contains("symbolic links"), "{linked:?}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!((private.code, mode), (0, 0o600), "{private:?}");
}

#[tokio::test]
async fn a_token_file_that_others_can_read_gets_a_warning() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &[legacy(&world, ACCOUNT, "legacy-1", THEN)]);
    let set = |mode: u32| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();

    set(0o644);
    let open = import(&world, &file, &["--dry-run"]).await;
    set(0o600);
    let private = import(&world, &file, &["--dry-run"]).await;

    assert!(open.code == 0 && open.errors.contains("chmod 600"), "{open:?}");
    assert_eq!(private.errors, "");
}

#[tokio::test]
async fn an_import_needs_the_key_of_the_stack() {
    let (world, folder) = (World::start().await, Folder::new());
    let file = folder.file("old", &[legacy(&world, ACCOUNT, "legacy-1", THEN)]);
    let name = store(&world).app_secret_id();
    let secrets = world.stack.secrets();
    let delete = secrets.delete_secret().secret_id(&name).force_delete_without_recovery(true);
    delete.send().await.unwrap();
    let create = secrets.create_secret().name(&name).kms_key_id("arn:aws:kms:us-east-1:123456789012:key/k");
    create.secret_string("{}").send().await.unwrap();
    let mut keyless = command(&world.stack, &["import", path(&file)]);
    keyless.env_remove("SECRETS_KMS_KEY");

    let ended = ended(keyless.spawn().unwrap()).await;

    assert!(ended.code == 2 && ended.errors.contains("SECRETS_KMS_KEY"), "{ended:?}");
    assert!(records(&world, ACCOUNT).await.is_empty());
}
