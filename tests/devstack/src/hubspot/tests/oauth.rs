//! The consent page and the exchange of codes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::*;

const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456789";

fn authorize_url(hubspot: &HubSpot, changes: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes()));
    let id = hubspot.client_id();
    let mut parameters = vec![
        ("client_id", id.as_str()),
        ("redirect_uri", BACK),
        ("scope", "oauth crm.objects.contacts.read"),
        ("optional_scope", "tickets automation"),
        ("state", "a state&more"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        parameters.retain(|(own, _)| own != name);
        parameters.push((name, value));
    }
    Url::parse_with_params(&hubspot.authorize_url(), parameters).unwrap().into()
}

fn parameter(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    let found = url.query_pairs().find(|(own, _)| own == name);
    found.map(|(_, value)| value.into_owned())
}

async fn exchange(hubspot: &HubSpot, http: &Client, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
    let mut parameters =
        vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK), ("code_verifier", VERIFIER)];
    for (name, value) in changes {
        parameters.retain(|(own, _)| own != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    post(hubspot, http, "/oauth/2026-03/token", &parameters).await
}

fn code(hubspot: &HubSpot) -> String {
    let location = hubspot.accept(&authorize_url(hubspot, &[]), PORTAL).unwrap();
    parameter(&location, "code").unwrap()
}

#[tokio::test]
async fn a_person_accepts_on_the_page_and_comes_back_with_a_code_that_buys_tokens() {
    let (hubspot, http) = start().await;
    let page = http.get(authorize_url(&hubspot, &[])).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Accept</button>") && page.contains("Decline</button>") && page.contains("a state&amp;more"));

    let query = authorize_url(&hubspot, &[]).split_once('?').unwrap().1.to_owned();
    let decision = http.post(format!("{}/oauth/authorize/decision", hubspot.url()));
    let form = format!("{query}&hub_id={PORTAL}&decision=accept");
    let answer = decision.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("{BACK}?code=")));
    assert_eq!(parameter(location, "state").unwrap(), "a state&more");

    let (status, tokens) = exchange(&hubspot, &http, &parameter(location, "code").unwrap(), &[]).await;
    assert_eq!((status, &tokens["expires_in"], &tokens["hub_id"]), (200, &1800.into(), &PORTAL.into()));
    assert_eq!(tokens["scopes"], serde_json::json!(["oauth", READ, "tickets", "automation"]));
    let (status, _) =
        call(&hubspot, &http, "GET", "/crm/v3/objects/contacts", text(&tokens, "access_token"), None).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_person_who_declines_comes_back_with_access_denied() {
    let (hubspot, _) = start().await;

    let location = hubspot.decline(&authorize_url(&hubspot, &[])).unwrap();

    assert_eq!(parameter(&location, "error").unwrap(), "access_denied");
    assert_eq!(parameter(&location, "state").unwrap(), "a state&more");
    assert_eq!(parameter(&location, "code"), None);
}

#[tokio::test]
async fn a_wrong_request_is_shown_to_the_person_and_redirects_nobody() {
    let (hubspot, http) = start().await;
    let wrong = [
        ("client_id", "another"),
        ("redirect_uri", "http://evil.example/"),
        ("redirect_uri", "javascript:alert(1)"),
        ("scope", ""),
        ("state", ""),
        ("code_challenge_method", "plain"),
        ("response_type", "token"),
    ];

    for change in wrong {
        let url = authorize_url(&hubspot, &[change]);
        let answer = http.get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (400, None), "{change:?}");
        hubspot.accept(&url, PORTAL).unwrap_err();
    }
    let doubled = format!("{}&state=other", authorize_url(&hubspot, &[]));
    hubspot.accept(&doubled, PORTAL).unwrap_err();
    hubspot.register_redirect_uri("https://api.example.com/other");
    hubspot.accept(&authorize_url(&hubspot, &[]), PORTAL).unwrap_err();
}

#[tokio::test]
async fn a_portal_drops_missing_optional_scopes_and_refuses_without_required_ones() {
    let (hubspot, http) = start().await;

    hubspot.set_portal_scopes(PORTAL, Some(&["oauth", READ, "automation"]));
    let (_, tokens) = exchange(&hubspot, &http, &code(&hubspot), &[]).await;
    assert_eq!(tokens["scopes"], serde_json::json!(["oauth", READ, "automation"]));

    hubspot.set_portal_scopes(PORTAL, Some(&["oauth"]));
    let page = hubspot.accept(&authorize_url(&hubspot, &[]), PORTAL).unwrap_err();
    assert!(page.contains(READ));
}

#[tokio::test]
async fn a_code_is_good_once_for_its_redirect_uri_its_verifier_and_a_minute() {
    let (hubspot, http) = start().await;
    let one = code(&hubspot);

    let wrong = [
        (exchange(&hubspot, &http, "another", &[]).await, "BAD_AUTH_CODE"),
        (
            exchange(&hubspot, &http, &one, &[("redirect_uri", "https://x.example/")]).await,
            "MISMATCH_REDIRECT_URI_AUTH_CODE",
        ),
        (exchange(&hubspot, &http, &one, &[("code_verifier", "wrong")]).await, "BAD_CODE_VERIFIER"),
        (exchange(&hubspot, &http, &one, &[("code_verifier", "")]).await, "BAD_CODE_VERIFIER"),
    ];
    for ((status, body), name) in wrong {
        assert_eq!((status, text(&body, "error"), text(&body, "status")), (400, "invalid_grant", name));
        assert_eq!(body["error_description"], body["message"]);
    }
    assert_eq!(exchange(&hubspot, &http, &one, &[]).await.0, 200);
    assert_eq!(text(&exchange(&hubspot, &http, &one, &[]).await.1, "status"), "BAD_AUTH_CODE");

    let late = code(&hubspot);
    hubspot.advance(Duration::from_secs(61));
    assert_eq!(text(&exchange(&hubspot, &http, &late, &[]).await.1, "status"), "BAD_AUTH_CODE");
}

