//! The scope table against the double, whose scopes are written down apart from the product's.

use std::collections::{BTreeMap, BTreeSet};

use devstack::hubspot::PORTAL;
use serde_json::json;

use super::{asking, grant};
use crate::execution::{connected, to, with};
use crate::world::{ACCOUNT, World};

/// Requests to every row of the scope table, by plural, singular and type id, the versions in turn.
fn requests() -> Vec<(&'static str, String)> {
    let objects = [
        ["contacts", "contact", "0-1"],
        ["companies", "company", "0-2"],
        ["deals", "deal", "0-3"],
        ["tickets", "ticket", "0-5"],
        ["leads", "lead", "0-136"],
        ["calls", "call", "0-48"],
        ["notes", "note", "0-46"],
        ["tasks", "task", "0-27"],
        ["meetings", "meeting", "0-47"],
        ["communications", "communication", "0-18"],
        ["emails", "email", "0-49"],
    ];
    let mut requests = Vec::new();
    for ([plural, singular, type_id], base) in
        objects.into_iter().zip(["/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"].into_iter().cycle())
    {
        requests.extend([
            ("GET", format!("{base}/{plural}")),
            ("POST", format!("{base}/{singular}")),
            ("POST", format!("{base}/{type_id}/search")),
            ("POST", format!("{base}/{plural}/batch/read")),
            ("POST", format!("{base}/{type_id}/batch/create")),
            ("GET", format!("{base}/{singular}/7")),
            ("PATCH", format!("{base}/{plural}/7")),
            ("DELETE", format!("{base}/{type_id}/7")),
            ("GET", format!("/crm/v4/objects/{plural}/7/associations/deals")),
            ("PUT", format!("/crm/v4/objects/{singular}/7/associations/default/{type_id}/8")),
            ("PUT", format!("/crm/v4/objects/{type_id}/7/associations/default/ticket/8")),
        ]);
    }
    let others = [
        ("GET", "/crm/v3/owners?email=agent%40example.com&limit=1"),
        ("GET", "/crm/v3/owners/7"),
        ("GET", "/crm/v3/lists/7/memberships"),
        ("POST", "/crm/v3/lists/search"),
        ("POST", "/crm/v3/lists/records/memberships/batch/read"),
        ("POST", "/crm/v3/lists"),
        ("PUT", "/crm/v3/lists/7/memberships/add"),
        ("POST", "/files/v3/files"),
        ("GET", "/files/v3/files/7"),
        ("GET", "/automation/v4/flows"),
        ("POST", "/events/v3/send"),
        ("POST", "/integrators/timeline/v3/events"),
        ("GET", "/account-info/v3/details"),
        ("POST", "/engagements/v1/engagements"),
        ("POST", "/contacts/v1/contact/createOrUpdate/email/jane%40example.com"),
    ];
    requests.extend(others.map(|(method, endpoint)| (method, endpoint.to_owned())));
    requests
}

/// The scopes that the check names for these requests to an account without any.
async fn scopes(world: &World) -> BTreeSet<String> {
    let mut scopes = BTreeSet::from(["oauth".to_owned()]);
    grant(world, &[]).await;
    for (method, endpoint) in requests() {
        let check = world.check(ACCOUNT, &asking(method, &endpoint)).await;
        let named = ["required_scopes", "any_of"].map(|field| check.body[field].as_array().unwrap().iter());
        let named = named.into_iter().flatten().flat_map(|scopes| scopes.as_str().unwrap().split(' '));
        scopes.extend(named.map(str::to_owned));
    }
    scopes
}

#[tokio::test]
async fn what_the_check_says_of_every_row_is_what_hubspot_does() {
    let world = connected().await;
    let scopes = scopes(&world).await;
    // Everything, nothing, and everything but one.
    let all: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let mut grants = vec![("nothing", all.clone()), ("everything", Vec::new())];
    grants.extend(
        all.iter()
            .map(|left_out| (*left_out, all.iter().copied().filter(|scope| scope != left_out).collect::<Vec<_>>())),
    );

    let mut verdicts = BTreeMap::from([("covered", 0), ("missing", 0), ("unknown", 0)]);
    for (left_out, granted) in grants {
        world.stack.hubspot.set_granted_scopes(PORTAL, &granted);
        grant(&world, &granted).await;
        for (method, endpoint) in requests() {
            let check = world.check(ACCOUNT, &asking(method, &endpoint)).await;
            let execution = world.execute(&with(to(method, &endpoint), &json!({"body": {}}))).await;

            let case = format!("{method} {endpoint} without {left_out}");
            assert_eq!((check.status, execution.status), (200, 200), "{case}: {} {}", check.text, execution.text);
            assert_eq!(execution.body["hubspot"].get("body_text"), None, "the double has no such route: {case}");
            let refused = execution.body.get("missing_scopes").is_some();
            let verdict = check.body["verdict"].as_str().unwrap();
            match verdict {
                "covered" => assert!(!refused, "{case}: {}", execution.text),
                "missing" => assert!(refused, "{case}: {}", execution.text),
                _ => {}
            }
            let page = check.body["docs"].as_str().unwrap_or_default();
            assert!(page.starts_with("https://developers.hubspot.com/docs/"), "{case}: {}", check.text);
            *verdicts.get_mut(verdict).unwrap() += 1;
        }
    }
    // A check that never commits itself would agree with everything.
    assert!(verdicts["covered"] > 2_000 && verdicts["missing"] > 150, "{verdicts:?}");
}

/// A sample of HubSpot's published operations that the guard lets pass, with examples in place of variables.
fn published() -> impl Iterator<Item = (&'static str, String)> {
    let rows = include_str!("../../../shared/guard/operations/operations.tsv").lines();
    let rows = rows.filter(|row| !row.contains("/oauth/") && !row.contains("external-install")).step_by(29);
    rows.map(|row| {
        let (method, rest) = row.split_once('\t').unwrap();
        let path = rest.split('\t').next().unwrap();
        let example = |segment| match str::strip_prefix(segment, "{") {
            Some(name) if name.to_ascii_lowercase().contains("objecttype") => "contacts",
            Some(_) => "7",
            None => segment,
        };
        (method, path.split('/').map(example).collect::<Vec<_>>().join("/"))
    })
}

#[tokio::test]
async fn published_operations_are_refused_as_the_check_predicts() {
    let world = connected().await;
    world.stack.hubspot.set_rate_limit(None);
    world.stack.hubspot.set_granted_scopes(PORTAL, &["oauth"]);
    grant(&world, &["oauth"]).await;

    let (mut refused, mut developer_keys, mut others) = (0, 0, 0);
    for (method, endpoint) in published() {
        let check = world.check(ACCOUNT, &asking(method, &endpoint)).await;
        let execution = world.execute(&with(to(method, &endpoint), &json!({"body": {}}))).await;

        let case = format!("{method} {endpoint}: {} {}", check.text, execution.text);
        let status = execution.body["hubspot"]["status"].as_u64().unwrap();
        if check.body["developer_key"] == true {
            assert_eq!(status, 401, "{case}");
            developer_keys += 1;
        } else if check.body["verdict"] == "missing" {
            assert_eq!(status, 403, "{case}");
            assert!(execution.body["missing_scopes"].is_array(), "{case}");
            refused += 1;
        } else {
            others += 1;
        }
    }
    assert!(refused > 80 && developer_keys > 3 && others > 3, "{refused} {developer_keys} {others}");
}
