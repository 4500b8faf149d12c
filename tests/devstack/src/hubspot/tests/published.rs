//! Every answer has the shape that HubSpot publishes, see `hubspot-schemas/ORIGIN.md`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;

use super::*;
use crate::template::repository;

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
    world: World,
    seen: BTreeSet<String>,
}

impl Caller {
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
        let reply = self.world.call(method, path, body).await;
        self.validate(method, path, (reply.status, reply.body))
    }

    async fn post_form(&mut self, path: &str, parameters: &[(&str, &str)]) {
        let answer = self.world.post(path, parameters).await;
        self.validate("POST", path, answer);
    }

    /// Creates an object; its path.
    async fn create(&mut self, path: &str) -> String {
        let created = self.call("POST", path, Some(json!({ "properties": { "a": true } }))).await;
        format!("{path}/{}", text(&created, "id"))
    }
}

/// Everything that can be done with a kind of object.
async fn objects(caller: &mut Caller, path: &str) {
    let one = caller.create(path).await;
    caller.call("GET", &one, None).await;
    caller.call("GET", &format!("{one}?properties=absent"), None).await;
    caller.call("PATCH", &one, Some(json!({ "properties": { "a": 1 } }))).await;
    caller.create(path).await;
    caller.call("GET", &format!("{path}?limit=1"), None).await;
    caller.call("POST", &format!("{path}/search"), Some(json!({ "limit": 1 }))).await;
    for id in [one.rsplit('/').next().unwrap(), "0"] {
        let inputs = json!({ "inputs": [{ "id": id }] });
        caller.call("POST", &format!("{path}/batch/read"), Some(inputs)).await;
    }
    caller.call("DELETE", &one, None).await;
}

async fn association(caller: &mut Caller) {
    let call = caller.create("/crm/v3/objects/calls").await;
    let contact = caller.create("/crm/v3/objects/contacts").await.replace("/crm/v3/objects", "/associations/default");
    caller.call("PUT", &format!("{}{contact}", call.replace("v3", "v4")), None).await;
}

async fn oauth(caller: &mut Caller) {
    let issued = caller.world.hubspot.authorize(PORTAL, &[READ]);
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", issued.refresh_token.as_str())];
    caller.post_form("/oauth/2026-03/token", &parameters).await;
    for token in [&issued.access_token, &issued.refresh_token] {
        caller.post_form("/oauth/2026-03/token/introspect", &[("token", token)]).await;
    }
    caller.post_form("/oauth/2026-03/token/revoke", &[("token", &issued.refresh_token)]).await;
}

#[tokio::test]
async fn each_success_is_as_hubspot_publishes_it() {
    let world = World::with(&super::super::kind::all_scopes()).await;
    let mut caller = Caller { world, seen: BTreeSet::new() };

    for kind in ["contacts", "companies", "leads"] {
        objects(&mut caller, &format!("/crm/v3/objects/{kind}")).await;
    }
    objects(&mut caller, "/crm/objects/2026-03/contacts").await;
    association(&mut caller).await;
    oauth(&mut caller).await;

    let all = PUBLISHED.files.iter().flat_map(|file| file["operations"].as_object().unwrap().keys().cloned());
    assert_eq!(caller.seen, all.collect());
}

#[tokio::test]
async fn each_refusal_is_as_hubspot_publishes_it() {
    let world = World::start().await;
    let token = &world.issued.access_token;
    let contact = json!({ "properties": { "email": "a@example.com" } });
    world.call("POST", CONTACTS, Some(contact.clone())).await;
    let poor = world.hubspot.authorize(PORTAL, &[READ]).access_token;
    let (search, batch) = (format!("{CONTACTS}/search"), format!("{CONTACTS}/batch/read"));
    let (none, list) = (format!("{CONTACTS}/1"), format!("{CONTACTS}?limit=0"));

    for (status, method, path, token, body) in [
        (400, "GET", list.as_str(), token.as_str(), None),
        (400, "POST", CONTACTS, token, Some(json!({}))),
        (400, "POST", &search, token, Some(json!({ "limit": 0 }))),
        (400, "POST", &batch, token, Some(json!([]))),
        (401, "GET", CONTACTS, "unknown", None),
        (403, "POST", CONTACTS, &poor, Some(contact.clone())),
        (404, "GET", &none, token, None),
        (409, "POST", CONTACTS, token, Some(contact)),
        (415, "POST", CONTACTS, token, None),
    ] {
        let reply = world.call_with(token, method, path, body).await;
        assert_eq!(
            (reply.status, PUBLISHED.wrong_error(&reply.body)),
            (status, None),
            "{method} {path}: {}",
            reply.body
        );
    }
    world.hubspot.set_location(PORTAL, PortalLocation::Migrating);
    let reply = world.call("GET", CONTACTS, None).await;
    assert_eq!((reply.status, PUBLISHED.wrong_error(&reply.body)), (477, None), "{}", reply.body);
}

#[tokio::test]
async fn reported_errors_are_as_published_but_for_those_listed() {
    let world = World::start().await;
    let mut otherwise = Vec::new();

    for reported in &REPORTED {
        let fault = (reported.fault)();
        // Successes, answers that do not come, and the token endpoint's own errors, which are RFC 6749's.
        let Fault::Answer(answer) = &fault else { continue };
        if answer.status == 200 || ["unauthorized", "expired-code"].contains(&reported.name) {
            continue;
        }
        world.hubspot.script(Match::api(), [fault]);
        let path = "/crm/v3/objects/contacts/batch/read";
        let reply = world.call("POST", path, Some(json!({}))).await;
        let wrong = if reply.status == 207 {
            let (file, operation) = PUBLISHED.operation("POST", path);
            let schema = Published::validator(file, file["operations"][&operation]["207"].clone());
            schema.validate(&reply.body).err().map(|error| error.to_string())
        } else {
            PUBLISHED.wrong_error(&reply.body)
        };
        if let Some(wrong) = wrong {
            assert!(REPORTED_OTHERWISE.contains(&reported.name), "{}: {wrong}: {}", reported.name, reply.body);
            otherwise.push(reported.name);
        }
    }

    assert_eq!(otherwise.into_iter().collect::<BTreeSet<_>>(), REPORTED_OTHERWISE.into());
}
