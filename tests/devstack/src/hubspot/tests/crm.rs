//! Requests of automations, and HubSpot's answers.

use serde_json::json;

use super::*;

const ALL: [&str; 8] = [
    READ,
    WRITE,
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "tickets",
    "crm.objects.owners.read",
    "crm.objects.companies.read",
    "oauth",
];

struct World {
    hubspot: HubSpot,
    http: Client,
    token: String,
}

impl World {
    async fn start() -> Self {
        let (hubspot, http) = super::start().await;
        let token = hubspot.authorize(PORTAL, &ALL).access_token;
        Self { hubspot, http, token }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        call(&self.hubspot, &self.http, "GET", path, &self.token, None).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        call(&self.hubspot, &self.http, method, path, &self.token, Some(body)).await
    }
}

fn link(type_id: u64, to: u64) -> Value {
    json!([{ "to": { "id": to.to_string() },
        "types": [{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id }] }])
}

#[tokio::test]
async fn a_contact_is_found_by_a_property_and_by_an_encoded_email() {
    let world = World::start().await;
    let properties = [("email", "jane@example.com"), ("phone", "+420 777 123 456"), ("lifecyclestage", "lead")];
    let jane = world.hubspot.create_object(PORTAL, "contacts", &properties);
    world.hubspot.create_object(PORTAL, "contacts", &[("email", "joe@example.com"), ("phone", "+420777999999")]);

    let filter = json!({ "propertyName": "phone", "operator": "EQ", "value": "+420 777 123 456" });
    let search = json!({ "filterGroups": [{ "filters": [filter] }], "properties": ["email", "phone"], "limit": 1 });
    let (status, found) = world.send("POST", "/crm/v3/objects/contacts/search", search).await;
    assert_eq!((status, &found["total"]), (200, &json!(1)));
    assert_eq!(found["results"][0]["id"], json!(jane.to_string()));

    let path = "/crm/v3/objects/contacts/jane%40example.com?idProperty=email&properties=phone,lifecyclestage&properties=nothing";
    let (status, shown) = world.get(path).await;
    assert_eq!((status, &shown["properties"]["phone"]), (200, &json!("+420 777 123 456")));
    assert_eq!((&shown["properties"]["nothing"], shown["properties"].get("email")), (&Value::Null, None));
    assert_eq!(world.get("/crm/v3/objects/contacts/none%40example.com?idProperty=email").await.0, 404);
}

#[tokio::test]
async fn a_contact_is_created_once_changed_and_archived() {
    let world = World::start().await;
    let body = json!({ "properties": { "email": "new@example.com", "phone": "+420777000111" } });

    let (status, created) = world.send("POST", "/crm/v3/objects/contacts", body.clone()).await;
    assert_eq!((status, &created["properties"]["email"]), (201, &json!("new@example.com")));
    let id = text(&created, "id");
    let (status, conflict) = world.send("POST", "/crm/v3/objects/contacts", body).await;
    assert_eq!((status, text(&conflict, "category")), (409, "CONFLICT"));
    assert_eq!(text(&conflict, "message"), format!("Contact already exists. Existing ID: {id}"));
    let invalid = json!({ "properties": { "email": "nonsense" } });
    assert_eq!(world.send("POST", "/crm/v3/objects/contacts", invalid).await.0, 400);

    let path = format!("/crm/v3/objects/contacts/{id}");
    let (status, changed) = world.send("PATCH", &path, json!({ "properties": { "firstname": "Ann" } })).await;
    assert_eq!((status, &changed["properties"]["firstname"]), (200, &json!("Ann")));
    assert_eq!(call(&world.hubspot, &world.http, "DELETE", &path, &world.token, None).await.0, 204);
    assert_eq!(world.get(&path).await.0, 404);
}

