//! One integration per account counts: the most recently created instance.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::{Answer, At};
use serde_json::{Value, json};
use shared::integration::{AccountId, shard};

use crate::execution::tamper;
use crate::world::{ACCOUNT, ADMIN, World, request};

/// A world in which the account has two instances; their ids, older first.
async fn two_instances() -> (World, String, String) {
    let world = World::start().await;
    let older = world.stack.connect(ACCOUNT, ADMIN).await;
    let newest = world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
    world.stack.hubspot.forget_requests();
    (world, older, newest)
}

/// Executes for an instance, or without one; status, code, and the instance that ran it.
async fn run(world: &World, integration: Option<&str>) -> (u16, String, Value) {
    let answer = world.execute(&request(ACCOUNT, integration)).await;
    (answer.status, answer.code().to_owned(), answer.body["integration_id"].clone())
}

fn refused(status: u16, code: &str) -> (u16, String, Value) {
    (status, code.to_owned(), Value::Null)
}

fn ran(integration: &str) -> (u16, String, Value) {
    (200, "-".to_owned(), json!(integration))
}

/// Sequence and id of each of the account's instances, newest first.
async fn sequences(world: &World) -> Vec<(i64, String)> {
    let listed = world.stack.integrations(ACCOUNT, ADMIN).await;
    listed
        .iter()
        .map(|one| (one["sequence"].as_i64().unwrap(), one["integration_id"].as_str().unwrap().to_owned()))
        .collect()
}

/// Stores an instance from before this system, as an import does.
async fn import(world: &World, integration_id: &str, created_at: i64) {
    let issued = world.stack.hubspot.authorize(PORTAL, &["oauth", "crm.objects.contacts.read"]);
    let now = world.clock.now();
    let tokens = json!({
        "account_id": ACCOUNT, "integration_id": integration_id, "access_token": issued.access_token,
        "refresh_token": issued.refresh_token, "token_type": "bearer", "obtained_at": now, "expires_at": now + 1800,
        "scopes": issued.scopes, "hub_id": PORTAL, "replaces": [],
    });
    let name = format!("{}/integrations/{integration_id}", world.stack.table("SECRET_PREFIX"));
    let create = world.stack.secrets().create_secret().name(&name).secret_string(tokens.to_string());
    let version = create.send().await.unwrap().version_id.unwrap();
    let number = |number: i64| AttributeValue::N(number.to_string());
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let scopes = issued.scopes.iter().map(|scope| text(scope)).collect();
    let put = world.stack.dynamodb().put_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    let put = put
        .item("account_id", text(ACCOUNT))
        .item("sequence", number(created_at - 10_000_000_000))
        .item("integration_id", text(integration_id))
        .item("created_at", number(created_at))
        .item("hub_id", number(PORTAL.try_into().unwrap()))
        .item("scopes", AttributeValue::L(scopes))
        .item("status", text("active"))
        .item("secret_id", text(&name))
        .item("secret_version", text(&version))
        .item("token_expires_at", number(now + 1800))
        .item("refresh_shard", number(shard(&AccountId::try_from(ACCOUNT.to_owned()).unwrap()).into()))
        .item("refresh_at", number(now + 1000))
        .item("schema", number(1));
    put.send().await.unwrap();
}

#[tokio::test]
async fn automations_of_older_integrations_never_reach_hubspot() {
    let (world, older, _) = two_instances().await;

    let answer = world.execute(&request(ACCOUNT, Some(&older))).await;

    assert_eq!((answer.status, answer.code()), (409, "integration_superseded"), "{}", answer.text);
    assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(false)));
    assert!(answer.body["detail"].as_str().unwrap().contains("newest"), "{}", answer.text);
    assert!(world.stack.hubspot.requests().is_empty());
}

#[tokio::test]
async fn the_newest_runs_and_so_does_an_automation_without_an_integration_on_it() {
    let (world, _, newest) = two_instances().await;

    let named = run(&world, Some(&newest)).await;
    let unnamed = run(&world, None).await;

    assert_eq!((named, unnamed), (ran(&newest), ran(&newest)));
}

#[tokio::test]
async fn an_older_integration_differs_from_one_that_the_account_lacks() {
    let (world, older, _) = two_instances().await;
    let of_another_account = world.stack.connect("acc_2", ADMIN).await;
    world.stack.hubspot.forget_requests();

    let known = run(&world, Some(&older)).await;
    let unknown = run(&world, Some("0193aaaa")).await;
    let foreign = run(&world, Some(&of_another_account)).await;

    assert_eq!(known, refused(409, "integration_superseded"));
    assert_eq!((unknown, foreign), (refused(404, "integration_not_found"), refused(404, "integration_not_found")));
    assert!(world.stack.hubspot.requests().is_empty());
}

