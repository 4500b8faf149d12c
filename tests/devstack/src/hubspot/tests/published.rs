//! Every answer has the shape that HubSpot publishes, see `hubspot-schemas/ORIGIN.md`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::json;

use super::*;
use crate::template::repository;

const KINDS: [&str; 11] = [
    "contacts",
    "companies",
    "deals",
    "tickets",
    "calls",
    "notes",
    "tasks",
    "meetings",
    "communications",
    "emails",
    "leads",
];

/// Faults whose answers are reported to look other than the published error.
const REPORTED_OTHERWISE: [&str; 12] =
    ["429", "429-secondly", "429-daily", "401-path", "403-edge", "520", "521", "522", "523", "524", "525", "526"];

/// HubSpot's files.
struct Published {
    files: [Value; 2],
}

static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let files = ["crm", "oauth"].map(|name| {
        let path = repository().join(format!("tests/devstack/hubspot-schemas/{name}.json"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    });
    Published { files }
});

impl Published {
    /// The operation of a call, and its answers by status.
    fn operation(&self, method: &str, path: &str) -> (&Value, String) {
        let path = path.split('?').next().unwrap();
        // The dated versions have the same answers.
        let path = ["2026-03", "2026-09"].iter().fold(path.to_owned(), |path, version| {
            path.replace(&format!("/crm/objects/{version}/"), "/crm/v3/objects/")
        });
        let fits = |name: &str| {
            let (own, template) = name.split_once(' ').unwrap();
            let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            let same = template.iter().zip(&path).all(|(own, given)| own == given || *own == "{}");
            own == method && template.len() == path.len() && same
        };
        let all = self
            .files
            .iter()
            .flat_map(|file| file["operations"].as_object().unwrap().keys().map(move |name| (file, name)));
        let found = all.filter(|(_, name)| fits(name)).min_by_key(|(_, name)| name.matches("{}").count());
        let (file, name) = found.unwrap_or_else(|| panic!("{method} {path} is not published"));
        (file, name.clone())
    }

    fn validator(file: &Value, schema: Value) -> Validator {
        let mut root = schema;
        root["schemas"] = file["schemas"].clone();
        jsonschema::options().should_validate_formats(true).build(&root).unwrap()
    }

    /// Why an error is not as it is published.
    fn wrong_error(&self, answer: &Value) -> Option<String> {
        let error = Self::validator(&self.files[0], json!({ "$ref": "#/schemas/Error" }));
        error.validate(&without_nulls(answer)).err().map(|error| error.to_string())
    }
}

/// An answer without the members that are `null`; a required one is missed then.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Value::Array(all) => all.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A caller who validates every success.
struct Caller {
    hubspot: HubSpot,
    http: Client,
    token: String,
    seen: BTreeSet<String>,
}

impl Caller {
    async fn start() -> Self {
        let (hubspot, http) = start().await;
        let scopes = super::super::kind::all_scopes();
        let further = ["crm.objects.owners.read", "crm.lists.read", "crm.lists.write", "files", "timeline"];
        let scopes: Vec<&str> = scopes.into_iter().chain(further).chain(["analytics.behavioral_events.send"]).collect();
        let token = hubspot.authorize(PORTAL, &scopes).access_token;
        Self { hubspot, http, token, seen: BTreeSet::new() }
    }

    fn validate(&mut self, method: &str, path: &str, (status, body): (u16, Value)) -> Value {
        assert!(status < 300, "{method} {path}: {status} {body}");
        let (file, operation) = PUBLISHED.operation(method, path);
        if body == json!("") {
            assert!(file["operations"][&operation].as_object().unwrap().is_empty(), "{operation} has a body");
        } else {
            let schema = file["operations"][&operation][status.to_string()].clone();
            assert!(schema.is_object(), "{operation} does not answer {status}");
            let answer = without_nulls(&body);
            let wrong: Vec<String> =
                Published::validator(file, schema).iter_errors(&answer).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{operation}: {wrong:?}: {body}");
        }
        self.seen.insert(operation);
        body
    }