#[tokio::test]
async fn a_call_a_note_a_task_a_deal_and_a_ticket_are_logged_with_their_contact() {
    let world = World::start().await;
    let contact = world.hubspot.create_object(PORTAL, "contacts", &[("email", "a@example.com")]);
    let cases = [
        ("calls", 194, json!({ "hs_timestamp": "2026-11-24T10:00:00Z", "hs_call_duration": "61000" })),
        ("notes", 202, json!({ "hs_timestamp": 1_795_559_736_789_i64, "hs_note_body": "hello" })),
        ("tasks", 204, json!({ "hs_timestamp": "2026-11-25T10:00:00Z", "hs_task_subject": "call back" })),
        ("deals", 3, json!({ "dealname": "big", "dealstage": "appointmentscheduled" })),
        ("tickets", 16, json!({ "subject": "help", "hs_pipeline_stage": "1" })),
    ];

    for (kind, type_id, properties) in cases {
        let path = format!("/crm/v3/objects/{kind}");
        let body = json!({ "properties": properties, "associations": link(type_id, contact) });
        let (status, created) = world.send("POST", &path, body).await;
        assert_eq!(status, 201, "{kind}: {created}");
        let id = text(&created, "id").parse().unwrap();
        assert_eq!(world.hubspot.associated(PORTAL, (kind, id), "contacts"), [contact]);
    }
    let (_, shown) = world.get(&format!("/crm/v3/objects/contacts/{contact}?associations=deals,calls")).await;
    assert_eq!(shown["associations"]["deals"]["results"][0]["type"], "contact_to_deal");

    let lacking = json!({ "properties": { "hs_call_status": "COMPLETED" } });
    let (status, refused) = world.send("POST", "/crm/v3/objects/calls", lacking).await;
    assert_eq!((status, &refused["context"]["properties"]), (400, &json!(["hs_timestamp"])));
    let wrong = json!({ "properties": { "hs_timestamp": "1" }, "associations": link(202, contact) });
    assert_eq!(world.send("POST", "/crm/v3/objects/calls", wrong).await.0, 400);
    assert_eq!(world.hubspot.objects(PORTAL, "calls").len(), 1);
}

#[tokio::test]
async fn a_call_is_associated_with_a_deal_without_a_body() {
    let world = World::start().await;
    let one = world.hubspot.create_object(PORTAL, "calls", &[("hs_timestamp", "1")]);
    let two = world.hubspot.create_object(PORTAL, "deals", &[("dealname", "big")]);
    let path = |two: u64| format!("/crm/v4/objects/call/{one}/associations/default/deal/{two}");

    let (status, answer) = call(&world.hubspot, &world.http, "PUT", &path(two), &world.token, None).await;

    assert_eq!((status, text(&answer, "status")), (200, "COMPLETE"));
    assert_eq!(answer["results"][0]["associationSpec"]["associationTypeId"], 206);
    let (_, listed) = world.get(&format!("/crm/v4/objects/deals/{two}/associations/calls")).await;
    assert_eq!(listed["results"][0]["toObjectId"], one.to_string());
    assert_eq!(call(&world.hubspot, &world.http, "PUT", &path(two + 1), &world.token, None).await.0, 404);
}

#[tokio::test]
async fn lists_and_searches_come_in_pages() {
    let world = World::start().await;
    for number in 0..5 {
        world.hubspot.create_object(
            PORTAL,
            "deals",
            &[("dealname", &format!("deal {number}")), ("amount", if number < 2 { "90" } else { "100" })],
        );
    }

    let (_, first) = world.get("/crm/v3/objects/deals?limit=3&properties=dealname").await;
    let after = first["paging"]["next"]["after"].as_str().unwrap();
    let (_, rest) = world.get(&format!("/crm/v3/objects/deals?limit=3&after={after}")).await;
    assert_eq!((first["results"].as_array().unwrap().len(), rest["results"].as_array().unwrap().len()), (3, 2));
    assert_eq!(rest.get("paging"), None);

    let filter = json!({ "propertyName": "amount", "operator": "EQ", "value": "100" });
    let search = json!({ "filterGroups": [{ "filters": [filter] }], "limit": 2, "properties": ["dealname"] });
    let (_, found) = world.send("POST", "/crm/v3/objects/deals/search", search).await;
    assert_eq!((&found["total"], &found["paging"]["next"]["after"]), (&json!(3), &json!("2")));
    assert_eq!(found["results"][0]["properties"]["dealname"], "deal 2");
    let unknown = json!({ "filterGroups": [{ "filters": [{ "propertyName": "amount", "operator": "LIKE" }] }] });
    assert_eq!(world.send("POST", "/crm/v3/objects/deals/search", unknown).await.0, 400);
    let ids = world.hubspot.objects(PORTAL, "deals")[0]["id"].clone();
    let (status, read) = world
        .send("POST", "/crm/v3/objects/deals/batch/read", json!({ "inputs": [{ "id": ids }, { "id": "1" }] }))
        .await;
    assert_eq!((status, read["results"].as_array().unwrap().len()), (207, 1));
}

