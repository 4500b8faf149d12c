//! Every path shape that HubSpot's v1, v3, v4 and dated APIs are called by here, with the encodings that occur in them.

const OBJECTS: [&str; 20] = [
    "contacts",
    "contact",
    "0-1",
    "companies",
    "0-2",
    "deals",
    "0-3",
    "tickets",
    "0-5",
    "leads",
    "0-136",
    "calls",
    "0-48",
    "notes",
    "tasks",
    "meetings",
    "communications",
    "emails",
    "2-1234567",
    "p44110011_my_objects",
];

/// Below an object, in v3 and the dated versions alike.
const TAILS: [&str; 24] = [
    "",
    "/",
    "/search",
    "/batch/read",
    "/batch/read?archived=false",
    "/batch/create",
    "/batch/update",
    "/batch/upsert",
    "/batch/archive",
    "/merge",
    "/gdpr-delete",
    "/151",
    "/151?archived=false",
    "/151/?propertiesWithHistory=email,phone",
    "/jane%40example.com?idProperty=email&properties=phone,lifecyclestage&associations=deals",
    "/jane.o'neil+tag@example.com?idProperty=email",
    "/%2B49301234567?idProperty=phone",
    "/A-17%2F3%3Fx%23y?idProperty=order_no",
    "?limit=100&after=NTI1Cg%3D%3D",
    "?limit=100&after=NTI1Cg==&archived=true",
    "?properties=email&properties=phone&limit=1",
    "?email__eq=a%2Bb%40x.com&city__in=M%C3%BCnchen,K%c3%b6ln&createdate__gte=2026-01-01T00:00:00Z",
    "/151/associations/deals?limit=500",
    "/151/associations/companies/7/contact_to_company",
];

/// Endpoints that go out as written.
pub fn unchanged() -> Vec<String> {
    let mut all = Vec::new();
    for object in OBJECTS {
        for base in ["v3/objects", "objects/2026-03", "objects/2026-09"] {
            all.extend(TAILS.map(|tail| format!("/crm/{base}/{object}{tail}")));
        }
        for base in ["/crm/v4/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"] {
            all.push(format!("{base}/{object}/151/associations/default/deal/7"));
            all.push(format!("{base}/{object}/151/associations/0-3/7"));
            all.push(format!("{base}/{object}/151/associations/deal?after=MTAw&limit=500"));
        }
        for tail in ["batch/read", "batch/create", "batch/archive", "batch/associate/default", "labels"] {
            all.push(format!("/crm/v4/associations/{object}/deal/{tail}"));
            all.push(format!("/crm/associations/2026-03/{object}/deal/{tail}"));
        }
        all.push(format!("/crm/v3/associations/{object}/deal/batch/read"));
        all.push(format!("/crm/v3/properties/{object}/hs_call_status"));
        all.push(format!("/crm/properties/2026-03/{object}/hs_call_status"));
        all.push(format!("/crm/v3/pipelines/{object}/default/stages/7"));
        all.push(format!("/crm/pipelines/2026-09/{object}"));
        all.push(format!("/crm/v3/schemas/{object}"));
    }
    all.extend(OTHERS.map(str::to_owned));
    all
}

