//! Texts of refusals: the part that is refused and the accepted form, never a value.

use super::*;

/// Endpoints that are refused, each with a secret in the offending part, and what the refusal says would be accepted.
const ENDPOINTS: [(&str, &str, &str); 19] = [
    ("/crm?a=s3cret\u{1}", "control characters", "leave them out"),
    ("/s3cret\\x", "backslashes", "write `/`"),
    ("s3cret/crm", "a path that begins with one `/`", "is expected"),
    ("//s3cret", "a path that begins with one `/`", "or a URL of HubSpot's API, is expected"),
    ("s3cret://api.hubapi.com/crm", "only https URLs", "are accepted"),
    ("https://s3cret.example/crm", "not a host and port of the HubSpot API", "use a path, or https://api.hubapi.com"),
    (
        "https://api.hubapi.com:s3cret/crm",
        "not a host and port of the HubSpot API",
        "use a path, or https://api.hubapi.com",
    ),
    (
        "https://u:s3cret@evil.example/crm",
        "not a host and port of the HubSpot API",
        "use a path, or https://api.hubapi.com",
    ),
    ("https://u:s3cret@api.hubapi.com?s3cret", "a path that begins with `/`", "is expected after the host"),
    ("/crm/a;s3cret", "a `;` in the path", "write %3B"),
    ("/crm//s3cret", "an empty path segment", "a variable in it may have been empty"),
    ("/crm/s3cret%zz", "a `%` in the path", "two hexadecimal digits"),
    ("/crm/s3cret%ff", "percent-encodings in the path", "have to be UTF-8"),
    ("/crm/s3cret%2525252525252525252525", "percent-encoded too many times", "once is expected"),
    ("/crm/s3cret%00", "control characters (raw or percent-encoded)", "leave them out"),
    ("/crm/s3cret%5c", "backslashes (raw or percent-encoded)", "leave them out"),
    ("/crm/%2e%2e/s3cret", "`.` and `..` segments", "without them"),
    ("/oauth/v1/access-tokens/s3cret", "cannot use OAuth and app installation", "every other path"),
    ("/appinstalls/s3cret/external-install", "cannot use OAuth and app installation", "every other path"),
];

