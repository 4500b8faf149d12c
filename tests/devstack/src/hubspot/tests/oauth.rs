//! The consent page, the exchange of codes, and whose calls the token endpoints answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::*;

const BACK: &str = "https://api.example.com/oauth/hubspot/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456789";

/// Parameters with some of them changed; an empty one is left out.
fn changed<'a>(parameters: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = parameters.iter().filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    kept.chain(changes).filter(|(_, value)| !value.is_empty()).copied().collect()
}

impl World {
    fn authorize_url(&self, changes: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes()));
        let id = self.hubspot.client_id();
        let parameters = [
            ("client_id", id.as_str()),
            ("redirect_uri", BACK),
            ("scope", "oauth crm.objects.contacts.read"),
            ("optional_scope", "tickets automation"),
            ("state", "a state&more"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Url::parse_with_params(&self.hubspot.authorize_url(), changed(&parameters, changes)).unwrap().into()
    }

    fn code(&self) -> String {
        let location = Url::parse(&self.hubspot.accept(&self.authorize_url(&[]), PORTAL).unwrap()).unwrap();
        let code = location.query_pairs().find(|(name, _)| name == "code");
        code.unwrap().1.into_owned()
    }

    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let parameters =
            [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK), ("code_verifier", VERIFIER)];
        self.post("/oauth/2026-03/token", &changed(&parameters, changes)).await
    }
}

#[tokio::test]
async fn a_wrong_request_is_shown_to_the_person_and_redirects_nobody() {
    let world = World::start().await;
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
        let url = world.authorize_url(&[change]);
        let page = reply(world.http.get(&url)).await;
        assert_eq!((page.status, page.headers.get("location")), (400, None), "{change:?}");
        world.hubspot.accept(&url, PORTAL).unwrap_err();
    }
    world.hubspot.accept(&format!("{}&state=other", world.authorize_url(&[])), PORTAL).unwrap_err();
}

#[tokio::test]
async fn a_portal_drops_missing_optional_scopes_and_refuses_without_required_ones() {
    let world = World::start().await;

    world.hubspot.set_portal_scopes(PORTAL, Some(&["oauth", READ, "automation"]));
    let (_, tokens) = world.exchange(&world.code(), &[]).await;
    assert_eq!(tokens["scopes"], json!(["oauth", READ, "automation"]));

    world.hubspot.set_portal_scopes(PORTAL, Some(&["oauth"]));
    let page = world.hubspot.accept(&world.authorize_url(&[]), PORTAL).unwrap_err();
    assert!(page.contains(READ));
}

#[tokio::test]
async fn a_code_is_good_once_for_its_redirect_uri_its_verifier_and_a_minute() {
    let world = World::start().await;
    let (one, late) = (world.code(), world.code());
    let refused = async |code: &str, changes: &[(&str, &str)]| {
        let (status, body) = world.exchange(code, changes).await;
        assert_eq!((status, text(&body, "error")), (400, "invalid_grant"));
        text(&body, "status").to_owned()
    };

    assert_eq!(refused("another", &[]).await, "BAD_AUTH_CODE");
    let elsewhere = ("redirect_uri", "https://x.example/");
    assert_eq!(refused(&one, &[elsewhere]).await, "MISMATCH_REDIRECT_URI_AUTH_CODE");
    for verifier in ["wrong", ""] {
        assert_eq!(refused(&one, &[("code_verifier", verifier)]).await, "BAD_CODE_VERIFIER");
    }
    assert_eq!(world.exchange(&one, &[]).await.0, 200);
    assert_eq!(refused(&one, &[]).await, "BAD_AUTH_CODE");
    world.hubspot.advance(Duration::from_secs(61));
    assert_eq!(refused(&late, &[]).await, "BAD_AUTH_CODE");
}

#[tokio::test]
async fn credentials_count_only_in_the_body_and_once_and_only_the_apps_own() {
    let world = World::start().await;
    let (path, token) = ("/oauth/2026-03/token", &world.issued.refresh_token);
    let form = |id: &str, secret: &str| {
        format!("grant_type=refresh_token&refresh_token={token}&client_id={id}&client_secret={secret}")
    };
    let (id, old) = (world.hubspot.client_id(), world.hubspot.client_secret());
    world.hubspot.rotate_client_secret("another");
    let good = form(&id, "another");
    let post = |path: &str| world.request("POST", path).header("content-type", FORM);

    for (request, status, error) in [
        (post(&format!("{path}?{good}")), 400, "invalid_request"),
        (post(path).basic_auth("a", Some("b")).body(good.clone()), 400, "invalid_request"),
        (post(path).body(format!("{good}&client_id=x")), 400, "invalid_request"),
        (world.request("POST", path).header("content-type", "application/json").body(good.clone()), 415, ""),
        (post(path).body(form(&id, &old)), 400, "invalid_client"),
        (post(path).body(form("unknown", "another")), 400, "invalid_client"),
        (post(path).body(good.replace("=refresh_token", "=password")), 400, "unsupported_grant_type"),
        (post(path).body(good), 200, ""),
    ] {
        let reply = reply(request).await;
        assert_eq!((reply.status, text(&reply.body, "error")), (status, error), "{}", reply.body);
    }
}

#[tokio::test]
async fn only_the_dated_versions_answer() {
    let world = World::start().await;

    for (version, status) in [("2026-03", 400), ("2026-09", 400), ("v1", 404), ("v3", 404), ("2025-01", 404)] {
        for path in ["token", "token/introspect", "token/revoke"] {
            let answer = world.post(&format!("/oauth/{version}/{path}"), &[]).await;
            assert_eq!(answer.0, status, "{version} {path}");
        }
    }
    assert_eq!(world.call("GET", "/oauth/v1/access-tokens/x", None).await.status, 404);
}

#[tokio::test]
async fn introspection_completes_a_terse_token_answer_unless_it_knows_no_token() {
    let world = World::start().await;
    world.hubspot.set_token_fields(TokenFields::Required);

    let (_, tokens) = world.exchange(&world.code(), &[]).await;
    let members: Vec<_> = tokens.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token"]);
    let access = world.introspect(text(&tokens, "access_token")).await;
    let refresh = world.introspect(text(&tokens, "refresh_token")).await;

    assert_eq!((&access["active"], &access["hub_id"]), (&json!(true), &json!(PORTAL)));
    assert_eq!(access["scopes"], refresh["scopes"]);
    let World { hubspot, .. } = &world;
    let counts = (hubspot.requests().len(), hubspot.token_requests().len(), hubspot.api_requests().len());
    assert_eq!(counts, (3, 1, 0), "an introspection asks for no tokens");
    world.hubspot.set_token_fields(TokenFields::RequiredWithoutIntrospection);
    assert_eq!(world.introspect(text(&tokens, "access_token")).await, json!({ "active": false }));
    world.hubspot.set_token_fields(TokenFields::All);
    world.hubspot.expire_access_tokens();
    assert_eq!(world.introspect(text(&tokens, "access_token")).await, json!({ "active": false }));
}
