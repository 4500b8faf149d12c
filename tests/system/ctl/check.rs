//! `check`: its verdicts are what the function then does.

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::PORTAL;
use serde_json::{Value, json};

use super::{Ended, Folder, legacy, path, run};
use crate::refresh::planted::{change_text, expire, plant};
use crate::world::{Answer, World};

/// Requests as customers have stored them.
const REQUESTS: &[(&str, &str)] = &[
    ("GET", "/crm/v3/objects/contacts?limit=1"),
    ("GET", "https://api.hubapi.com/crm/v3/objects/contacts?limit=1&hapikey=s3cret"),
    ("GET", "https://user:s3cret@api.hubapi.com/crm/v3/objects/contacts"),
    ("POST", "/crm/v3/objects/contacts/search"),
    ("POST", "/crm/v3/objects/deals/search"),
    ("GET", "/crm/v3/owners/"),
    ("GET", "/some/api/nobody/knows"),
    ("GET", "https://example.com/s3cret"),
    ("DELETE", "/oauth/2026-03/token"),
    ("GET", "/crm/../s3cret"),
    ("TRACE", "/crm/v3/objects/contacts"),
];

/// Accounts in every state, with the integration that their automations name.
const ACCOUNTS: &[(&str, Option<&str>)] = &[
    ("acc_fine", None),
    ("acc_fine", Some("integration-1")),
    ("acc_two", Some("integration-1")),
    ("acc_two", Some("integration-2")),
    ("acc_two", None),
    ("acc_fine", Some("nobody-knows")),
    ("acc_absent", None),
    ("acc_dead", Some("integration-1")),
    ("acc_marked", Some("integration-1")),
];

async fn world() -> World {
    let world = World::start().await;
    for (account, sequence) in [("acc_fine", 1), ("acc_two", 1), ("acc_two", 2), ("acc_dead", 1), ("acc_marked", 1)] {
        let record = plant(&world, account, sequence).await;
        if ["acc_dead", "acc_marked"].contains(&account) {
            let marked = AttributeValue::S("needs_reauthorization".to_owned());
            change_text(&world, &record, "status", marked).await;
        }
        if account == "acc_dead" {
            expire(&world, &record).await;
        }
    }
    world
}

fn stored() -> Vec<Value> {
    let of = |account: &str, integration: Option<&str>, number: usize| {
        let (method, endpoint) = REQUESTS[number];
        let headers = json!({"Authorization": "Bearer s3cret"});
        let request = json!({"method": method, "endpoint": endpoint, "headers": headers});
        json!({"account_id": account, "integration_id": integration, "automation_id": format!("wf_{number}"),
            "request": request})
    };
    let all = ACCOUNTS
        .iter()
        .flat_map(|(account, integration)| (0..REQUESTS.len()).map(move |number| of(account, *integration, number)));
    all.collect()
}

async fn check(world: &World, file: &Path, options: &[&str]) -> Ended {
    run(&world.stack, &[&["check", path(file)], options].concat()).await
}

/// The word of `check` for an answer of the function.
fn verdict(answer: &Answer) -> String {
    match (answer.status, answer.body.get("missing_scopes")) {
        (200, Some(_)) => "missing_scopes".to_owned(),
        (200, None) => "runs".to_owned(),
        _ => answer.code().to_owned(),
    }
}

#[tokio::test]
async fn a_verdict_is_what_the_function_then_does() {
    let world = world().await;
    let folder = Folder::new();
    let stored = stored();
    let file = folder.file("stored", &stored);

    let checked = check(&world, &file, &["--json"]).await;

    assert_eq!((checked.code, checked.lines.len()), (1, stored.len() + 1), "{checked:?}");
    assert_eq!(world.stack.hubspot.requests().len(), 0, "nothing is sent");
    let mut seen = BTreeMap::new();
    for (line, request) in checked.lines.iter().zip(&stored) {
        let answer = world.execute(request).await;
        let executed = verdict(&answer);
        // Where HubSpot is content although it is not known to be, the check has said that it does not know.
        assert_eq!(line["verdict"], executed, "{request} {line} {}", answer.text);
        if answer.status == 200 {
            assert_eq!(line["ignored_credentials"], answer.body["ignored_credentials"], "{request}");
            assert_eq!(line["remedy"], answer.body["remedy"], "{request} {line} {}", answer.text);
        } else {
            assert_eq!(line["detail"], answer.body["detail"], "{request}");
        }
        if executed == "runs" {
            let is_limited = line["detail"].as_str().is_some_and(|detail| detail.contains("until its access token"));
            assert_eq!(is_limited, request["account_id"] == "acc_marked", "{line}");
        }
        *seen.entry(executed).or_insert(0) += 1;
    }
    assert_eq!(checked.summary()["verdicts"], json!(seen));
    assert_eq!(seen.len(), 8, "every kind of verdict is in the sample: {seen:?}");
}