#[tokio::test]
async fn a_connect_counts_from_the_next_execution_on_in_every_warm_function() {
    let world = World::start().await;
    let older = world.stack.connect(ACCOUNT, ADMIN).await;
    let before = run(&world, Some(&older)).await;
    let elsewhere = world.stack.post_automation(request(ACCOUNT, Some(&older)).to_string()).await;

    world.stack.connect_new_instance(ACCOUNT, ADMIN).await;

    assert_eq!((before, elsewhere.status), (ran(&older), 200), "both are warm");
    assert_eq!(run(&world, Some(&older)).await, refused(409, "integration_superseded"));
    let elsewhere = world.stack.post_automation(request(ACCOUNT, Some(&older)).to_string()).await;
    assert_eq!(elsewhere.code().as_deref(), Some("integration_superseded"));
}

#[tokio::test]
async fn a_newest_whose_authorization_is_gone_or_record_corrupt_never_falls_back() {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let expired = ("token_expires_at", AttributeValue::N("1".to_owned()));
    let (reauthorize, internal) = (refused(409, "reauthorization_required"), refused(500, "internal"));
    for (attributes, newest_ends, older_ends) in [
        (vec![("status", text("needs_reauthorization")), expired], reauthorize, refused(409, "integration_superseded")),
        (vec![("scopes", AttributeValue::Bool(true))], internal.clone(), internal),
    ] {
        let (world, older, newest) = two_instances().await;
        for (name, value) in attributes {
            tamper(&world, ACCOUNT, 2, name, Some(value)).await;
        }

        let ends = (run(&world, Some(&newest)).await, run(&world, None).await, run(&world, Some(&older)).await);

        assert_eq!(ends, (newest_ends.clone(), newest_ends, older_ends));
        assert!(world.stack.hubspot.requests().is_empty());
    }
}

#[tokio::test]
async fn a_newest_whose_secret_is_gone_never_falls_back() {
    let (world, _, newest) = two_instances().await;
    let secret = world.stack.newest_text(ACCOUNT, "secret_id").await.unwrap();
    let delete = world.stack.secrets().delete_secret().secret_id(secret).force_delete_without_recovery(true);
    delete.send().await.unwrap();
    let mut request = request(ACCOUNT, Some(&newest));
    request["deadline_ms"] = json!(1000);

    let answer = world.execute(&request).await;

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert_eq!(answer.body["outcome"], "not_sent");
    assert!(world.stack.hubspot.requests().is_empty());
}

#[tokio::test]
async fn a_newest_that_lacks_a_scope_or_is_rate_limited_never_falls_back() {
    let (world, _, newest) = two_instances().await;
    let missing = Answer::json(403, &json!({"category": "MISSING_SCOPES", "requiredScopes": ["x"]}));
    world.stack.hubspot.script(Match::api(), [Fault::Answer(missing), Fault::rate_limited("DAILY")]);

    let first = world.execute(&request(ACCOUNT, None)).await;
    let second = world.execute(&request(ACCOUNT, None)).await;
    let third = run(&world, None).await;

    for (answer, status) in [(first, 403), (second, 429)] {
        assert_eq!(
            (&answer.body["integration_id"], &answer.body["hubspot"]["status"]),
            (&json!(newest), &json!(status))
        );
    }
    assert_eq!(third, refused(429, "rate_limited"));
    assert_eq!(world.stack.hubspot.api_requests().len(), 2);
}

#[tokio::test]
async fn after_disconnecting_the_newest_the_previous_one_runs_again_at_any_time() {
    for hours in [0, 10] {
        let (world, older, newest) = two_instances().await;
        world.pass(Duration::from_secs(hours * 3600));

        let path = format!("/v1/integrations/{newest}");
        let gone = world.dashboard(ACCOUNT, "admin", "DELETE", &path, &Value::Null).await;

        assert_eq!(gone.status, 204, "{}", gone.text);
        assert_eq!((run(&world, Some(&older)).await, run(&world, None).await), (ran(&older), ran(&older)), "{hours} h");
        assert_eq!(run(&world, Some(&newest)).await, refused(404, "integration_not_found"));
    }
}

#[tokio::test]
async fn two_admins_who_make_a_new_instance_at_once_get_two_sequences() {
    let world = World::start().await;
    world.stack.connect(ACCOUNT, ADMIN).await;
    let body = json!({"new_instance": true});
    let mut callbacks = Vec::new();
    for admin in ["alice", "bob"] {
        let authorization = world.stack.authorize(ACCOUNT, admin, &body).await.unwrap();
        callbacks.push((world.stack.consent(&authorization).await.unwrap(), authorization.cookie));
    }

    // Both have read the same newest when they put.
    let gate = world.stack.dynamo.hold("PutItem", At::Before);
    let both = async {
        gate.reached(2).await;
        gate.open();
    };
    let (alice, bob, ()) = tokio::join!(
        world.stack.finish(&callbacks[0].0, Some(&callbacks[0].1)),
        world.stack.finish(&callbacks[1].0, Some(&callbacks[1].1)),
        both,
    );

    assert_eq!((alice.unwrap().as_str(), bob.unwrap().as_str()), ("connected", "connected"));
    let sequences = sequences(&world).await;
    assert_eq!(sequences.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [3, 2, 1]);
    assert_ne!(sequences[0].1, sequences[1].1);
    assert_eq!(run(&world, None).await, ran(&sequences[0].1));
    assert_eq!(run(&world, Some(&sequences[1].1)).await, refused(409, "integration_superseded"));
}

