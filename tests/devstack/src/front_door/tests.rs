//! The front door by itself: there are no functions behind it.

use std::collections::BTreeSet;

use super::*;
use crate::template::REGION;
use crate::{loopback, published};

fn route(key: &str, authorization: RouteAuthorizer) -> Route {
    Route { key: key.to_owned(), authorization, binary: "absent".to_owned() }
}

fn jwt() -> RouteAuthorizer {
    RouteAuthorizer::Jwt { issuer: "https://issuer.localhost".to_owned(), audiences: vec!["dashboard".to_owned()] }
}

fn key() -> AccessKey {
    AccessKey {
        id: "ASIALOCALENGINE".to_owned(),
        secret: "secret".to_owned(),
        user_arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/engine/session"),
    }
}

fn door() -> Arc<Door> {
    Arc::new(Door {
        routes: vec![
            route("GET /open/{id}", RouteAuthorizer::None),
            route("GET /open/literal", RouteAuthorizer::None),
            route("POST /signed", RouteAuthorizer::Iam),
            route("GET /known", jwt()),
        ],
        cors: Some(Cors { origins: vec!["https://app.example".to_owned()], credentials: true, ..Cors::default() }),
        issuer: Issuer::new().unwrap(),
        keys: vec![key()],
        lambda: Arc::new(Lambda::new(Vec::new())),
    })
}

fn parts(method: &str, uri: &str, headers: &[(&str, String)]) -> Parts {
    let mut request = axum::http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn status(outcome: Result<Option<Value>, HttpError>) -> u16 {
    outcome.map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
}

#[test]
fn a_literal_segment_goes_before_a_variable_and_other_methods_have_no_route() {
    let door = door();
    let found =
        |method: Method, path: &str| door.route(&method, path).map(|(route, values)| (route.key.clone(), values));

    assert_eq!(found(Method::GET, "/open/literal").unwrap().0, "GET /open/literal");
    let (key, values) = found(Method::GET, "/open/a%20b").unwrap();
    assert_eq!((key.as_str(), values["id"].as_str()), ("GET /open/{id}", "a b"));
    assert!(found(Method::POST, "/open/literal").is_none());
    assert!(found(Method::GET, "/open/a/b").is_none());
    assert!(found(Method::GET, "/open/").is_none());
}

#[test]
fn a_token_counts_only_if_its_signature_issuer_audience_and_time_are_good() {
    let door = door();
    let route = door.routes[3].clone();
    let now = Clock::default().now();
    let good =
        json!({ "iss": "https://issuer.localhost", "aud": "dashboard", "exp": now + 60, "sub": "u", "n": [1, "a"] });
    let ask = |token: String| door.authorize(&route, &parts("GET", "/known", &[("authorization", token)]), b"");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        format!("Bearer {}", door.issuer.issue(&claims))
    };

    let authorizer = ask(with("role", json!("admin"))).ok().unwrap().unwrap();
    assert_eq!(authorizer["jwt"]["claims"]["n"], "[1 a]", "every claim is a text");
    assert_eq!(authorizer["jwt"]["claims"]["exp"], (now + 60).to_string());
    assert_eq!(status(ask(with("aud", json!(["other", "dashboard"])))), 200);
    for (name, value) in [
        ("iss", json!("https://other.localhost")),
        ("aud", json!("other")),
        ("exp", json!(now - 1)),
        ("exp", json!("soon")),
        ("nbf", json!(now + 60)),
        ("aud", Value::Null),
    ] {
        assert_eq!(status(ask(with(name, value.clone()))), 401, "{name} {value}");
    }
    assert_eq!(status(ask(format!("Bearer {}", Issuer::new().unwrap().issue(&good)))), 401, "another key");
    assert_eq!(status(ask("Bearer x.y.z".to_owned())), 401);
    assert_eq!(status(door.authorize(&route, &parts("GET", "/known", &[]), b"")), 401);
}

