//! The request on the wire, byte for byte.

use std::time::Duration;

use devstack::hubspot::PORTAL;
use serde_json::json;

use super::{access_token, connected, only_request, to, with};

#[tokio::test]
async fn a_json_body_reaches_hubspot_byte_for_byte() {
    let world = connected().await;
    let bodies = [
        "{}",
        "[]",
        "null",
        "\"\"",
        "0",
        "-0.0",
        "123456789012345678901234567890",
        "1.0e2",
        "1E+400",
        "0.10000000000000000000000000000000000001",
        r#"{"z":1,"a":2,"m":{"z":1,"a":2}}"#,
        r#"{"a":1,"a":2,"b":{"c":1,"c":2}}"#,
        r#"{"s":"\u00e9\/\"\\\b\f\n\r\t\ud83d\ude00","raw":"é😀/"}"#,
        r#"{"lone":"\ud800"}"#,
        "{ \"a\" :\t1 ,\r\n  \"b\":[ 1 , 2 ]\n}",
        r#"{"hapikey":"a property","access_token":"another"}"#,
        r#"{"request":{"body":{"account_id":"acc_2"}}}"#,
    ];

    for body in bodies {
        let request = r#"{"method":"POST","endpoint":"/crm/v3/objects/contacts/search","body": BODY }"#;
        let text = format!(r#"{{"account_id":"acc_1","request":{}}}"#, request.replace("BODY", body));
        let answer = world.execute_text(&text).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    }

    let sent: Vec<String> = world.stack.hubspot.api_requests().iter().map(|request| request.text()).collect();
    assert_eq!(sent, bodies);
}

#[tokio::test]
async fn text_form_and_base64_bodies_reach_hubspot_unchanged_and_typed() {
    let world = connected().await;
    let form = "application/x-www-form-urlencoded";
    let cases = [
        (json!({"body": 1}), "application/json", b"1".as_slice()),
        (json!({"body_text": "{\"a\" : 1.0}"}), "application/json", b"{\"a\" : 1.0}"),
        (json!({"body_text": ""}), "application/json", b""),
        (
            json!({"body_text": "h\u{e9}\r\n", "headers": {"Content-Type": "text/plain"}}),
            "text/plain",
            b"h\xc3\xa9\r\n",
        ),
        (json!({"body_text": "a=1&&b=%3D+x&a=2", "headers": {"content-type": form}}), form, b"a=1&&b=%3D+x&a=2"),
        (json!({"body_base64": "AP+A"}), "application/octet-stream", b"\x00\xff\x80"),
        (json!({"body_base64": "/w==", "headers": {"CONTENT-TYPE": "image/png"}}), "image/png", b"\xff"),
    ];

    for (fields, _, _) in &cases {
        let answer = world.execute(&with(to("POST", "/crm/v3/objects/contacts"), fields)).await;
        assert_eq!(answer.status, 200, "{fields}: {}", answer.text);
    }

    let requests = world.stack.hubspot.api_requests();
    assert_eq!(requests.len(), cases.len());
    for ((fields, content_type, bytes), request) in cases.iter().zip(&requests) {
        assert_eq!(request.headers_named("content-type"), [content_type.as_bytes()], "{fields}");
        assert_eq!(request.body, *bytes, "{fields}");
    }
}

#[tokio::test]
async fn path_and_query_reach_hubspot_unchanged() {
    let world = connected().await;
    let targets = [
        "/crm/v3/owners/",
        "/crm/v3/objects/contacts/jane%40example.com?idProperty=email&properties=phone,lifecyclestage&associations=deals",
        "/contacts/v1/contact/createOrUpdate/email/jane@example.com",
        "/crm/v3/objects/contacts?limit=1&after=NTI1Cg%3D%3D",
        "/crm/v3/objects/contacts?properties=email&properties=phone&properties=a,b&properties=",
        "/crm/v3/objects/contacts?b=2&a=1&b=2&flag&empty=&&x=%2B+%20",
        "/crm/v3/objects/contacts/a%2Fb%3Fc%23d?q=a%26b%3Bc",
        "/crm/v3/objects/contacts/A%c3%a9?x=%c3%A9",
        "/crm/v3/objects/contacts?",
        "/crm/v3/objects/contacts?a[]=1&a[0]=2&$filter=x!*()~'",
    ];

    for target in targets {
        let answer = world.execute(&to("GET", target)).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text);
    }

    let sent: Vec<String> = world.stack.hubspot.api_requests().into_iter().map(|request| request.target).collect();
    // Every client encodes an apostrophe in a query.
    assert_eq!(sent, targets.map(|target| target.replace('\'', "%27")));
}

