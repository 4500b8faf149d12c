//! A customer's credentials: in no position do they reach HubSpot, and the answer names what was dropped.

use serde_json::{Value, json};

use super::{connected, only_request, to, with};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_credential_reaches_hubspot_from_no_position_and_is_named() {
    let header = |name: &str, value: &str| with(to("GET", "/crm/v3/owners"), &json!({"headers": {name: value}}));
    let get = |endpoint: &str| to("GET", endpoint);
    let form = |field: &str, text: &str| {
        let fields = json!({field: text, "headers": {"Content-Type": FORM}});
        with(to("POST", "/crm/v3/objects/contacts"), &fields)
    };
    let query = |query: Value| with(to("GET", "/crm/v3/owners"), &json!({"query": query}));
    let cases = [
        (header("Authorization", "Bearer pat-s3cret"), "header:authorization"),
        (header("AUTHORIZATION", "pat-s3cret"), "header:authorization"),
        (header("authorization", "Basic czNjcmV0OnMzY3JldA=="), "header:authorization"),
        (header("Proxy-Authorization", "s3cret"), "header:proxy-authorization"),
        (header("private-app", "s3cret"), "header:private-app"),
        (header("Private-App-Legacy", "s3cret"), "header:private-app-legacy"),
        (header("Cookie", "hubspotapi=s3cret"), "header:cookie"),
        (header("X-Api-Key", "s3cret"), "header:x-api-key"),
        (get("/crm/v3/owners?hapikey=s3cret"), "query:hapikey"),
        (get("/crm/v3/owners?limit=1&HAPIKEY=s3cret&after=2"), "query:hapikey"),
        (get("/crm/v3/owners?%68api%6Bey=s3cret"), "query:hapikey"),
        (get("/crm/v3/owners?%2568apikey=s3cret"), "query:hapikey"),
        (get("/crm/v3/owners?hapikey[]=s3cret"), "query:hapikey"),
        (get("/crm/v3/owners?a=1;hapikey=s3cret"), "query:hapikey"),
        (get("/crm/v3/owners?access_token=s3cret"), "query:access_token"),
        (get("/crm/v3/owners?client_secret=s3cret"), "query:client_secret"),
        (get("/crm/v3/owners?refresh_token=s3cret"), "query:refresh_token"),
        (get("/crm/v3/owners?client_assertion=s3cret"), "query:client_assertion"),
        (get("/crm/v3/owners#hapikey=s3cret"), ""),
        (query(json!({"hapikey": "s3cret"})), "query:hapikey"),
        (query(json!([["limit", 1], [" HapiKey", "s3cret"]])), "query:hapikey"),
        (query(json!({"access_token": ["s3cret", "s3cret"]})), "query:access_token"),
        (form("body_text", "hapikey=s3cret&a=1"), "form:hapikey"),
        (form("body_text", "a=1&%61ccess_token=s3cret"), "form:access_token"),
        (form("body_base64", "YWNjZXNzX3Rva2VuPXMzY3JldCZhPTE="), "form:access_token"),
        (get("https://s3cret@api.hubapi.com/crm/v3/owners"), "userinfo"),
        (get("https://user:s3cret@api.hubapi.com/crm/v3/owners"), "userinfo"),
        (get("https://a@s3cret@api.hubapi.com/crm/v3/owners"), "userinfo"),
    ];
    let world = connected().await;

    for (request, named) in cases {
        world.stack.hubspot.forget_requests();
        let answer = world.execute(&request).await;

        assert_eq!(answer.status, 200, "{request}: {}", answer.text);
        let expected = if named.is_empty() { json!([]) } else { json!([named]) };
        assert_eq!(answer.body["ignored_credentials"], expected, "{request}");
        let sent = only_request(&world);
        for trace in ["s3cret", "czNjcmV0", "hapikey", "access_token=", "userinfo", "Basic"] {
            assert!(!sent.contains(trace), "{trace} of {request} in {}", String::from_utf8_lossy(&sent.raw));
        }
        assert_eq!(sent.headers_named("authorization").len(), 1, "{request}");
        assert!(!answer.text.contains("s3cret"), "{}", answer.text);
    }
}

#[tokio::test]
async fn all_positions_at_once_leave_the_rest_of_the_request_as_it_was() {
    let world = connected().await;
    let fields = json!({
        "query": {"refresh_token": "s3cret", "properties": "email"},
        "headers": [["Authorization", "Bearer s3cret"], ["Cookie", "s3cret"], ["Content-Type", FORM]],
        "body_text": "b=2&client_secret=s3cret&a=%3D",
    });
    let endpoint = "https://u:s3cret@api.hubapi.com/crm/v3/objects/contacts?z=1&hapikey=s3cret&y=2";

    let answer = world.execute(&with(to("POST", endpoint), &fields)).await;

    assert_eq!(
        answer.body["ignored_credentials"],
        json!([
            "header:authorization",
            "header:cookie",
            "query:hapikey",
            "query:refresh_token",
            "form:client_secret",
            "userinfo",
        ])
    );
    let sent = only_request(&world);
    assert_eq!(sent.target, "/crm/v3/objects/contacts?z=1&y=2&properties=email");
    assert_eq!(sent.text(), "b=2&a=%3D");
    assert_eq!(sent.header("content-length").as_deref(), Some("9"));
    assert!(!sent.contains("s3cret"));
}