#[tokio::test]
async fn an_import_file_replaces_the_table_before_the_import() {
    let (world, folder) = (World::start().await, Folder::new());
    let mut lines = [("acc_fine", "integration-1"), ("acc_two", "integration-2"), ("acc_two", "integration-1")]
        .map(|(account, id)| legacy(&world, account, id, if id.ends_with('2') { 20 } else { 10 }));
    lines[0]["scopes"] = json!(["crm.objects.contacts.read"]);
    let (import, file) = (folder.file("old", &lines), folder.file("stored", &stored()));
    let calls = world.stack.interruptions.calls().len();

    let checked = check(&world, &file, &["--json", "--import", path(&import)]).await;

    assert_eq!(world.stack.interruptions.calls().len(), calls, "AWS is not asked");
    let of = |account: &str, integration: Option<&str>, automation: &str| {
        let fits = |line: &&Value| {
            line["account_id"] == account
                && line["integration_id"].as_str() == integration
                && line["automation_id"] == automation
        };
        checked.lines.iter().find(fits).unwrap()["verdict"].clone()
    };
    assert_eq!(of("acc_fine", None, "wf_0"), "runs");
    assert_eq!(of("acc_fine", None, "wf_4"), "missing_scopes");
    assert_eq!(of("acc_two", Some("integration-2"), "wf_4"), "runs");
    assert_eq!(of("acc_two", Some("integration-1"), "wf_0"), "integration_superseded");
    assert_eq!(of("acc_dead", Some("integration-1"), "wf_0"), "not_connected");
}

#[tokio::test]
async fn the_summary_shows_totals_reasons_and_worst_accounts() {
    let world = world().await;
    let folder = Folder::new();
    let mut lines: Vec<String> = stored().iter().map(Value::to_string).collect();
    lines.push("{\"account_id\": \"acc_fine\", s3cret".to_owned());
    let file = folder.text("stored", &lines.join("\n"));

    let checked = check(&world, &file, &["--worst", "2"]).await;

    assert_eq!(checked.code, 1, "{checked:?}");
    let printed: Vec<&str> = checked.text.lines().map(str::trim).collect();
    assert_eq!(printed[0], format!("{} automations", lines.len()));
    assert!(
        printed.contains(&"5  invalid_request") || printed.iter().any(|line| line.ends_with("invalid_request")),
        "{printed:?}"
    );
    let worst =
        printed.iter().position(|line| line.starts_with("5 accounts have automations that will not run")).unwrap();
    assert_eq!(printed.len(), worst + 4, "{printed:?}");
    assert!(printed[worst + 3].contains("check --json"), "{printed:?}");
    let example = format!("(line {})", lines.len());
    assert!(printed.iter().any(|line| line.ends_with(&example)), "a reason with its example: {printed:?}");
    assert!(!format!("{checked:?}").contains("s3cret"), "{checked:?}");
}

#[tokio::test]
async fn a_missing_file_is_reported_before_anything_starts() {
    let world = World::start().await;

    let checked = check(&world, Path::new("/nowhere/stored"), &[]).await;

    assert_eq!((checked.code, checked.text.as_str()), (2, ""));
    assert!(checked.errors.contains("/nowhere/stored"), "{checked:?}");
}

#[tokio::test]
async fn the_scopes_in_the_table_decide() {
    let (world, folder) = (World::start().await, Folder::new());
    plant(&world, "acc_fine", 1).await;
    world.stack.hubspot.set_granted_scopes(PORTAL, &["crm.objects.contacts.read"]);
    let request = json!({"method": "POST", "endpoint": "/crm/v3/objects/deals/search"});
    let file = folder.file("stored", &[json!({"account_id": "acc_fine", "request": request})]);

    let checked = check(&world, &file, &["--json"]).await;

    assert_eq!(checked.lines[0]["missing_scopes"], json!(["crm.objects.deals.read"]), "{checked:?}");
    assert!(checked.lines[0]["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{checked:?}");
}

#[tokio::test]
async fn the_summary_counts_each_finding_about_an_endpoint() {
    let (world, folder) = (World::start().await, Folder::new());
    plant(&world, "acc_fine", 1).await;
    let endpoints = [
        ("GET", "/crm-pipelines/v1/pipelines/deals"),
        ("GET", "/crm/v4/objects/contacts/1/associations/companies"),
        ("GET", "/crm/v4/objects/contacts/2/associations/companies"),
        ("GET", "/cms/hubdb/2026-03/tables"),
        ("GET", "/app-webhooks/2026-09/7/settings"),
    ];
    let stored = endpoints.map(
        |(method, endpoint)| json!({"account_id": "acc_fine", "request": {"method": method, "endpoint": endpoint}}),
    );
    let file = folder.file("stored", &stored);

    let checked = check(&world, &file, &["--json"]).await;
    let shown = check(&world, &file, &[]).await;

    assert_eq!(checked.lines[3]["any_of"], json!(["hubdb", "hubdb.tables.read"]), "{checked:?}");
    assert_eq!(checked.lines[1]["any_of"], json!([]), "{checked:?}");
    let summary = checked.summary();
    assert_eq!((&summary["any_of"], &summary["deprecated"]), (&json!(1), &json!(3)), "{summary}");
    assert_eq!(summary["verdicts"]["developer_key"], 1, "{summary}");
    let ends: Vec<_> = summary["deprecations"].as_array().unwrap().iter().collect();
    let of = |end: &Value| (end["since"].clone(), end["automations"].clone(), end["example_line"].clone());
    assert_eq!(of(ends[0]), (json!("2026-12-04"), json!(1), json!(1)), "{summary}");
    assert_eq!(of(ends[1]), (json!("2027-03-30"), json!(2), json!(2)), "{summary}");
    for line in ["1  call endpoints for which HubSpot names alternative scopes", "3  call endpoints that HubSpot has"] {
        assert!(shown.text.contains(line), "{shown:?}");
    }
    assert!(shown.text.contains("2  since 2027-03-30, replaced by the same API by date"), "{shown:?}");
}