#[tokio::test]
async fn what_the_grant_does_not_cover_is_refused_by_the_scope_that_it_takes() {
    let (hubspot, http) = start().await;
    let token = hubspot.authorize(PORTAL, &[READ]).access_token;
    let body = Some(json!({ "properties": { "email": "a@example.com" } }));

    let (status, refused) = call(&hubspot, &http, "POST", "/crm/v3/objects/contacts", &token, body.clone()).await;
    assert_eq!((status, text(&refused, "category")), (403, "MISSING_SCOPES"));
    assert_eq!(refused["errors"][0]["context"]["requiredGranularScopes"], json!([WRITE]));
    let search = call(&hubspot, &http, "POST", "/crm/v3/objects/contacts/search", &token, Some(json!({}))).await;
    assert_eq!(search.0, 200);

    hubspot.set_granted_scopes(PORTAL, &[WRITE]);
    assert_eq!(call(&hubspot, &http, "POST", "/crm/v3/objects/contacts", &token, body).await.0, 201);
    assert_eq!(call(&hubspot, &http, "GET", "/crm/v3/objects/contacts", &token, None).await.0, 403);
}

#[tokio::test]
async fn only_one_bearer_token_of_ours_is_let_in() {
    let world = World::start().await;
    let url = format!("{}/crm/v3/objects/contacts", world.hubspot.url());
    let get = || world.http.get(&url);
    let good = format!("Bearer {}", world.token);

    let refused = [
        get(),
        get().header("authorization", &world.token),
        get().header("authorization", "Bearer pat-na1-0000"),
        get().header("authorization", format!("Basic {}", world.token)),
        get().header("authorization", &good).header("authorization", &good),
        world.http.get(format!("{url}?hapikey=x&access_token={}", world.token)),
    ];

    for call in refused {
        let (status, body) = read(call.send().await.unwrap()).await;
        assert_eq!((status, text(&body, "category")), (401, "INVALID_AUTHENTICATION"));
    }
    assert_eq!(get().header("authorization", good).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_unknown_route_is_html_and_a_wrong_body_is_hubspots_json() {
    let world = World::start().await;

    for path in ["/crm/v3/nothing", "/crm/v3/objects/unicorns", "/", "/crm/v3/objects/contacts/1/2"] {
        let (status, body) = world.get(path).await;
        assert!(status == 404 && body.as_str().unwrap().starts_with("<html>"), "{path}");
    }
    assert_eq!(call(&world.hubspot, &world.http, "PUT", "/crm/v3/objects/contacts", &world.token, None).await.0, 405);
    let post = || world.http.post(format!("{}/crm/v3/objects/contacts", world.hubspot.url())).bearer_auth(&world.token);
    let broken = post().header("content-type", "application/json").body("{").send().await.unwrap();
    let (status, body) = read(broken).await;
    assert!(status == 400 && text(&body, "message").starts_with("Invalid input JSON on line 1, column 1"));
    assert_eq!(post().body("{}").send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn each_portal_reports_and_enforces_its_own_limits() {
    let world = World::start().await;
    let limits = |answer: &Response| {
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        (header("X-HubSpot-RateLimit-Max"), header("X-HubSpot-RateLimit-Remaining"))
    };
    let get =
        || world.http.get(format!("{}/crm/v3/objects/contacts", world.hubspot.url())).bearer_auth(&world.token).send();
    world.hubspot.set_rate_limit(Some(RateLimit { per_ten_seconds: 3, searches_per_second: 0 }));

    let (status, body) = world.send("POST", "/crm/v3/objects/contacts/search", json!({})).await;
    assert_eq!((status, text(&body, "policyName")), (429, "SECONDLY"));
    assert_eq!(get().await.unwrap().status(), 200);
    assert_eq!(limits(&get().await.unwrap()), ("3".to_owned(), "1".to_owned()));
    assert_eq!(get().await.unwrap().status(), 200);
    let over = get().await.unwrap();
    assert_eq!((over.status().as_u16(), limits(&over).1), (429, "0".to_owned()));
    let (_, body) = read(over).await;
    assert_eq!((text(&body, "errorType"), text(&body, "policyName")), ("RATE_LIMIT", "TEN_SECONDLY_ROLLING"));
    assert_eq!(text(&body, "message"), "You have reached your ten_secondly_rolling limit.");

    let other = world.hubspot.authorize(PORTAL + 1, &ALL).access_token;
    assert_eq!(call(&world.hubspot, &world.http, "GET", "/crm/v3/objects/contacts", &other, None).await.0, 200);
    world.hubspot.advance(Duration::from_secs(10));
    assert_eq!(get().await.unwrap().status(), 200);
}