#[tokio::test]
async fn a_full_url_goes_to_the_common_host_or_to_that_of_its_hub() {
    let world = connected().await;
    let urls = [
        "https://api.hubapi.com",
        "https://api.hubspot.com",
        "https://api-eu1.hubapi.com",
        "https://api-na1.hubapi.com",
        "https://api-na2.hubapi.com",
        "https://api-na3.hubapi.com",
        "https://api-ap1.hubapi.com",
        "http://api.hubapi.com",
        "HTTPS://API.HubAPI.com:443",
        "http://api.hubapi.com:80",
        "  https://api.hubapi.com",
    ];

    for url in urls {
        let answer = world.execute(&to("get", &format!("{url}/crm/v3/owners?email=a%40b.c#part "))).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text);
    }

    let requests = world.stack.hubspot.api_requests();
    assert_eq!(requests.len(), urls.len());
    for (url, request) in urls.iter().zip(requests) {
        let hubspot = &world.stack.hubspot;
        let origin = if url.contains("api-") { hubspot.hub_url() } else { hubspot.url() };
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/crm/v3/owners?email=a%40b.c"));
        assert_eq!(request.header("host").map(|host| format!("http://{host}")), Some(origin), "{url}");
    }
}

#[tokio::test]
async fn the_field_query_is_appended_in_order_and_encoded() {
    let world = connected().await;
    let query =
        json!([["properties", "email"], ["properties", "a,b"], ["after", "NTI1Cg=="], ["n", 10], ["u", "ü &="]]);

    let answer = world.execute(&with(to("GET", "/crm/v3/objects/contacts?own=1"), &json!({"query": query}))).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        only_request(&world).query(),
        "own=1&properties=email&properties=a,b&after=NTI1Cg%3D%3D&n=10&u=%C3%BC%20%26%3D"
    );
}

#[tokio::test]
async fn only_headers_of_the_allow_list_are_sent_beside_the_one_authorization() {
    let world = connected().await;
    let headers = json!([
        ["Accept", "application/json"], ["Accept-Language", "de"], ["Content-Type", "application/json"],
        ["If-Match", "\"1\""], ["If-None-Match", "*"], ["If-Modified-Since", "Tue, 24 Nov 2026 08:00:00 GMT"],
        ["Host", "evil.example"], ["Content-Length", "0"], ["Transfer-Encoding", "chunked"], ["Connection", "close"],
        ["Expect", "100-continue"], ["Accept-Encoding", "gzip"], ["User-Agent", "x"], ["X-Forwarded-Host", "x"],
        ["X-HTTP-Method-Override", "DELETE"], ["Cookie", "a=1"], ["Authorization", "Bearer a"],
        ["authorization", "Bearer b"], ["Referer", "x"], ["Bad\r\nName", {"not": "a scalar"}], ["Range", "bytes=0-1"],
    ]);

    let answer =
        world.execute(&with(to("POST", "/crm/v3/objects/contacts"), &json!({"headers": headers, "body": {}}))).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let request = only_request(&world);
    let mut names: Vec<String> = request.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "accept-language",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "if-match",
            "if-modified-since",
            "if-none-match",
            "user-agent",
        ]
    );
    let token = format!("Bearer {}", access_token(&world).await);
    assert_eq!(request.headers_named("authorization"), [token.as_bytes()]);
    assert_eq!(request.header("content-length").as_deref(), Some("2"));
    assert_eq!(answer.body["ignored_credentials"], json!(["header:cookie", "header:authorization"]));
}

