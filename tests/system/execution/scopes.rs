//! The engine's answer when HubSpot refuses a request because a scope is missing.

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{access_token, connected, to};
use crate::checks::{asking, grant};
use crate::world::{ACCOUNT, World};

/// HubSpot's answer, in the test's own words.
fn refusal(scopes: &[&str]) -> Answer {
    let errors = json!([{"message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": scopes}}]);
    Answer::json(403, &json!({"status": "error", "category": "MISSING_SCOPES", "errors": errors}))
}

async fn answered(world: &World, refusal: Answer) -> Value {
    world.stack.hubspot.script(Match::api(), [Fault::Answer(refusal)]);
    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;
    assert_eq!((answer.status, &answer.body["hubspot"]["status"]), (200, &json!(403)), "{}", answer.text);
    answer.body
}

#[tokio::test]
async fn missing_scopes_are_named_beside_those_granted_and_what_helps() {
    let world = connected().await;
    world.stack.hubspot.set_granted_scopes(PORTAL, &["oauth"]);
    grant(&world, &["oauth"]).await;

    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    assert_eq!((answer.status, &answer.body["hubspot"]["status"]), (200, &json!(403)));
    assert_eq!(answer.body["missing_scopes"], json!(["crm.objects.contacts.read"]));
    assert_eq!((&answer.body["granted_scopes"], &answer.body["remedy"]), (&json!(["oauth"]), &json!("reconnect")));
    assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("answered"), &json!(false)));
}

#[tokio::test]
async fn the_check_and_a_real_refusal_name_the_same_remedy() {
    let world = connected().await;
    world.stack.hubspot.set_granted_scopes(PORTAL, &["oauth"]);
    grant(&world, &["oauth"]).await;

    for (method, endpoint, remedy) in [
        ("POST", "/crm/v3/objects/contacts", "reconnect"),
        ("PATCH", "/crm/v3/objects/deals/7", "hubspot_plan"),
        ("GET", "/crm/v3/objects/leads", "ask_operator"),
    ] {
        let check = world.check(ACCOUNT, &asking(method, endpoint)).await;
        let execution = world.execute(&to(method, endpoint)).await;

        assert_eq!((&check.body["verdict"], &check.body["remedy"]), (&json!("missing"), &json!(remedy)), "{endpoint}");
        assert_eq!(execution.body["remedy"], remedy, "{method} {endpoint}: {}", execution.text);
        assert_eq!(execution.body["missing_scopes"], check.body["required_scopes"]);
        assert_eq!(execution.body["granted_scopes"], check.body["granted_scopes"]);
    }
}

#[tokio::test]
async fn of_several_scopes_of_which_one_is_enough_the_easiest_is_the_remedy() {
    let world = connected().await;
    grant(&world, &["oauth", "crm.objects.contacts.read"]).await;
    let (here, asked, plan, operator) =
        ("crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.deals.read", "e-commerce");

    for (listed, remedy) in [
        (&[operator, plan, asked][..], json!("reconnect")),
        (&[operator, plan, here], json!("hubspot_plan")),
        (&[operator, here], json!("ask_operator")),
    ] {
        let body = answered(&world, refusal(listed)).await;

        assert_eq!(body["remedy"], remedy, "{listed:?}");
    }
}

#[tokio::test]
async fn for_a_retired_scope_that_hubspot_names_ours_and_its_remedy_are_told() {
    let world = connected().await;
    grant(&world, &["oauth"]).await;
    let owners = to("GET", "/crm/v3/owners");
    let told = async |listed: &[&str], request: &Value| {
        world.stack.hubspot.script(Match::api(), [Fault::Answer(refusal(listed))]);
        let answer = world.execute(request).await.body;
        (answer["missing_scopes"].clone(), answer["remedy"].clone())
    };
    let ours = || (json!(["crm.objects.owners.read"]), json!("hubspot_plan"));

    assert_eq!(told(&["contacts"], &owners).await, ours());
    assert_eq!(told(&[], &owners).await, ours());
    // One that HubSpot still has, or a request of which the guard knows nothing: HubSpot's own list.
    assert_eq!(told(&["contacts", "files"], &owners).await, (json!(["contacts", "files"]), json!("ask_operator")));
    let unknown = to("GET", "/brand/new");
    assert_eq!(told(&["contacts"], &unknown).await, (json!(["contacts"]), json!("ask_operator")));
    grant(&world, &["oauth", "crm.objects.owners.read"]).await;
    assert_eq!(told(&["contacts"], &owners).await, (json!(["contacts"]), json!("ask_operator")));
}

#[tokio::test]
async fn no_remedy_is_named_where_none_is_known_or_nothing_is_missing() {
    let world = connected().await;
    grant(&world, &["oauth", "crm.objects.contacts.read"]).await;
    let unauthorized = Answer::json(403, &json!({"category": "BANNED", "requiredScopes": ["automation"]}));

    let empty = answered(&world, refusal(&[])).await;
    let all_granted = answered(&world, refusal(&["crm.objects.contacts.read"])).await;
    let other = answered(&world, unauthorized).await;

    assert_eq!((empty.get("remedy"), &empty["missing_scopes"]), (None, &json!([])));
    assert_eq!(empty["granted_scopes"], json!(["oauth", "crm.objects.contacts.read"]));
    assert_eq!(all_granted.get("remedy"), None);
    assert_eq!(all_granted["missing_scopes"], json!(["crm.objects.contacts.read"]));
    for field in ["missing_scopes", "granted_scopes", "remedy"] {
        assert_eq!(other.get(field), None, "{field}");
    }
}

#[tokio::test]
async fn a_token_among_the_missing_scopes_is_scrubbed() {
    let world = connected().await;
    let token = access_token(&world).await;

    let body = answered(&world, refusal(&[&token, &format!("Bearer {token}")])).await;

    assert_eq!(body["missing_scopes"], json!(["Bearer [REDACTED]", "[REDACTED]"]));
    assert!(!body.to_string().contains(&token));
}
