//! Requests of automations, and HubSpot's answers.

use super::*;

#[tokio::test]
async fn an_object_is_created_once_found_changed_and_archived() {
    let world = World::start().await;
    let send = async |method: &str, path: &str, body: Value| {
        let reply = world.call(method, path, Some(body)).await;
        (reply.status, reply.body)
    };
    let ann = json!({ "properties": { "email": "ann@example.com", "phone": 420 } });

    let (status, created) = send("POST", CONTACTS, ann.clone()).await;
    assert_eq!((status, text(&created["properties"], "phone")), (201, "420"));
    let (status, conflict) = send("POST", CONTACTS, ann).await;
    assert_eq!((status, text(&conflict, "category")), (409, "CONFLICT"));
    let one = format!("{CONTACTS}/{}", text(&created, "id"));
    assert_eq!(send("PATCH", &one, json!({ "properties": { "firstname": "Ann" } })).await.0, 200);
    world.hubspot.create_object(PORTAL, "contacts", &[]);

    let filter = |value: &str| json!({ "filters": [{ "propertyName": "phone", "operator": "EQ", "value": value }] });
    let groups = json!({ "filterGroups": [filter("7"), filter("420")], "properties": ["firstname"] });
    let (_, found) = send("POST", &format!("{CONTACTS}/search"), groups).await;
    assert_eq!((&found["total"], text(&found["results"][0]["properties"], "firstname")), (&json!(1), "Ann"));
    // Who names no properties reads those that HubSpot shows by default.
    let ann = world.call("GET", &one, None).await.body;
    let names: Vec<&String> = ann["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]);
    let page = world.call("GET", &format!("{CONTACTS}?limit=1"), None).await.body;
    let next = format!("{CONTACTS}?limit=1&after={}", text(&page["paging"]["next"], "after"));
    let last = world.call("GET", &next, None).await.body;
    assert_eq!((page["results"][0]["id"] == last["results"][0]["id"], last.get("paging")), (false, None));

    assert_eq!(world.call("DELETE", &one, None).await.status, 204);
    assert_eq!(world.call("GET", &one, None).await.status, 404);
}

#[tokio::test]
async fn only_one_bearer_token_of_ours_is_let_in() {
    let world = World::start().await;
    let (token, good) = (&world.issued.access_token, format!("Bearer {}", world.issued.access_token));
    let get = || world.request("GET", CONTACTS);

    let refused = [
        get(),
        get().header("authorization", token),
        get().header("authorization", "Bearer pat-na1-0000"),
        get().header("authorization", format!("Basic {token}")),
        get().header("authorization", &good).header("authorization", &good),
        world.request("GET", &format!("{CONTACTS}?hapikey=x&access_token={token}")),
    ];

    for request in refused {
        let reply = reply(request).await;
        assert_eq!((reply.status, text(&reply.body, "category")), (401, "INVALID_AUTHENTICATION"));
    }
    assert_eq!(world.works(token).await, 200);
}

#[tokio::test]
async fn each_portal_reports_and_enforces_its_own_limits() {
    let world = World::start().await;
    world.hubspot.set_rate_limit(Some(RateLimit { per_ten_seconds: 2, searches_per_second: 0 }));

    let search = world.call("POST", &format!("{CONTACTS}/search"), Some(json!({}))).await;
    assert_eq!((search.status, text(&search.body, "policyName")), (429, "SECONDLY"));
    assert!(!search.headers.keys().any(|name| name.as_str().contains("ratelimit")), "searches have no headers");
    for (status, remaining) in [(200, "1"), (200, "0"), (429, "0")] {
        let reply = world.call("GET", CONTACTS, None).await;
        assert_eq!(
            (reply.status, &reply.headers["x-hubspot-ratelimit-remaining"]),
            (status, &HeaderValue::from_static(remaining))
        );
    }

    let other = world.hubspot.authorize(PORTAL + 1, &[READ]).access_token;
    assert_eq!(world.works(&other).await, 200);
    world.hubspot.advance(Duration::from_secs(10));
    assert_eq!(world.call("GET", CONTACTS, None).await.status, 200);
}