const OTHERS: [&str; 59] = [
    "/crm/v3/owners/",
    "/crm/v3/owners?email=agent%40example.com&limit=1",
    "/crm/v3/owners?email=agent@example.com",
    "/crm/v3/owners/42?idProperty=userId",
    "/crm/owners/2026-03/42",
    "/crm/owners/2026-09?limit=100&after=NDI%3D",
    "/crm/v3/lists/search",
    "/crm/v3/lists/9/memberships/add",
    "/crm/v3/lists/9/memberships/join-order?after=MTAw&limit=250",
    "/crm/lists/2026-03/object-type-id/0-1/name/Prospects%20septembre",
    "/crm/lists/2026-09/9/memberships/add-and-remove",
    "/files/v3/files",
    "/files/v3/files/7/signed-url?size=thumb",
    "/files/v3/files/search?name=Anruf%20%231.mp3&parentFolderId=7",
    "/files/2026-03/files/7",
    "/filemanager/api/v3/files/upload",
    "/automation/v4/flows",
    "/automation/v4/flows/9?includes=a,b",
    "/automation/2026-03/flows/9",
    "/automation/v3/workflows",
    "/automation/v2/workflows/7/enrollments/contacts/jane%40x.com",
    "/events/v3/send",
    "/events/v3/events?objectType=contact&objectId=7&occurredAfter=2026-01-01T00%3A00%3A00%2B02%3A00",
    "/events/2026-03/send/batch",
    "/events/2026-09/send",
    "/crm/v3/timeline/events",
    "/crm/v3/timeline/events/batch/create",
    "/integrators/timeline/v3/events",
    "/integrators/timeline/2026-03/events",
    "/account-info/v3/details",
    "/account-info/v3/api-usage/daily/private-apps",
    "/account-info/2026-03/details",
    "/account-info/2026-09/details",
    "/engagements/v1/engagements",
    "/engagements/v1/engagements/29090716",
    "/engagements/v1/engagements/29090716?_=1",
    "/engagements/v1/engagements/paged?limit=250&offset=0",
    "/engagements/v1/engagements/associated/CONTACT/7/paged",
    "/contacts/v1/contact",
    "/contacts/v1/contact/",
    "/contacts/v1/contact/vid/61571/profile",
    "/contacts/v1/contact/createOrUpdate/email/test%2Btag@hubspot.com",
    "/contacts/v1/contact/createOrUpdate/email/test+tag%40hubspot.com/",
    "/contacts/v1/contact/email/jane%40x.com/profile?property=a&property=b&propertyMode=value_only",
    "/contacts/v1/search/query?q=O%27Brien%20%26%20S%C3%B6hne",
    "/contacts/v1/search/query?q=%2B49%2030+1234567&count=1",
    "/contacts/v1/lists/all/contacts/all?vidOffset=10",
    "/contacts/v1/contact/batch/",
    "/companies/v2/domains/example.com/companies",
    "/deals/v1/deal/7/associations/CONTACT?id=1&id=2",
    "/properties/v1/contacts/properties/named/hs_lead_status",
    "/marketing/v3/forms/9",
    "/conversations/v3/visitor-identification/tokens/create",
    "/crm/v3/objects/contacts/o'neil%40x.com?idProperty=email",
    "/crm/v3/objects/contacts/100%25?x=%25",
    "/crm/v3/objects/companies/https%3A%2F%2Fexample.com%2Fa?idProperty=website",
    "/crm/v3/objects/contacts/M%C3%BCller%2C%20J%c3%b6rg?idProperty=name",
    "/crm/v3/objects/contacts?a[]=1&b[x]=2&c=(1),*!$:@/?;d=~-._&e==&f&&g=%E4%B8%AD",
    "/crm/v3/objects/contacts?",
];

/// Values that variables put into an endpoint, and the form in which every client sends them.
pub const REPAIRED: [(&str, &str); 12] = [
    (
        "/crm/v3/objects/contacts/müller@x.com?idProperty=email",
        "/crm/v3/objects/contacts/m%C3%BCller@x.com?idProperty=email",
    ),
    ("/crm/v3/objects/contacts/ jane@x.com ", "/crm/v3/objects/contacts/%20jane@x.com"),
    ("/contacts/v1/search/query?q=Jörg Müller", "/contacts/v1/search/query?q=J%C3%B6rg%20M%C3%BCller"),
    ("/contacts/v1/search/query?q=O'Brien", "/contacts/v1/search/query?q=O%27Brien"),
    ("/contacts/v1/search/query?q=100% sure", "/contacts/v1/search/query?q=100%25%20sure"),
    ("/contacts/v1/search/query?q=\"中 文\"", "/contacts/v1/search/query?q=%22%E4%B8%AD%20%E6%96%87%22"),
    ("/crm/v3/owners?email={{agent.email}}", "/crm/v3/owners?email=%7B%7Bagent.email%7D%7D"),
    ("/crm/v3/objects/contacts/{{contact.id}}", "/crm/v3/objects/contacts/%7B%7Bcontact.id%7D%7D"),
    ("/crm/v3/objects/contacts?filter=a|b^c<d>`e`", "/crm/v3/objects/contacts?filter=a%7Cb%5Ec%3Cd%3E%60e%60"),
    ("/crm/v3/objects/contacts?q=😀", "/crm/v3/objects/contacts?q=%F0%9F%98%80"),
    ("/crm/v3/owners/42#section", "/crm/v3/owners/42"),
    ("\t/crm/v3/owners/\r\n", "/crm/v3/owners/"),
];