    async fn call(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = call(&self.hubspot, &self.http, method, path, &self.token, body).await;
        self.validate(method, path, answer)
    }

    async fn post_form(&mut self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = post(&self.hubspot, &self.http, path, parameters).await;
        self.validate("POST", path, answer)
    }
}

fn properties(kind: &str) -> Value {
    match kind {
        "contacts" => json!({ "email": format!("{}@example.com", uuid::Uuid::now_v7()) }),
        "tickets" => json!({ "hs_pipeline_stage": "1" }),
        "leads" => json!({ "hs_lead_name": "A" }),
        _ => json!({ "hs_timestamp": "2026-01-01T00:00:00Z" }),
    }
}

/// Everything that can be done with a kind of object.
async fn objects(caller: &mut Caller, root: &str, kind: &str) {
    let path = format!("{root}/{kind}");
    let input = json!({ "properties": properties(kind) });
    let created = caller.call("POST", &path, Some(input)).await;
    let one = format!("{path}/{}", text(&created, "id"));
    caller.call("GET", &one, None).await;
    caller.call("GET", &format!("{one}?properties=absent&associations=contacts"), None).await;
    caller.call("PATCH", &one, Some(json!({ "properties": { "a": 1 } }))).await;
    let inputs = json!({ "inputs": [{ "properties": properties(kind) }] });
    caller.call("POST", &format!("{path}/batch/create"), Some(inputs)).await;
    caller.call("GET", &format!("{path}?limit=1"), None).await;
    caller.call("POST", &format!("{path}/search"), Some(json!({ "limit": 1 }))).await;
    for id in [text(&created, "id"), "0"] {
        let inputs = json!({ "inputs": [{ "id": id }] });
        caller.call("POST", &format!("{path}/batch/read"), Some(inputs)).await;
    }
    caller.call("DELETE", &one, None).await;
}

async fn associations(caller: &mut Caller) {
    let mut ids = Vec::new();
    for kind in ["contacts", "calls"] {
        let path = format!("/crm/v3/objects/{kind}");
        let created = caller.call("POST", &path, Some(json!({ "properties": properties(kind) }))).await;
        ids.push(text(&created, "id").to_owned());
    }
    let [contact, call] = ids.as_slice() else { panic!("two were created") };
    caller.call("PUT", &format!("/crm/v4/objects/calls/{call}/associations/default/contacts/{contact}"), None).await;
    caller.call("GET", &format!("/crm/v4/objects/calls/{call}/associations/contacts"), None).await;
    let read = caller.call("GET", &format!("/crm/v3/objects/calls/{call}?associations=contacts"), None).await;
    assert_eq!(read["associations"]["contacts"]["results"][0]["id"], contact.as_str());
}

async fn elsewhere(caller: &mut Caller) {
    for (method, path) in [
        ("GET", "/crm/v3/owners"),
        ("GET", "/crm/v3/owners/1"),
        ("GET", "/crm/v3/lists/1"),
        ("GET", "/crm/v3/lists/1/memberships"),
        ("POST", "/crm/v3/lists"),
        ("POST", "/crm/v3/lists/search"),
        ("PUT", "/crm/v3/lists/1/memberships/add"),
        ("PUT", "/crm/v3/lists/1/memberships/remove"),
        ("POST", "/files/v3/files"),
        ("GET", "/files/v3/files/1"),
        ("POST", "/events/v3/send"),
        ("POST", "/integrators/timeline/v3/events"),
    ] {
        caller.call(method, path, Some(json!({}))).await;
    }
}

async fn oauth(caller: &mut Caller) {
    let issued = caller.hubspot.authorize(PORTAL, &[READ]);
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", issued.refresh_token.as_str())];
    caller.post_form("/oauth/2026-03/token", &parameters).await;
    for token in [&issued.access_token, &issued.refresh_token] {
        caller.post_form("/oauth/2026-03/token/introspect", &[("token", token)]).await;
    }
    caller.post_form("/oauth/2026-03/token/revoke", &[("token", &issued.refresh_token)]).await;
}