#[test]
fn a_signature_counts_only_for_the_very_request_that_was_signed() {
    let door = door();
    let route = door.routes[2].clone();
    let now = Clock::default().now();
    let signed = |key: &AccessKey, now: i64| {
        let mut headers = key.sign("POST", "localhost", "/signed", b"body", now);
        headers.push(("host", "localhost".to_owned()));
        headers
    };
    let ask =
        |headers: &[(&str, String)], body: &[u8]| door.authorize(&route, &parts("POST", "/signed", headers), body);

    let authorizer = ask(&signed(&key(), now), b"body").ok().unwrap().unwrap();
    assert_eq!(authorizer["iam"]["userArn"], key().user_arn);
    assert_eq!(status(ask(&signed(&key(), now), b"other")), 403, "another body");
    assert_eq!(status(ask(&signed(&key(), now - 3_600), b"body")), 403, "an old signature");
    assert_eq!(status(ask(&signed(&AccessKey { secret: "x".into(), ..key() }, now), b"body")), 403, "another secret");
    assert_eq!(status(ask(&signed(&AccessKey { id: "X".into(), ..key() }, now), b"body")), 403, "an unknown key");
    assert_eq!(status(ask(&[], b"body")), 403, "no signature");
}

/// The vector of AWS's own signature test suite does not name our service, so the reference is curl's signature.
#[test]
fn a_signature_is_the_one_that_curl_makes() {
    let Ok(version) = std::process::Command::new("curl").arg("--version").output() else { return };
    if !version.status.success() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(async { door().open(loopback::listen().await.unwrap()) });
    let output = std::process::Command::new("curl")
        .args(["--silent", "--noproxy", "*", "--write-out", "%{http_code}", "--output", "/dev/null"])
        .args(["--aws-sigv4", &format!("aws:amz:{REGION}:execute-api"), "--user", "ASIALOCALENGINE:secret"])
        .args(["--header", "content-type: application/json", "--data", r#"{"a": 1}"#])
        .arg(format!("{}/signed", server.url()))
        .output()
        .unwrap();

    // 500 since the door has no function: the signature was accepted.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "500");
}

#[tokio::test]
async fn what_the_gateway_refuses_itself_has_its_own_bodies() {
    let server = door().open(loopback::listen().await.unwrap());
    let client = loopback::client();
    let url = |path: &str| format!("{}{path}", server.url());
    let large = vec![b'x'; BODY_LIMIT + 1];

    for (request, status, message) in [
        (client.get(url("/nowhere")), 404, "Not Found"),
        (client.get(url("/known")), 401, "Unauthorized"),
        (client.post(url("/signed")).body("{}"), 403, "Forbidden"),
        (client.post(url("/signed")).body(large), 413, "Request Entity Too Large"),
        (client.get(url("/open/x")), 500, "Internal Server Error"),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{message}");
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(body, json!({ "message": message }));
    }
}

#[tokio::test]
async fn only_the_dashboard_may_call_from_another_origin() {
    let server = door().open(loopback::listen().await.unwrap());
    let preflight = async |origin: &str| {
        let request = loopback::client().request(Method::OPTIONS, format!("{}/known", server.url()));
        request.header("origin", origin).header("access-control-request-method", "GET").send().await.unwrap()
    };

    let dashboard = preflight("https://app.example").await;
    assert_eq!(dashboard.status().as_u16(), 204);
    assert_eq!(dashboard.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(dashboard.headers()["access-control-allow-credentials"], "true");
    let stranger = preflight("https://evil.example").await;
    assert!(!stranger.headers().contains_key("access-control-allow-origin"));
}

#[test]
fn an_event_has_the_values_of_payload_format_two() {
    let headers = [
        ("host", "localhost:1".to_owned()),
        ("Accept", "a".to_owned()),
        ("accept", "b".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    let event = door().event_of(request("GET", "/open/a%20b?x=1&x=2&y=%20", &headers)).unwrap();

    assert_eq!(event["rawPath"], "/open/a b");
    assert_eq!(event["rawQueryString"], "x=1&x=2&y=%20");
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": " " }));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!((&event["headers"]["accept"], event["headers"].get("cookie")), (&json!("a,b"), None));
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("e30="), &json!(true)), "a form is no text");
    assert_eq!(event["pathParameters"], json!({ "id": "a b" }));
}

/// A signed or otherwise authorized request whose event has every member that depends on the request.
fn request(method: &str, uri: &str, headers: &[(&str, String)]) -> axum::http::Request<Bytes> {
    let (mut parts, body) = axum::http::Request::new(Bytes::from_static(b"{}")).into_parts();
    let own = self::parts(method, uri, headers);
    (parts.method, parts.uri, parts.headers) = (own.method, own.uri, own.headers);
    parts.headers.insert("cookie", HeaderValue::from_static("a=1; b=2"));
    axum::http::Request::from_parts(parts, body)
}

/// Fields of some stages only: variables, and clients with certificates. This request's own path has no variables.
const OF_OTHER_STAGES: [&str; 3] =
    ["/pathParameters is missing", "/requestContext/authentication is missing", "/stageVariables is missing"];

/// The names in these maps are the request's and the caller's own: only their values' types are compared.
fn with_equal_names(mut event: Value) -> Value {
    let maps = ["/headers", "/queryStringParameters", "/pathParameters", "/requestContext/authorizer/jwt/claims"];
    for map in maps {
        if let Some(map) = event.pointer_mut(map) {
            let values = map.as_object().unwrap().values().cloned().collect::<Vec<_>>();
            assert!(values.iter().all(Value::is_string), "{values:?}");
            *map = json!({ "name": values[0] });
        }
    }
    event
}

#[test]
fn events_have_the_shape_that_aws_publishes() {
    let door = door();
    let now = Clock::default().now();
    let mut signed = key().sign("POST", "localhost", "/signed", b"{}", now);
    signed.push(("host", "localhost".to_owned()));
    let claims = json!({ "iss": "https://issuer.localhost", "aud": "dashboard", "exp": now + 60, "sub": "u" });
    let token = vec![("authorization", format!("Bearer {}", door.issuer.issue(&claims)))];

    for (published, method, uri, headers) in [
        ("apigw-v2-request-iam", "POST", "/signed", signed),
        ("apigw-v2-request-jwt-authorizer", "GET", "/known?a=1", token),
        ("apigw-v2-request-no-authorizer", "GET", "/open/literal", Vec::new()),
    ] {
        let ours = with_equal_names(door.event_of(request(method, uri, &headers)).unwrap());
        let differences = published::differences(&ours, &with_equal_names(published::event(published)));

        let expected = match published {
            // The published request has no body and no cookies; ours has no query.
            "apigw-v2-request-no-authorizer" => {
                vec!["/body is not published", "/cookies is not published", OF_OTHER_STAGES[1]]
            }
            "apigw-v2-request-iam" => [&OF_OTHER_STAGES[..], &["/queryStringParameters is missing"]].concat(),
            _ => OF_OTHER_STAGES.to_vec(),
        };
        assert_eq!(
            differences.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            expected.into_iter().collect(),
            "{published}: {ours}"
        );
    }
}

#[test]
fn an_answer_becomes_http_and_a_malformed_one_does_not() {
    let good = event::http(&json!({
        "statusCode": 303, "headers": { "location": "/x" }, "cookies": ["a=1", "b=2"], "body": "", "isBase64Encoded": false
    }));
    let good = good.unwrap();
    assert_eq!((good.status().as_u16(), &good.headers()["location"]), (303, &HeaderValue::from_static("/x")));
    assert_eq!(good.headers().get_all("set-cookie").iter().count(), 2);

    assert_eq!(
        event::http(&json!({ "any": 1 })).unwrap().status().as_u16(),
        200,
        "an answer without a status is a body"
    );
    for bad in [
        json!({ "statusCode": "200" }),
        json!({ "statusCode": 200, "body": { "a": 1 } }),
        json!({ "statusCode": 200, "headers": { "x": ["a"] } }),
        json!({ "statusCode": 200, "headers": { "bad name": "a" } }),
        json!({ "statusCode": 200, "cookies": "a=1" }),
        json!({ "statusCode": 200, "body": "%", "isBase64Encoded": true }),
        json!({ "statusCode": 1 }),
    ] {
        assert!(event::http(&bad).is_none(), "{bad}");
    }
}
