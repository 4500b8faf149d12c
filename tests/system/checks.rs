//! The check that explains a request without sending it.

mod rows;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::execution::{connected, tamper, with, writes};
use crate::world::{ACCOUNT, ADMIN, Answer, World};

pub(crate) fn asking(method: &str, endpoint: &str) -> Value {
    json!({"request": {"method": method, "endpoint": endpoint}})
}

async fn explained(world: &World, body: &Value) -> Answer {
    let before = (writes(world), world.stack.hubspot.requests().len());
    let answer = world.check(ACCOUNT, body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    assert_eq!((writes(world), world.stack.hubspot.requests().len()), before, "a check only reads");
    answer
}

/// The newest was granted these scopes.
pub(crate) async fn grant(world: &World, scopes: &[&str]) {
    let scopes = scopes.iter().map(|scope| AttributeValue::S((*scope).to_owned())).collect();
    tamper(world, ACCOUNT, 1, "scopes", Some(AttributeValue::L(scopes))).await;
}

#[tokio::test]
async fn a_check_tells_what_would_be_sent_and_what_was_ignored() {
    let world = connected().await;
    let body = json!({"request": {
        "method": "post",
        "endpoint": "https://u:s3cret@api-eu1.hubapi.com/crm/v3/objects/contacts/search?hapikey=s3cret&a=1",
        "query": {"b": "x y"}, "headers": {"Authorization": "Bearer s3cret"}, "body": {"limit": 1},
    }});

    let answer = explained(&world, &body).await;

    assert_eq!(answer.body["method"], "POST");
    let url = format!("{}/crm/v3/objects/contacts/search?a=1&b=x%20y", world.stack.hubspot.url());
    assert_eq!(answer.body["url"], url);
    assert_eq!(answer.body["ignored_credentials"], json!(["header:authorization", "query:hapikey", "userinfo"]));
    assert_eq!(answer.body["integration_is_newest"], true);
    assert_eq!(answer.body["integration_status"], "active");
    assert_eq!(answer.body["required_scopes"], json!(["crm.objects.contacts.read"]));
    let granted = answer.body["granted_scopes"].as_array().unwrap();
    assert!(granted.contains(&json!("crm.objects.contacts.read")), "{}", answer.text);
    assert_eq!((&answer.body["verdict"], &answer.body["remedy"]), (&json!("covered"), &Value::Null));
    let page = "https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide";
    assert_eq!(answer.body["docs"], page);
    assert_eq!(answer.body["would_run"], "yes");
    assert!(answer.text.starts_with(r#"{"would_run":"#), "it comes first: {}", answer.text);
    assert!(!answer.text.contains("s3cret"), "{}", answer.text);
}

#[tokio::test]
async fn the_verdict_names_the_remedy_that_helps() {
    let world = connected().await;
    grant(&world, &["oauth", "crm.objects.contacts.read"]).await;
    let cases = [
        ("GET", "/crm/v3/objects/contacts/7", "covered", Value::Null),
        ("POST", "/crm/v3/objects/contacts/search", "covered", Value::Null),
        ("POST", "/crm/v3/objects/contacts", "missing", json!("reconnect")),
        ("PATCH", "/crm/v3/objects/deals/7", "missing", json!("hubspot_plan")),
        ("GET", "/crm/v3/objects/leads", "missing", json!("ask_operator")),
        ("GET", "/cms/v3/blogs/posts", "missing", json!("ask_operator")),
        ("GET", "/crm/v3/objects/2-1234567", "missing", json!("ask_operator")),
        ("POST", "/crm/v3/extensions/unheard-of", "unknown", Value::Null),
    ];

    for (method, endpoint, verdict, remedy) in cases {
        let answer = explained(&world, &asking(method, endpoint)).await;
        assert_eq!(
            (&answer.body["verdict"], &answer.body["remedy"]),
            (&json!(verdict), &remedy),
            "{method} {endpoint}"
        );
    }
}

#[tokio::test]
async fn a_check_says_what_hubspots_files_know() {
    let world = connected().await;
    grant(&world, &["oauth", "hubdb"]).await;
    let of = async |method: &str, endpoint: &str| explained(&world, &asking(method, endpoint)).await.body;

    let rows = of("POST", "/cms/hubdb/2026-03/tables/7/rows").await;
    assert_eq!((&rows["verdict"], &rows["any_of"]), (&json!("covered"), &json!(["hubdb", "hubdb.rows.write"])));
    assert_eq!((&rows["required_scopes"], &rows["would_run"]), (&json!([]), &json!("yes")));
    let webhooks = of("GET", "/app-webhooks/2026-09/7/settings").await;
    assert_eq!((&webhooks["developer_key"], &webhooks["would_run"]), (&json!(true), &json!("no")));
    assert_eq!((&webhooks["verdict"], &webhooks["remedy"]), (&json!("missing"), &Value::Null));
    let pipelines = of("GET", "/crm-pipelines/v1/pipelines/deals").await;
    assert_eq!(pipelines["deprecated"]["since"], "2026-12-04");
    assert_eq!((&pipelines["verdict"], &pipelines["would_run"]), (&json!("unknown"), &json!("unknown")));
    let misspelt = of("GET", "/crm/v3/object/contacts").await;
    assert_eq!(misspelt["did_you_mean"], "/crm/v3/objects/contacts");
}

#[tokio::test]
async fn an_older_integration_is_explained_as_such() {
    let world = World::start().await;
    let older = world.stack.connect(ACCOUNT, ADMIN).await;
    let newest = world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
    let of = |integration: &str| {
        let mut body = asking("GET", "/crm/v3/owners");
        body["integration_id"] = json!(integration);
        body
    };

    let (old, new) = (explained(&world, &of(&older)).await, explained(&world, &of(&newest)).await);

    assert_eq!((&old.body["integration_is_newest"], &new.body["integration_is_newest"]), (&json!(false), &json!(true)));
    assert_eq!((&old.body["verdict"], &old.body["integration_status"]), (&json!("covered"), &json!("active")));
    assert_eq!((&old.body["would_run"], &new.body["would_run"]), (&json!("no"), &json!("yes")));
}

#[tokio::test]
async fn an_integration_that_has_to_be_authorized_again_is_still_explained() {
    let world = connected().await;
    tamper(&world, ACCOUNT, 1, "status", Some(AttributeValue::S("needs_reauthorization".to_owned()))).await;

    let ask = asking("GET", "/crm/v3/objects/contacts");
    let alive = explained(&world, &ask).await;
    world.pass(Duration::from_secs(1_801));
    let expired = explained(&world, &ask).await;

    for (answer, would_run) in [(alive, "yes"), (expired, "no")] {
        assert_eq!((&answer.body["verdict"], &answer.body["would_run"]), (&json!("covered"), &json!(would_run)));
        assert_eq!(answer.body["integration_status"], "needs_reauthorization");
    }
}

#[tokio::test]
async fn what_an_execution_refuses_the_check_refuses_with_the_same_problem() {
    let world = connected().await;
    let cases = [
        asking("GET", "https://evil.example/crm"),
        asking("POST", "/oauth/2026-03/token"),
        asking("DELETE", "/appinstalls/v3/external-install"),
        asking("GET", "/crm/../oauth"),
        asking("GET", "/crm//x"),
        asking("HEAD", "/crm/v3/owners"),
        asking("GET", &format!("/crm?x={}", "x".repeat(40_000))),
        with(asking("GET", "/crm"), &json!({"query": {"n".repeat(10_000): vec![1; 2_000]}})),
        with(asking("POST", "/crm"), &json!({"body": 1, "body_text": "1"})),
        with(asking("POST", "/crm"), &json!({"headers": [["Accept", "a"], ["accept", "b"]]})),
        with(asking("POST", "/crm"), &json!({"boddy": 1})),
        json!({"request": null}),
        json!({"integration_id": "a b", "request": {"method": "GET", "endpoint": "/crm"}}),
        json!({"integration_id": "unknown", "request": {"method": "GET", "endpoint": "/crm"}}),
    ];

    for case in cases {
        let check = world.check(ACCOUNT, &case).await;
        let mut execution = case.clone();
        execution["account_id"] = json!(ACCOUNT);
        let execution = world.execute(&execution).await;

        assert!(check.status >= 400, "{case:.200}: {}", check.text);
        assert_eq!(check.headers["content-type"], "application/problem+json");
        for field in ["type", "title", "status", "detail", "code", "retryable"] {
            assert_eq!(check.body[field], execution.body[field], "{field} of {case:.200}");
        }
        assert_eq!(check.body["outcome"], Value::Null, "nothing is executed, so nothing came of it");
    }
}

#[tokio::test]
async fn the_account_is_that_of_the_token_and_never_of_the_body() {
    let world = connected().await;
    let theirs = world.stack.connect("acc_2", ADMIN).await;
    let mut named = asking("GET", "/crm/v3/owners");
    named["account_id"] = json!("acc_2");
    let mut foreign = asking("GET", "/crm/v3/owners");
    foreign["integration_id"] = json!(theirs);

    let named = world.check(ACCOUNT, &named).await;
    let foreign = world.check(ACCOUNT, &foreign).await;

    assert_eq!((named.status, named.code()), (400, "invalid_request"));
    assert!(named.body["detail"].as_str().unwrap().contains("`account_id`"), "{}", named.text);
    assert_eq!((foreign.status, foreign.code()), (404, "integration_not_found"));
}

#[tokio::test]
async fn an_account_without_an_integration_gets_not_connected() {
    let world = World::start().await;

    let answer = world.check(ACCOUNT, &asking("GET", "/crm/v3/owners")).await;

    assert_eq!((answer.status, answer.code()), (409, "not_connected"));
}