#[tokio::test]
async fn a_hundred_exchanges_of_one_code_succeed_once() {
    let (hubspot, http) = start().await;
    let code = code(&hubspot);

    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (hubspot, http, code) = (hubspot.clone(), http.clone(), code.clone());
        calls.spawn(async move { exchange(&hubspot, &http, &code, &[]).await.0 });
    }

    assert_eq!(calls.join_all().await.into_iter().filter(|status| *status == 200).count(), 1);
}

#[tokio::test]
async fn credentials_count_only_in_the_body_and_once() {
    let (hubspot, http) = start().await;
    let issued = hubspot.authorize(PORTAL, &[READ]);
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&client_id={}&client_secret={}",
        issued.refresh_token,
        hubspot.client_id(),
        hubspot.client_secret()
    );
    let url = format!("{}/oauth/2026-03/token", hubspot.url());
    let kind = "application/x-www-form-urlencoded";

    let in_url = http.post(format!("{url}?{form}")).header("content-type", kind);
    let basic = http.post(&url).header("content-type", kind).basic_auth("a", Some("b")).body(form.clone());
    let json = http.post(&url).header("content-type", "application/json").body(form.clone());
    let doubled = http.post(&url).header("content-type", kind).body(format!("{form}&client_id=x"));
    let good = http.post(&url).header("content-type", format!("{kind}; charset=utf-8")).body(form);

    for (call, status) in [(in_url, 400), (basic, 400), (json, 415), (doubled, 400), (good, 200)] {
        assert_eq!(call.send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_wrong_client_is_distinguished_from_a_wrong_grant() {
    let (hubspot, http) = start().await;
    let issued = hubspot.authorize(PORTAL, &[READ]);
    let ask = |id: String, secret: String| {
        let form = format!(
            "grant_type=refresh_token&refresh_token={}&client_id={id}&client_secret={secret}",
            issued.refresh_token
        );
        let call = http.post(format!("{}/oauth/2026-03/token", hubspot.url()));
        async move {
            read(call.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap())
                .await
                .1
        }
    };

    let old = hubspot.client_secret();
    hubspot.rotate_client_secret("another");
    let secret = ask(hubspot.client_id(), old).await;
    let id = ask("unknown".to_owned(), "another".to_owned()).await;
    let unsupported = post(&hubspot, &http, "/oauth/2026-03/token", &[("grant_type", "password")]).await.1;

    assert_eq!((text(&secret, "error"), text(&secret, "status")), ("invalid_client", "BAD_CLIENT_SECRET"));
    assert_eq!((text(&id, "error"), text(&id, "status")), ("invalid_client", "BAD_CLIENT_ID"));
    assert_eq!(text(&unsupported, "error"), "unsupported_grant_type");
    assert_eq!(text(&ask(hubspot.client_id(), "another".to_owned()).await, "refresh_token"), issued.refresh_token);
}

#[tokio::test]
async fn only_the_dated_versions_answer() {
    let (hubspot, http) = start().await;

    for (version, status) in [("2026-03", 400), ("2026-09", 400), ("v1", 404), ("v3", 404), ("2025-01", 404)] {
        for path in ["token", "token/introspect", "token/revoke"] {
            let answer = post(&hubspot, &http, &format!("/oauth/{version}/{path}"), &[]).await;
            assert_eq!(answer.0, status, "{version} {path}");
        }
    }
    let (status, _) = call(&hubspot, &http, "GET", "/oauth/v1/access-tokens/x", "x", None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn introspection_completes_a_terse_token_answer() {
    let (hubspot, http) = start().await;
    hubspot.set_token_fields(TokenFields::Required);

    let (_, tokens) = exchange(&hubspot, &http, &code(&hubspot), &[]).await;
    let members: Vec<_> = tokens.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token"]);
    let ask = |token: String| {
        let (hubspot, http) = (&hubspot, &http);
        async move { post(hubspot, http, "/oauth/2026-03/token/introspect", &[("token", &token)]).await.1 }
    };
    let access = ask(text(&tokens, "access_token").to_owned()).await;
    let refresh = ask(text(&tokens, "refresh_token").to_owned()).await;

    assert_eq!((&access["active"], &access["hub_id"]), (&true.into(), &PORTAL.into()));
    assert_eq!(access["scopes"], refresh["scopes"]);
    assert_eq!((text(&access, "token_use"), text(&refresh, "token_use")), ("access_token", "refresh_token"));
    assert_eq!(ask("unknown".to_owned()).await, serde_json::json!({ "active": false }));
    hubspot.expire_access_tokens();
    assert_eq!(ask(text(&tokens, "access_token").to_owned()).await["active"], false);
}
