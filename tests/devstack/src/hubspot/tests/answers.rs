//! Answers that HubSpot is reported to give: of portals that move, of limits, of apps that were uninstalled.

use super::*;

/// An answer with its headers.
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

async fn get(http: &Client, origin: &str, path: &str, token: &str) -> Reply {
    let answer = http.get(format!("{origin}{path}")).bearer_auth(token).send().await.unwrap();
    let headers = answer.headers().clone();
    let (status, body) = read(answer).await;
    Reply { status, headers, body }
}

async fn refresh_at(origin: &str, hubspot: &HubSpot, http: &Client, token: &str) -> (u16, Value) {
    let (id, secret) = (hubspot.client_id(), hubspot.client_secret());
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", id.as_str()), ("client_secret", secret.as_str())])
        .extend_pairs([("grant_type", "refresh_token"), ("refresh_token", token)])
        .finish();
    let call = http.post(format!("{origin}/oauth/2026-03/token")).body(form);
    read(call.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()).await
}

#[tokio::test]
async fn a_moved_portal_is_served_by_its_hub_and_to_later_grants() {
    let (hubspot, http) = start().await;
    let old = hubspot.authorize(PORTAL, &[READ]);
    hubspot.set_location(PORTAL, PortalLocation::Hub("eu1"));
    let path = "/crm/v3/objects/contacts";

    let common = get(&http, &hubspot.url(), path, &old.access_token).await;
    let regional = get(&http, &hubspot.hub_url(), path, &old.access_token).await;
    let unknown = get(&http, &hubspot.url(), "/no/such/route", &old.access_token).await;

    assert_eq!((common.status, common.header("x-hubspot-correct-hublet")), (488, Some("eu1")));
    assert_eq!(text(&common.body, "correctHublet"), "eu1");
    assert_eq!((regional.status, unknown.status), (200, 488));
    assert_eq!(refresh(&hubspot, &http, &old.refresh_token).await.0, 488);
    assert_eq!(refresh_at(&hubspot.hub_url(), &hubspot, &http, &old.refresh_token).await.0, 200);
    let new = hubspot.authorize(PORTAL, &[READ]);
    assert_eq!(get(&http, &hubspot.url(), path, &new.access_token).await.status, 200);
    hubspot.set_location(PORTAL, PortalLocation::Common);
    assert_eq!(get(&http, &hubspot.url(), path, &old.access_token).await.status, 200);
}

#[tokio::test]
async fn every_call_of_a_migrating_portal_has_to_wait() {
    let (hubspot, http) = start().await;
    hubspot.add_portal(2);
    let (moving, other) = (hubspot.authorize(PORTAL, &[READ]), hubspot.authorize(2, &[READ]));
    hubspot.set_location(PORTAL, PortalLocation::Migrating);
    let path = "/crm/v3/objects/contacts";

    let answer = get(&http, &hubspot.url(), path, &moving.access_token).await;

    assert_eq!((answer.status, answer.header("retry-after")), (477, Some("86400")));
    assert_eq!(refresh(&hubspot, &http, &moving.refresh_token).await.0, 477);
    assert_eq!(get(&http, &hubspot.url(), path, &other.access_token).await.status, 200);
}

#[tokio::test]
async fn the_limit_of_searches_comes_without_headers() {
    let (hubspot, http) = start().await;
    hubspot.set_rate_limit(Some(RateLimit { per_ten_seconds: 2, searches_per_second: 0 }));
    let token = hubspot.authorize(PORTAL, &[READ]).access_token;
    let search = http.post(format!("{}/crm/v3/objects/contacts/search", hubspot.url())).bearer_auth(&token);

    let search = search.header("content-type", "application/json").body("{}").send().await.unwrap();
    let headers = search.headers().clone();
    let (status, body) = read(search).await;

    assert_eq!((status, text(&body, "policyName"), text(&body, "errorType")), (429, "SECONDLY", "RATE_LIMIT"));
    assert!(!headers.contains_key("retry-after") && !headers.keys().any(|name| name.as_str().contains("ratelimit")));
    for (status, remaining) in [(200, "1"), (200, "0"), (429, "0")] {
        let answer = get(&http, &hubspot.url(), "/crm/v3/objects/contacts", &token).await;
        assert_eq!((answer.status, answer.header("x-hubspot-ratelimit-remaining")), (status, Some(remaining)));
    }
}

#[tokio::test]
async fn an_uninstalled_app_gets_401_and_then_invalid_grant() {
    let (hubspot, http) = start().await;
    let tokens = hubspot.authorize(PORTAL, &[READ]);
    hubspot.uninstall(PORTAL);

    let call = get(&http, &hubspot.url(), "/crm/v3/objects/contacts", &tokens.access_token).await;
    let (status, refused) = refresh(&hubspot, &http, &tokens.refresh_token).await;

    assert_eq!((call.status, text(&call.body, "category")), (401, "INVALID_AUTHENTICATION"));
    assert!(call.header("x-hubspot-auth-failure").is_some());
    assert_eq!((status, text(&refused, "error")), (400, "invalid_grant"));
}

#[tokio::test]
async fn introspection_may_know_no_token() {
    let (hubspot, http) = start().await;
    let token = hubspot.authorize(PORTAL, &[READ]).access_token;
    let introspect = async || post(&hubspot, &http, "/oauth/2026-03/token/introspect", &[("token", &token)]).await;

    hubspot.set_token_fields(TokenFields::Required);
    assert_eq!(introspect().await.1["active"], true);
    hubspot.set_token_fields(TokenFields::RequiredWithoutIntrospection);
    assert_eq!(introspect().await, (200, serde_json::json!({"active": false})));
}

#[tokio::test]
async fn reported_faults_have_names_of_their_own() {
    let mut names: Vec<&str> = REPORTED.iter().map(|fault| fault.name).collect();
    names.sort_unstable();
    names.dedup();

    assert_eq!(names.len(), REPORTED.len());
    assert_eq!(ReportedFault::named("lost"), Some(Fault::CloseAfterEffect));
    assert_eq!(ReportedFault::named("no such fault"), None);
}