#[tokio::test]
async fn a_second_connect_is_refused_with_an_explanation_of_both_choices() {
    let world = World::start().await;
    let integration = world.stack.connect(ACCOUNT, ADMIN).await;
    let before = world.stack.dynamo.count("PutItem");

    let answer = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({})).await;

    assert_eq!((answer.status, answer.code()), (409, "already_connected"), "{}", answer.text);
    let detail = answer.body["detail"].as_str().unwrap();
    for part in
        [format!("{{\"integration_id\": \"{integration}\"}}").as_str(), "{\"new_instance\": true}", "stop running"]
    {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
    assert!(answer.cookies.is_empty());
    assert_eq!(world.stack.dynamo.count("PutItem"), before, "no authorization is stored");
}

#[tokio::test]
async fn of_two_connects_one_stores_nothing_also_at_the_same_moment() {
    for at_once in [false, true] {
        let world = World::start().await;
        let mut callbacks = Vec::new();
        for admin in ["alice", "bob"] {
            let authorization = world.stack.authorize(ACCOUNT, admin, &json!({})).await.unwrap();
            callbacks.push((world.stack.consent(&authorization).await.unwrap(), authorization.cookie));
        }
        let finish = async |nth: usize| world.stack.finish(&callbacks[nth].0, Some(&callbacks[nth].1)).await.unwrap();

        let mut outcomes = if at_once {
            let gate = world.stack.dynamo.hold("PutItem", At::Before);
            let both = async {
                gate.reached(2).await;
                gate.open();
            };
            let (first, second, ()) = tokio::join!(finish(0), finish(1), both);
            [first, second]
        } else {
            let first = finish(0).await;
            assert_eq!(first, "connected");
            [first, finish(1).await]
        };

        outcomes.sort();
        assert_eq!(outcomes, ["already-connected", "connected"], "at once: {at_once}");
        assert_only_one_is_stored(&world).await;
    }
}

/// The account has one record, and there is no secret of tokens but the one that it names.
async fn assert_only_one_is_stored(world: &World) {
    assert_eq!(sequences(world).await.len(), 1);
    let named = world.stack.newest_text(ACCOUNT, "secret_id").await.unwrap();
    let secrets = world.stack.secrets_manager.secrets();
    let tokens: Vec<&str> =
        secrets.iter().map(|secret| secret.name.as_str()).filter(|name| name.contains("/integrations/")).collect();
    assert_eq!(tokens, [named.as_str()]);
    assert_eq!(run(world, None).await.0, 200);
}

#[tokio::test]
async fn an_import_after_a_connect_never_supersedes_it() {
    let world = World::start().await;
    let connected = world.stack.connect(ACCOUNT, ADMIN).await;

    import(&world, "legacy_7", world.clock.now()).await;

    assert_eq!((run(&world, None).await, run(&world, Some(&connected)).await), (ran(&connected), ran(&connected)));
    assert_eq!(run(&world, Some("legacy_7")).await, refused(409, "integration_superseded"));
}

#[tokio::test]
async fn imported_instances_keep_their_order_whatever_the_order_of_the_import() {
    let world = World::start().await;

    import(&world, "legacy_new", 1_700_000_000).await;
    import(&world, "legacy_old", 1_600_000_000).await;

    assert_eq!(
        (run(&world, None).await, run(&world, Some("legacy_new")).await),
        (ran("legacy_new"), ran("legacy_new"))
    );
    assert_eq!(run(&world, Some("legacy_old")).await, refused(409, "integration_superseded"));
}

#[tokio::test]
async fn the_first_new_instance_after_an_import_is_number_one_and_supersedes_it() {
    let world = World::start().await;
    import(&world, "legacy_7", 1_700_000_000).await;

    let plain = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({})).await;
    let connected = world.stack.connect_new_instance(ACCOUNT, ADMIN).await;

    assert_eq!(plain.code(), "already_connected", "an import is an integration too");
    assert_eq!(sequences(&world).await[0], (1, connected.clone()));
    assert_eq!(run(&world, None).await, ran(&connected));
    assert_eq!(run(&world, Some("legacy_7")).await, refused(409, "integration_superseded"));
}
