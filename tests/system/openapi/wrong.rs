//! Invalid answers: each has one error, and is refused for it.

use serde_json::{Value, json};

use super::document::Document;
use super::{ObservedCall, check};

/// An answer that can be edited.
#[derive(Clone)]
struct Draft {
    method: &'static str,
    path: &'static str,
    request: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Draft {
    fn check(&self) -> Result<super::AnswerKind, String> {
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        check(&ObservedCall {
            method: self.method,
            path: self.path.to_owned(),
            request: self.request.as_bytes(),
            status: self.status,
            headers: self.headers.clone(),
            body: body.as_bytes(),
        })
    }

    fn set(&mut self, header: &str, value: Option<&str>) {
        self.headers.retain(|(name, _)| name != header);
        self.headers.extend(value.map(|value| (header.to_owned(), value.to_owned())));
    }
}

fn draft(method: &'static str, path: &'static str, status: u16, kind: &str, body: Value) -> Draft {
    let headers = [("content-type", kind), ("cache-control", "no-store")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Draft { method, path, request: String::new(), status, headers, body }
}

/// An answer to an automation request that HubSpot answered.
fn executed() -> Draft {
    let operation = &Document::get().root["paths"]["/v1/automation-requests"]["post"];
    let example = &operation["responses"]["200"]["content"]["application/json"]["examples"]["answered"]["value"];
    draft("POST", "/v1/automation-requests", 200, "application/json", example.clone())
}

/// A problem among the document's examples.
fn problem(method: &'static str, path: &'static str, name: &str) -> Draft {
    let body = Document::get().root["components"]["examples"][name]["value"].clone();
    let status = body["status"].as_u64().unwrap().try_into().unwrap();
    let after = body["retry_after_seconds"].as_u64();
    let mut draft = draft(method, path, status, "application/problem+json", body);
    draft.set("retry-after", after.map(|seconds| seconds.to_string()).as_deref());
    draft
}

fn execution_problem(name: &str) -> Draft {
    problem("POST", "/v1/automation-requests", name)
}

/// One thing that is wrong: its name in a failure, the edit, and what the refusal names.
type Wrong = (&'static str, fn(&mut Draft), &'static str);

fn assert_refused(right: &Draft, wrongs: &[Wrong]) {
    right.check().unwrap_or_else(|why| panic!("the right one is refused: {why}"));
    for (what, edit, named) in wrongs {
        let mut wrong = right.clone();
        edit(&mut wrong);
        match wrong.check() {
            Ok(kind) => panic!("{what} passes as {kind:?}"),
            Err(why) => assert!(why.contains(named), "{what} is refused for something else: {why}"),
        }
    }
}

#[test]
fn an_execution_that_says_more_less_or_something_untrue_is_refused() {
    assert_refused(
        &executed(),
        &[
            ("a further field", |d| d.body["extra"] = json!(1), "'extra'"),
            ("no outcome", |d| drop(d.body.as_object_mut().unwrap().remove("outcome")), "\"outcome\" is a required"),
            ("an execution that was not sent", |d| d.body["outcome"] = json!("not_sent"), "/hubspot/status"),
            ("no attempt", |d| d.body["attempts"] = json!(0), "/attempts"),
            ("an invalid id", |d| d.body["execution_id"] = json!("1"), "/execution_id"),
            (
                "a value of a credential",
                |d| d.body["ignored_credentials"] = json!(["query:hapikey=1"]),
                "/ignored_cred",
            ),
            (
                "a credential twice",
                |d| d.body["ignored_credentials"] = json!(["userinfo", "userinfo"]),
                "/ignored_cred",
            ),
            ("two bodies", |d| d.body["hubspot"]["body_text"] = json!("a"), "/hubspot/body_text"),
            (
                "an omitted body that is there",
                |d| d.body["hubspot"]["body_omitted"] = json!("too_large"),
                "body_omitted",
            ),
            ("a header too many", |d| d.body["hubspot"]["headers"]["set-cookie"] = json!("a=1"), "/hubspot/headers"),
            ("an unknown outcome of a 200", |d| d.body["outcome"] = json!("unknown"), "/hubspot/status"),
            ("a 200 to repeat", |d| d.body["retryable"] = json!(true), "/retryable"),
            ("a 429 not to repeat", |d| d.body["hubspot"]["status"] = json!(429), "/retryable"),
            (
                "a 5xx that was answered and is not to repeat",
                |d| d.body["hubspot"]["status"] = json!(502),
                "/retryable",
            ),
            (
                "a wait for nothing",
                |d| {
                    d.body["retry_after_seconds"] = json!(1);
                    d.set("retry-after", Some("1"));
                },
                "/retryable",
            ),
            ("missing scopes alone", |d| d.body["missing_scopes"] = json!([]), "granted_scopes"),
            ("a remedy alone", |d| d.body["remedy"] = json!("reconnect"), "missing_scopes"),
            (
                "missing scopes of a 200",
                |d| {
                    d.body["missing_scopes"] = json!([]);
                    d.body["granted_scopes"] = json!([]);
                },
                "/hubspot/status",
            ),
            ("another status", |d| d.status = 201, "this status"),
            ("another content type", |d| d.set("content-type", Some("text/plain")), "content type text/plain"),
            ("no content type", |d| d.set("content-type", None), "no content type"),
            ("an answer to keep", |d| d.set("cache-control", None), "cache-control is missing"),
            ("a public answer", |d| d.set("cache-control", Some("public")), "cache-control"),
            ("a header that is not documented", |d| d.set("set-cookie", Some("a=1")), "set-cookie is not documented"),
            ("Retry-After without its field", |d| d.set("retry-after", Some("1")), "Retry-After"),
            ("a body that is no JSON", |d| d.body = Value::Null, "JSON is expected"),
            ("an accepted request that is invalid", |d| d.request = "{}".to_owned(), "the request"),
            (
                "an accepted request with a typo",
                |d| d.request = r#"{"account_id":"a","request":{"method":"GET","endpoint":"/","querry":1}}"#.to_owned(),
                "'querry'",
            ),
        ],
    );
}

#[test]
fn an_execution_of_unknown_outcome_is_not_to_be_repeated() {
    let mut right = executed();
    right.body["outcome"] = json!("unknown");
    right.body["hubspot"]["status"] = json!(502);

    assert_refused(
        &right,
        &[
            ("an unknown outcome to repeat", |d| d.body["retryable"] = json!(true), "/retryable"),
            ("an unknown outcome of a 404", |d| d.body["hubspot"]["status"] = json!(404), "/hubspot/status"),
        ],
    );
}

#[test]
fn a_problem_whose_parts_do_not_belong_together_is_refused() {
    assert_refused(
        &execution_problem("rate_limited"),
        &[
            ("no outcome", |d| drop(d.body.as_object_mut().unwrap().remove("outcome")), "\"outcome\" is a required"),
            ("an outcome of its own", |d| d.body["outcome"] = json!("answered"), "/outcome"),
            ("a code of another status", |d| d.body["code"] = json!("internal"), "/code"),
            ("a code that is not known", |d| d.body["code"] = json!("teapot"), "/code"),
            ("the type of another code", |d| d.body["type"] = json!("urn:hubspot-automations:internal"), "/type"),
            ("another status in the body", |d| d.body["status"] = json!(503), "/status"),
            ("another status outside", |d| d.status = 503, "/code"),
            ("a limit not to repeat", |d| d.body["retryable"] = json!(false), "/retryable"),
            ("a further field", |d| d.body["cause"] = json!("secret"), "'cause'"),
            ("no detail", |d| d.body["detail"] = json!(""), "/detail"),
            ("no wait", |d| drop(d.body.as_object_mut().unwrap().remove("retry_after_seconds")), "retry_after_seconds"),
            ("another wait in the header", |d| d.set("retry-after", Some("9")), "Retry-After"),
            ("no wait in the header", |d| d.set("retry-after", None), "Retry-After"),
            ("plain JSON", |d| d.set("content-type", Some("application/json")), "message"),
        ],
    );
    assert_refused(
        &execution_problem("idempotency_conflict"),
        &[("a conflict that was sent", |d| d.body["outcome"] = json!("unknown"), "/outcome")],
    );
    assert_refused(
        &execution_problem("invalid_execution"),
        &[
            ("a bad request to repeat", |d| d.body["retryable"] = json!(true), "/retryable"),
            ("a bad request that was sent", |d| d.body["outcome"] = json!("unknown"), "/outcome"),
            ("a bad request that was answered", |d| d.body["outcome"] = json!("answered"), "/outcome"),
        ],
    );
    let mut right = execution_problem("hubspot_unreachable");
    right.body["retryable"] = json!(true);
    let not_sent: Wrong = (
        "nothing was sent, and not to repeat",
        |d| {
            d.body["outcome"] = json!("not_sent");
            d.body["retryable"] = json!(false);
        },
        "/retryable",
    );
    assert_refused(&right, &[not_sent]);
}

#[test]
fn a_problem_of_the_dashboards_routes_has_no_outcome_and_its_own_codes() {
    let outcome: Wrong = ("an outcome", |d| d.body["outcome"] = json!("not_sent"), "'outcome'");
    let cookie: Wrong = ("a cookie", |d| d.set("set-cookie", Some("a=1")), "set-cookie");
    assert_refused(&problem("POST", "/v1/authorizations", "already_connected"), &[outcome, cookie]);
    let right = problem("POST", "/v1/automation-checks", "not_connected");
    let superseded: Wrong = (
        "a check of an older integration that is refused",
        |d| {
            d.body["code"] = json!("integration_superseded");
            d.body["type"] = json!("urn:hubspot-automations:integration_superseded");
        },
        "/code",
    );
    assert_refused(&right, &[outcome, superseded]);
    let right = draft("GET", "/v1/integrations", 401, "application/json", json!({"message": "Unauthorized"}));
    assert_refused(&right, &[("the gateway's with a code", |d| d.body["code"] = json!("unauthenticated"), "'code'")]);
    let mut right = draft("PUT", "/v1/integrations", 404, "application/json", json!({"message": "Not Found"}));
    right.set("cache-control", None);
    assert_refused(&right, &[("an answer where there is no route", |d| d.status = 200, "no such operation")]);
}

#[test]
fn a_list_of_integrations_that_contradicts_itself_is_refused() {
    let example = &Document::get().root["components"]["schemas"]["Integrations"]["examples"][0];
    let right = draft("GET", "/v1/integrations", 200, "application/json", example.clone());

    assert_refused(
        &right,
        &[
            ("a newest that does not run", |d| d.body["integrations"][0]["runs_automations"] = json!(false), "/0/runs"),
            (
                "an active one with a reason",
                |d| d.body["integrations"][0]["status_reason"] = json!("revoked"),
                "reason",
            ),
            ("an active one with a time", |d| d.body["integrations"][0]["status_since"] = json!(1), "since"),
            ("a reason that is not known", |d| d.body["integrations"][0]["status_reason"] = json!("x"), "reason"),
            ("a secret", |d| d.body["integrations"][0]["secret_id"] = json!("x"), "'secret_id'"),
            (
                "two that run",
                |d| {
                    let newest = d.body["integrations"][0].clone();
                    d.body["integrations"].as_array_mut().unwrap().push(newest);
                },
                "/1/runs",
            ),
        ],
    );
}

#[test]
fn a_redirect_or_a_cookie_of_another_shape_is_refused() {
    let mut redirect = draft("GET", "/oauth/hubspot/callback", 303, "-", Value::Null);
    redirect.set("content-type", None);
    redirect.set("location", Some("https://api.example.com/oauth/hubspot/result/failed"));
    redirect.set("referrer-policy", Some("no-referrer"));
    let example = &Document::get().root["components"]["schemas"]["AuthorizationStarted"]["examples"][0];
    let mut started = draft("POST", "/v1/authorizations", 201, "application/json", example.clone());
    let cookie =
        format!("__Host-hubspot-0123abcd={}; Path=/; Max-Age=1800; Secure; HttpOnly; SameSite=Lax", "a".repeat(43));
    started.set("set-cookie", Some(&cookie));

    assert_refused(
        &redirect,
        &[
            ("another place", |d| d.set("location", Some("https://evil.example/")), "location"),
            ("a query handed on", |d| d.set("location", Some("https://a.example/?hubspot=failed&state=1")), "location"),
            ("no place", |d| d.set("location", None), "location is missing"),
            ("a referrer", |d| d.set("referrer-policy", None), "referrer-policy is missing"),
            ("a body", |d| d.body = json!({}), "no content type"),
        ],
    );
    assert_refused(
        &started,
        &[
            ("no cookie", |d| d.set("set-cookie", None), "set-cookie is missing"),
            (
                "a cookie for scripts",
                |d| d.set("set-cookie", Some("__Host-hubspot-0123abcd=a; Path=/; Secure")),
                "set-cookie",
            ),
        ],
    );
}