#[tokio::test]
async fn a_put_without_a_body_is_sent_without_one() {
    let world = connected().await;
    let call = world.stack.hubspot.create_object(PORTAL, "calls", &[]);
    let contact = world.stack.hubspot.create_object(PORTAL, "contacts", &[]);

    let target = format!("/crm/v4/objects/call/{call}/associations/default/contact/{contact}");
    let answer = world.execute(&to("PUT", &target)).await;

    assert_eq!(answer.body["hubspot"]["status"], 200, "{}", answer.text);
    let request = only_request(&world);
    assert!(request.complete && request.body.is_empty() && request.header("content-type").is_none());
    assert_eq!(world.stack.hubspot.associated(PORTAL, ("calls", call), "contacts"), [contact]);
}

#[tokio::test]
async fn a_write_without_a_body_has_a_content_length_of_zero() {
    let world = connected().await;
    for (method, fields) in [
        ("POST", json!({})),
        ("PUT", json!({})),
        ("PATCH", json!({})),
        ("POST", json!({"body_text": ""})),
        ("GET", json!({})),
        ("DELETE", json!({})),
    ] {
        world.stack.hubspot.forget_requests();
        world.execute(&with(to(method, "/crm/v3/objects/contacts/1"), &fields)).await;

        let length = only_request(&world).header("content-length");
        let expected = if ["GET", "DELETE"].contains(&method) { None } else { Some("0") };
        assert_eq!(length.as_deref(), expected, "{method} {fields}");
    }
}

#[tokio::test]
async fn a_gets_body_is_not_sent_and_the_answer_says_so() {
    let world = connected().await;
    let smuggled = "GET /crm/v3/owners HTTP/1.1\r\nhost: x\r\n\r\n";

    let answer = world.execute(&with(to("GET", "/crm/v3/objects/contacts"), &json!({"body_text": smuggled}))).await;
    let without = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    assert_eq!((&answer.body["hubspot"]["status"], &answer.body["body_ignored"]), (&json!(200), &json!(true)));
    assert!(without.body["body_ignored"].is_null(), "{}", without.text);
    let requests = world.stack.hubspot.api_requests();
    assert!(requests.iter().all(|request| request.body.is_empty() && request.header("content-type").is_none()));
    assert!(requests.iter().all(|request| request.header("content-length").is_none()), "{requests:?}");
}

#[tokio::test]
async fn a_deletes_body_leaves_no_connection_for_reuse() {
    let world = connected().await;
    let contact = "/crm/v3/objects/contacts/1";
    let list = to("GET", "/crm/v3/objects/contacts");

    world.execute(&list).await;
    world.execute(&with(to("DELETE", contact), &json!({"body": {"a": 1}}))).await;
    world.execute(&list).await;
    world.execute(&to("DELETE", contact)).await;

    let connections: Vec<u64> = world.stack.hubspot.api_requests().iter().map(|request| request.connection).collect();
    let [first, with_body, second, without_body] = connections.try_into().unwrap();
    assert!(with_body != first && with_body != second, "the body is alone on its connection");
    assert_eq!((first, second), (second, without_body), "all others share one");
}

#[tokio::test]
async fn every_request_to_hubspot_names_the_product() {
    let world = connected().await;
    world.pass(Duration::from_secs(1_790));
    world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    let requests = world.stack.hubspot.requests();
    let ours = requests.iter().filter(|request| request.is_token() || !request.is_oauth());
    let names: Vec<Option<String>> = ours.map(|request| request.header("user-agent")).collect();
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| name.starts_with("hubspot-automations/"));
    assert!(names.len() >= 3 && names.iter().all(named), "{names:?}");
}

#[tokio::test]
async fn a_post_after_a_pause_does_not_trust_the_old_connection() {
    let world = connected().await;
    let search = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}));
    world.execute(&search).await;
    world.execute(&search).await;

    world.clock.advance(Duration::from_secs(6));
    world.execute(&search).await;

    let connections: Vec<u64> = world.stack.hubspot.api_requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections[0], connections[1], "without a pause the connection is used again");
    assert_ne!(connections[1], connections[2]);
}
