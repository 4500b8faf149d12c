//! What automations really send goes out as it was written.

use super::*;

const OBJECTS: [&str; 13] = [
    "contacts",
    "contact",
    "0-1",
    "companies",
    "deals",
    "0-3",
    "tickets",
    "leads",
    "calls",
    "notes",
    "tasks",
    "emails",
    "2-1234567",
];

/// Every path shape that HubSpot's v1, v3, v4 and dated APIs are called by here, with the encodings that occur in them.
fn endpoints() -> Vec<String> {
    let mut all = Vec::new();
    for object in OBJECTS {
        for base in [format!("/crm/v3/objects/{object}"), format!("/crm/objects/2026-03/{object}")] {
            for tail in [
                "",
                "/",
                "/search",
                "/batch/read",
                "/batch/create",
                "/batch/upsert",
                "/151",
                "/151?archived=false",
                "/jane%40example.com?idProperty=email&properties=phone,lifecyclestage&associations=deals",
                "/%2B49301234567?idProperty=phone",
                "?limit=100&after=NTI1Cg%3D%3D",
                "?properties=email&properties=phone&limit=1",
                "/151/associations/deals?limit=500",
                "/151/associations/companies/7/contact_to_company",
            ] {
                all.push(format!("{base}{tail}"));
            }
        }
        for tail in
            ["/151/associations/default/deal/7", "/151/associations/deal/7", "/151/associations/deal?after=MTAw"]
        {
            all.push(format!("/crm/v4/objects/{object}{tail}"));
        }
        all.push(format!("/crm/v4/associations/{object}/deal/batch/read"));
        all.push(format!("/crm/v3/properties/{object}/hs_call_status"));
        all.push(format!("/crm/v3/pipelines/{object}/default/stages"));
    }
    all.extend(
        [
            "/crm/v3/owners/",
            "/crm/v3/owners?email=agent%40example.com&limit=1",
            "/crm/owners/2026-03/42",
            "/crm/v3/lists/search",
            "/crm/v3/lists/9/memberships/add",
            "/crm/lists/2026-03/object-type-id/0-1/name/Prospects%20septembre",
            "/files/v3/files",
            "/files/v3/files/7/signed-url?size=thumb",
            "/automation/v4/flows/9",
            "/events/v3/send",
            "/events/2026-03/send/batch",
            "/crm/v3/timeline/events",
            "/account-info/v3/details",
            "/account-info/2026-03/details",
            "/engagements/v1/engagements",
            "/engagements/v1/engagements/29090716?_=1",
            "/contacts/v1/contact/vid/61571/profile",
            "/contacts/v1/contact/createOrUpdate/email/test%2Btag@hubspot.com",
            "/contacts/v1/contact/email/jane%40x.com/profile",
            "/contacts/v1/search/query?q=O'Brien%20%26%20S%C3%B6hne".replace('\'', "%27").as_str(),
            "/contacts/v1/lists/all/contacts/all?vidOffset=10",
            "/crm/v3/objects/contacts/o'neil%40x.com?idProperty=email",
            "/crm/v3/objects/contacts/100%25?x=%25",
            "/crm/v3/objects/companies/https%3A%2F%2Fexample.com%2Fa?idProperty=website",
            "/crm/v3/objects/contacts?a[]=1&b[x]=2&c=(1),*!$:@/?;d=~-._&e==&f&&g=%E4%B8%AD",
        ]
        .map(str::to_owned),
    );
    all
}

#[test]
fn legitimate_endpoints_are_sent_byte_for_byte() {
    let endpoints = endpoints();
    assert!(endpoints.len() >= 300, "{}", endpoints.len());
    for endpoint in endpoints {
        for prefix in ["", "https://api.hubapi.com", "https://api-eu1.hubapi.com", "http://api.hubspot.com:80"] {
            for method in ["GET", "POST", "PATCH"] {
                let target = target(method, &format!("{prefix}{endpoint}"))
                    .unwrap_or_else(|error| panic!("{method} {prefix}{endpoint} gave {error}"));

                assert_eq!(target.url().as_str(), format!("{ORIGIN}{endpoint}"));
                assert_eq!(target.ignored(), [""; 0], "{endpoint}");
            }
        }
    }
}

#[test]
fn the_request_of_the_contract_is_sent_without_its_credentials() {
    let body = r#"{ "account_id": "acc_1", "integration_id": "0193-x", "automation_id": "wf_42", "deadline_ms": 5000,
        "request": { "method": "POST", "endpoint": "https://api.hubapi.com/crm/v3/objects/contacts/search?hapikey=old",
          "query": {"archived": "false", "properties": ["email", "phone"]},
          "headers": {"Authorization": "Bearer pat-na1-old", "Content-Type": "application/json"},
          "body": { "limit" : 1.0e2,"limit": 12345678901234567890, "a":"\u00e9\/" } } }"#;

    let request = AutomationRequest::parse(body, &origin()).unwrap();

    assert_eq!(request.account_id.as_str(), "acc_1");
    assert_eq!(request.integration_id.as_ref().unwrap().as_str(), "0193-x");
    assert_eq!((request.automation_id.as_deref(), request.deadline_ms), (Some("wf_42"), Some(5000)));
    let call = &request.call;
    assert_eq!(
        call.target().url().as_str(),
        "https://api.hubapi.com/crm/v3/objects/contacts/search?archived=false&properties=email&properties=phone"
    );
    assert_eq!(call.headers(), [("content-type", "application/json".to_owned())]);
    assert_eq!(call.body().unwrap(), br#"{ "limit" : 1.0e2,"limit": 12345678901234567890, "a":"\u00e9\/" }"#);
    assert_eq!(call.ignored(), ["header:authorization", "query:hapikey"]);
    let printed = format!("{request:?}");
    for planted in ["old", "pat-", "email", "limit", "contacts"] {
        assert!(!printed.contains(planted), "{printed}");
    }
}