/// The other parts of a request that are refused.
const REQUESTS: [(&str, &str, &str); 21] = [
    (r#"{"endpoint":"/crm","body_text":"s3cret"}"#, "request.method: required", "GET, POST, PUT, PATCH or DELETE"),
    (r#"{"method":"s3cret","endpoint":"/"}"#, "request.method: ", "GET, POST, PUT, PATCH or DELETE is expected"),
    (r#"{"method":["s3cret"],"endpoint":"/"}"#, "request.method: ", "a string is expected"),
    (r#"{"method":"GET","body":"s3cret"}"#, "request.endpoint: required", "a path or a URL"),
    (r#"{"method":"GET","endpoint":{"s3cret":1}}"#, "request.endpoint: ", "a string is expected"),
    (r#"{"method":"GET","endpoint":"/","query":"s3cret"}"#, "request.query: ", "an object, or a list of [name, value]"),
    (
        r#"{"method":"GET","endpoint":"/","query":{"a":{"b":"s3cret"}}}"#,
        "request.query: ",
        "strings, numbers, booleans",
    ),
    (r#"{"method":"GET","endpoint":"/","query":{"a":[["s3cret"]]}}"#, "request.query: ", "strings, numbers, booleans"),
    (
        r#"{"method":"GET","endpoint":"/","headers":"s3cret"}"#,
        "request.headers: ",
        "an object, or a list of [name, value]",
    ),
    (
        r#"{"method":"GET","endpoint":"/","headers":{"Accept":"s3cret\n"}}"#,
        "request.headers.accept: ",
        "printable ASCII",
    ),
    (r#"{"method":"GET","endpoint":"/","headers":{"If-Match":["s3cret"]}}"#, "request.headers.if-match: ", "a string"),
    (
        r#"{"method":"GET","endpoint":"/","headers":{"accept":"a","Accept":"s3cret"}}"#,
        "request.headers: accept",
        "once is expected",
    ),
    (r#"{"method":"PUT","endpoint":"/","body_base64":"s3cret!"}"#, "request.body_base64: ", "base64 is expected"),
    (r#"{"method":"PUT","endpoint":"/","body_base64":["s3cret"]}"#, "request.body_base64: ", "a string is expected"),
    (r#"{"method":"PUT","endpoint":"/","body_text":{"s3cret":1}}"#, "request.body_text: ", "a string is expected"),
    (
        r#"{"method":"PUT","endpoint":"/","body_text":"s3cret","body":1}"#,
        "request: ",
        "at most one of body, body_text and body_base64",
    ),
    (
        r#"{"method":"PUT","endpoint":"/","body_text":"s3cret","headers":{"content-type":"a/b;c=s3cret,application/x-www-form-urlencoded"}}"#,
        "request.headers.content-type: ",
        "one media type is expected",
    ),
    (
        r#"{"method":"PUT","endpoint":"/","body_text":"s3cret","headers":{"content-type":"application/x-www-form-urlencoded;charset=s3cret"}}"#,
        "request.headers.content-type: ",
        "a form has to be in UTF-8",
    ),
    (r#"{"method":"PUT","endpoint":"/","bodytext":"s3cret"}"#, "request: unknown field `bodytext`", "leave it out"),
    (r#"{"method":"PUT","method":"s3cret","endpoint":"/"}"#, "request: duplicate field `method`", "give it once"),
    (r#"["s3cret"]"#, "request: ", "one JSON object is expected"),
];

/// The fields around it.
const BODIES: [(&str, &str, &str); 14] = [
    ("s3cret", "body: ", "one JSON object is expected"),
    (r#"{"account_id":"a","automation_id":"s3cret"}"#, "request: required", "an object with method and endpoint"),
    (r#"{"request":{"body":"s3cret"}}"#, "account_id: required", "a string"),
    (r#"{"account_id":["s3cret"],"request":{}}"#, "account_id: ", "a string is expected"),
    (r#"{"account_id":"s3cret /","request":{}}"#, "account_id: ", "1 to 128 characters of A-Z a-z 0-9 _ . : @ -"),
    (r#"{"account_id":"a","integration_id":"s3cret /","request":{}}"#, "integration_id: ", "1 to 64 characters"),
    (r#"{"account_id":"a","integration_id":{"s3cret":1},"request":{}}"#, "integration_id: ", "a string is expected"),
    (r#"{"account_id":"a","automation_id":"s3cret\n","request":{}}"#, "automation_id: ", "at most 128 characters"),
    (r#"{"account_id":"a","deadline_ms":"s3cret","request":{}}"#, "deadline_ms: ", "a whole number is expected"),
    (r#"{"account_id":"a","deadline_ms":33333333,"request":{}}"#, "deadline_ms: ", "1000 to 25000 is expected"),
    (r#"{"account_id":"a","idempotency_key":["s3cret"],"request":{}}"#, "idempotency_key: ", "a string is expected"),
    (r#"{"account_id":"a","idempotency_key":"s3cret\n","request":{}}"#, "idempotency_key: ", "1 to 128 printable"),
    (r#"{"account_id":"a","typo":"s3cret","request":{}}"#, "body: unknown field `typo`", "leave it out"),
    (r#"{"account_id":"a","account_id":"s3cret","request":{}}"#, "duplicate field `account_id`", "give it once"),
];

fn detail(refusal: Refusal) -> String {
    match refusal {
        Refusal::InvalidRequest(detail) | Refusal::EndpointNotAllowed(detail) | Refusal::RequestTooLarge(detail) => {
            detail
        }
    }
}

#[track_caller]
fn assert_says(detail: &str, part: &str, accepted: &str) {
    assert!(detail.contains(part), "{detail} does not name {part}");
    assert!(detail.contains(accepted), "{detail} does not say {accepted}");
    assert!(!detail.contains("s3cret") && !detail.contains("33333333"), "{detail} shows a value");
}

/// The refusals in a source file, as `invalid("…")` and `not_allowed("…")`.
fn written(source: &str) -> Vec<&str> {
    let after = |call: &'static str| source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
    after("invalid(\"").chain(after("not_allowed(\"")).collect()
}

#[test]
fn every_refusal_names_the_part_and_what_is_accepted_and_no_value() {
    let mut seen = Vec::new();
    for (endpoint, part, accepted) in ENDPOINTS {
        let request = json!({"method": "GET", "endpoint": endpoint});
        let detail = detail(call(&request).unwrap_err());
        assert!(detail.starts_with("request.endpoint: "), "{detail}");
        assert_says(&detail, part, accepted);
        seen.push(detail);
    }
    let whole = REQUESTS
        .map(|(request, part, accepted)| (format!(r#"{{"account_id":"a","request":{request}}}"#), part, accepted));
    for (body, part, accepted) in
        whole.into_iter().chain(BODIES.map(|(body, part, accepted)| (body.to_owned(), part, accepted)))
    {
        let error = AutomationRequest::parse(&body, &origin()).map(|_| body).unwrap_err();
        let detail = detail(error);
        assert_says(&detail, part, accepted);
        seen.push(detail);
    }
    let long = format!("/{}", "s3cret".repeat(8_000));
    let large = format!("{long}{}", "s3cret".repeat(200_000));
    let details =
        [target("GET", &long).unwrap_err(), AutomationRequest::parse(&large, &origin()).unwrap_err()].map(detail);
    assert_says(&details[0], "request.endpoint: ", "32 KiB");
    assert_says(&details[1], "body: ", "at most 1048576 bytes are accepted");

    // No refusal is missing above but the second line behind the guard, which no input is known to reach.
    let unreachable = ["not a valid URL", "it can be read in more than one way", "the query is not UTF-8"];
    for text in [written(include_str!("../../src/target.rs")), written(include_str!("../../src/request.rs"))].concat() {
        assert!(unreachable.contains(&text) || seen.iter().any(|detail| detail.contains(text)), "{text} is not tried");
    }
}