#[tokio::test]
async fn each_success_is_as_hubspot_publishes_it() {
    let mut caller = Caller::start().await;

    for kind in KINDS {
        objects(&mut caller, "/crm/v3/objects", kind).await;
    }
    objects(&mut caller, "/crm/objects/2026-03", "contacts").await;
    associations(&mut caller).await;
    elsewhere(&mut caller).await;
    oauth(&mut caller).await;

    let all = PUBLISHED.files.iter().flat_map(|file| file["operations"].as_object().unwrap().keys().cloned());
    assert_eq!(caller.seen, all.collect());
}

#[tokio::test]
async fn each_refusal_is_as_hubspot_publishes_it() {
    let caller = Caller::start().await;
    let (hubspot, http) = (&caller.hubspot, &caller.http);
    let contact = json!({ "properties": { "email": "a@example.com" } });
    call(hubspot, http, "POST", "/crm/v3/objects/contacts", &caller.token, Some(contact.clone())).await;
    let poor = hubspot.authorize(PORTAL, &[READ]).access_token;
    let wrong = |email: &str| Some(json!({ "properties": { "email": email } }));

    for (status, method, path, token, body) in [
        (400, "GET", "/crm/v3/objects/contacts?limit=0", &caller.token, None),
        (400, "POST", "/crm/v3/objects/contacts", &caller.token, wrong("x")),
        (400, "POST", "/crm/v3/objects/calls", &caller.token, Some(json!({ "properties": {} }))),
        (400, "POST", "/crm/v3/objects/contacts/search", &caller.token, Some(json!({ "limit": 0 }))),
        (400, "POST", "/crm/v3/objects/contacts/batch/read", &caller.token, Some(json!({}))),
        (401, "GET", "/crm/v3/objects/contacts", &"unknown".to_owned(), None),
        (403, "POST", "/crm/v3/objects/contacts", &poor, Some(contact.clone())),
        (404, "GET", "/crm/v3/objects/contacts/1", &caller.token, None),
        (409, "POST", "/crm/v3/objects/contacts", &caller.token, Some(contact)),
        (415, "POST", "/crm/v3/objects/contacts", &caller.token, None),
    ] {
        let answer = call(hubspot, http, method, path, token, body).await;
        assert_eq!((answer.0, PUBLISHED.wrong_error(&answer.1)), (status, None), "{method} {path}: {}", answer.1);
    }
    hubspot.set_location(PORTAL, PortalLocation::Migrating);
    let answer = call(hubspot, http, "GET", "/crm/v3/objects/contacts", &caller.token, None).await;
    assert_eq!((answer.0, PUBLISHED.wrong_error(&answer.1)), (477, None), "{}", answer.1);
}

#[tokio::test]
async fn reported_errors_are_as_published_but_for_those_listed() {
    let caller = Caller::start().await;
    let (hubspot, http) = (&caller.hubspot, &caller.http);
    let mut otherwise = Vec::new();

    for reported in &REPORTED {
        let fault = (reported.fault)();
        // Successes, answers that do not come, and the token endpoint's own errors, which are RFC 6749's.
        let Fault::Answer(answer) = &fault else { continue };
        if answer.status == 200 || ["unauthorized", "expired-code"].contains(&reported.name) {
            continue;
        }
        hubspot.script(Match::api(), [fault]);
        let path = "/crm/v3/objects/contacts/batch/create";
        let answer = call(hubspot, http, "POST", path, &caller.token, Some(json!({}))).await;
        let wrong = if answer.0 == 207 {
            let (file, operation) = PUBLISHED.operation("POST", path);
            let schema = Published::validator(file, file["operations"][&operation]["207"].clone());
            schema.validate(&answer.1).err().map(|error| error.to_string())
        } else {
            PUBLISHED.wrong_error(&answer.1)
        };
        if let Some(wrong) = wrong {
            assert!(REPORTED_OTHERWISE.contains(&reported.name), "{}: {wrong}: {}", reported.name, answer.1);
            otherwise.push(reported.name);
        }
    }

    assert_eq!(otherwise.into_iter().collect::<BTreeSet<_>>(), REPORTED_OTHERWISE.into());
}
