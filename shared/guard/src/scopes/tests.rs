//! The table once more, as HubSpot's documentation has it and not as the code has it.

mod apis;

use http::Method;

use super::*;

const REFERENCE: &str = "https://developers.hubspot.com/docs/api-reference";
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// The bases of objects, with the version that HubSpot puts there.
const BASES: [&str; 4] =
    ["/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09-beta", "/crm/objects/2026-09"];

/// Plural, singular and type id; scopes to read, to write; page.
const OBJECTS: [[&str; 6]; 11] = [
    ["contacts", "contact", "0-1", "crm.objects.contacts.read", "crm.objects.contacts.write", "objects"],
    ["companies", "company", "0-2", "crm.objects.companies.read", "crm.objects.companies.write", "objects"],
    ["deals", "deal", "0-3", "crm.objects.deals.read", "crm.objects.deals.write", "objects"],
    ["tickets", "ticket", "0-5", "tickets", "tickets", "objects"],
    ["leads", "lead", "0-136", "crm.objects.leads.read", "crm.objects.leads.write", "objects"],
    ["calls", "call", "0-48", "crm.objects.contacts.read", "crm.objects.contacts.write", "activities"],
    ["notes", "note", "0-46", "crm.objects.contacts.read", "crm.objects.contacts.write", "activities"],
    ["tasks", "task", "0-27", "crm.objects.contacts.read", "crm.objects.contacts.write", "activities"],
    ["meetings", "meeting", "0-47", "crm.objects.contacts.read", "crm.objects.contacts.write", "activities"],
    ["communications", "communication", "0-18", "crm.objects.contacts.read", "crm.objects.contacts.write", "objects"],
    [
        "emails",
        "email",
        "0-49",
        "crm.objects.contacts.read sales-email-read",
        "crm.objects.contacts.write sales-email-read",
        "activities",
    ],
];

/// The rest of the path after an object's name; the methods that read, and those that write. All others are unknown.
const SHAPES: [(&str, &[Method], &[Method]); 15] = [
    ("", &[Method::GET], &[Method::POST]),
    ("/", &[Method::GET], &[Method::POST]),
    ("/151", &[Method::GET], &[Method::PATCH, Method::DELETE]),
    ("/jane%40example.com", &[Method::GET], &[Method::PATCH, Method::DELETE]),
    ("/batch/read", &[Method::POST], &[]),
    ("/batch/create", &[], &[Method::POST]),
    ("/batch/update", &[], &[Method::POST]),
    ("/batch/upsert", &[], &[Method::POST]),
    ("/batch/archive", &[], &[Method::POST]),
    ("/batch/something", &[], &[]),
    ("/%62atch/read", &[], &[]),
    ("/151/something", &[], &[]),
    ("/151%2Fassociations%2fdeals", &[], &[]),
    ("/151%252Fassociations", &[], &[]),
    ("/151/associations", &[], &[]),
];

/// The scopes or the alternatives, how sure they are, and the page.
fn known(method: &Method, path: &str) -> Option<(String, Knowledge, String)> {
    let known = paths::documented(method.as_str(), &segments(path)?)?;
    let scopes = if known.any_of.is_empty() { known.scopes.join(" ") } else { known.any_of.join("|") };
    Some((scopes, known.knowledge, known.docs?.to_owned()))
}

fn owned(scopes: &str) -> Vec<String> {
    scopes.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn objects_are_known_by_documented_names_versions_methods_and_shapes_only() {
    for [plural, singular, type_id, read, write, section] in OBJECTS {
        let docs = format!("{REFERENCE}/latest/crm/{section}/{plural}/guide");
        let expected = |scopes: &str| Some((scopes.to_owned(), Knowledge::Exact, docs.clone()));
        for path in BASES.iter().flat_map(|base| [plural, singular, type_id].map(|name| format!("{base}/{name}"))) {
            for (shape, reading, writing) in SHAPES {
                for method in METHODS {
                    let scopes = match (reading.contains(&method), writing.contains(&method)) {
                        (true, _) => expected(read),
                        (false, true) => expected(write),
                        (false, false) => None,
                    };
                    assert_eq!(known(&method, &format!("{path}{shape}")), scopes, "{method} {path}{shape}");
                }
            }
            // Where these are ids, other methods than POST mean a record.
            assert_eq!(known(&Method::POST, &format!("{path}/search")), expected(read), "{path}");
            assert_eq!(known(&Method::POST, &format!("{path}/merge")), expected(write), "{path}");
            assert_eq!(known(&Method::POST, &format!("{path}/gdpr-delete")), expected(write), "{path}");
            assert_eq!(known(&Method::POST, &format!("{path}/%73earch")), None, "{path}");
        }
    }
}

#[test]
fn what_only_looks_like_an_object_is_unknown() {
    let paths = [
        "/crm/v3/objects/2-1234567",
        "/crm/v3/objects/p_cars",
        "/crm/v3/objects/products",
        "/crm/v3/objects/Contacts",
        "/crm/v3/Objects/contacts",
        "/CRM/V3/OBJECTS/CONTACTS",
        "/crm/V3/objects/contacts",
        "/crm/v3/objects/%63ontacts",
        "/crm/v3/objects/contacts%2F1",
        "/crm%2Fv3/objects/contacts",
        "/%63rm/v3/objects/contacts",
        "/crm/v3/objects",
        "/crm/v3/objects/",
        "/crm/v2/objects/contacts",
        "/crm/v4/objects/contacts",
        "/crm/v4/objects/contacts/1",
        "/crm/v4/owners",
        "/crm/v4/lists",
        "/crm/v4/timeline/events",
        "/crm/v33/objects/contacts",
        "/crm/objects/v3/contacts",
        "/crm/2026-03/objects/contacts",
        "/crm/objects/2026-3/contacts",
        "/crm/objects/2025-09/contacts",
        "/crm/objects/2027-03-beta/contacts",
        "/crm/objects/2026-03-beta/contacts",
        "/crm/schemas/2026-03/contacts",
        "crm/v3/objects/contacts",
        "/cms/v3/blogs/posts",
        "/",
        "",
    ];

    for path in paths {
        for method in METHODS {
            assert_eq!(known(&method, path), None, "{method} {path}");
        }
    }
}

#[test]
fn associations_name_the_scopes_of_both_ends_as_sufficient() {
    let docs = format!("{REFERENCE}/latest/crm/associations/associate-records/guide");
    let expected = |scopes: &str| Some((scopes.to_owned(), Knowledge::Enough, docs.clone()));
    let (read, write) = ("crm.objects.contacts.read", "crm.objects.contacts.write");
    for base in ["/crm/v3", "/crm/v4", "/crm"] {
        let at = |api: &str| if base == "/crm" { format!("/crm/{api}/2026-03") } else { format!("{base}/{api}") };
        let (one, many) = (at("objects"), at("associations"));
        for (method, path, scopes) in [
            (Method::GET, format!("{one}/contacts/1/associations/tickets"), expected(&format!("{read} tickets"))),
            (Method::GET, format!("{one}/0-48/1/associations/contact"), expected(read)),
            (Method::GET, format!("{one}/calls/1/associations/2-7"), None),
            (Method::GET, format!("{one}/2-7/1/associations/calls"), None),
            (Method::GET, format!("{one}/calls/1/associations/deals/2"), None),
            (Method::PUT, format!("{one}/calls/1/associations/deals"), None),
            (
                Method::PUT,
                format!("{one}/call/1/associations/default/deal/2"),
                expected(&format!("{write} crm.objects.deals.write")),
            ),
            (Method::DELETE, format!("{one}/call/1/associations/default/deal/2"), None),
            (Method::PUT, format!("{one}/call/1/associations/default/2-7/2"), None),
            (
                Method::PUT,
                format!("{one}/call/1/associations/deal/2"),
                expected(&format!("{write} crm.objects.deals.write")),
            ),
            (
                Method::DELETE,
                format!("{one}/call/1/associations/deal/2/206"),
                expected(&format!("{write} crm.objects.deals.write")),
            ),
            (Method::POST, format!("{one}/call/1/associations/deal/2"), None),
            (
                Method::POST,
                format!("{many}/contact/company/batch/read"),
                expected(&format!("{read} crm.objects.companies.read")),
            ),
            (Method::POST, format!("{many}/calls/contacts/batch/create"), expected(write)),
            (Method::POST, format!("{many}/calls/contacts/batch/archive"), expected(write)),
            (Method::POST, format!("{many}/calls/contacts/batch/associate/default"), expected(write)),
            (Method::POST, format!("{many}/calls/contacts/batch/labels/archive"), expected(write)),
            (Method::GET, format!("{many}/calls/contacts/batch/read"), None),
            (Method::GET, format!("{many}/calls/contacts/labels"), None),
            (Method::GET, format!("{many}/calls/contacts/types"), None),
            (Method::POST, format!("{many}/calls/2-7/batch/read"), None),
        ] {
            assert_eq!(known(&method, &path), scopes, "{method} {path}");
        }
    }
}

#[test]
fn a_verdict_is_unknown_wherever_it_would_be_a_guess() {
    let contacts = "/crm/v3/objects/contacts";
    let association = "/crm/v4/objects/call/1/associations/default/deal/2";
    let cases = [
        (Method::GET, contacts, "crm.objects.contacts.read", Verdict::Covered),
        (Method::GET, contacts, "crm.objects.contacts.write", Verdict::Missing),
        (Method::POST, contacts, "crm.objects.contacts.read", Verdict::Missing),
        (Method::GET, contacts, "CRM.objects.contacts.read", Verdict::Missing),
        (Method::POST, "/crm/v3/objects/emails", "crm.objects.contacts.write", Verdict::Missing),
        (Method::POST, "/crm/v3/objects/emails", "sales-email-read crm.objects.contacts.write", Verdict::Covered),
        (Method::PUT, association, "crm.objects.contacts.write crm.objects.deals.write", Verdict::Covered),
        (Method::PUT, association, "crm.objects.contacts.write", Verdict::Unknown),
        (Method::PUT, association, "", Verdict::Unknown),
        (Method::POST, "/engagements/v1/engagements", "crm.objects.contacts.write", Verdict::Covered),
        (Method::POST, "/engagements/v1/engagements", "tickets", Verdict::Unknown),
        (Method::POST, "/crm/v3/timeline/events", "timeline", Verdict::Unknown),
        (Method::POST, "/crm/v3/timeline/events", "", Verdict::Unknown),
        (Method::GET, "/cms/v9/blogs", "content", Verdict::Unknown),
        (Method::GET, "/crm/v3/objects/tickets", "crm.objects.tickets.read", Verdict::Unknown),
        (Method::GET, "/crm/v3/objects/tickets", "crm.objects.deals.read", Verdict::Missing),
        (Method::POST, "/crm/v3/objects/emails", "contacts", Verdict::Missing),
    ];

    for (method, path, granted, expected) in cases {
        assert_eq!(verdict(required(&method, path).as_ref(), &owned(granted)), expected, "{method} {path} {granted}");
    }
}

#[test]
fn what_is_missing_is_named_in_the_order_of_the_table() {
    let emails = required(&Method::GET, "/crm/v3/objects/emails").unwrap();

    assert_eq!(missing(&emails, &[]), ["crm.objects.contacts.read", "sales-email-read"]);
    assert_eq!(missing(&emails, &owned("crm.objects.contacts.read")), ["sales-email-read"]);
    assert!(missing(&emails, &owned("sales-email-read crm.objects.contacts.read")).is_empty());
}

#[test]
fn a_missing_scope_names_what_has_to_come_first_and_what_is_easiest() {
    let (required, optional) = (owned("asked twice"), owned("plan twice"));
    let requested = RequestedScopes { required: &required, optional: &optional };
    let (reconnect, plan, operator) = (Some(Remedy::Reconnect), Some(Remedy::HubspotPlan), Some(Remedy::AskOperator));

    for (missing, all, one) in [
        (&["asked"][..], reconnect, reconnect),
        (&["twice"], reconnect, reconnect),
        (&["plan"], plan, plan),
        (&["other"], operator, operator),
        (&["asked", "plan"], plan, reconnect),
        (&["other", "plan"], operator, plan),
        (&["asked", "other"], operator, reconnect),
        (&["plan", "other", "asked"], operator, reconnect),
        (&[], None, None),
    ] {
        assert_eq!((requested.remedy_for_all(missing), requested.remedy_for_one(missing)), (all, one), "{missing:?}");
    }
}

#[test]
fn verdicts_and_remedies_are_written_as_the_contract_has_them() {
    let remedies = [Remedy::Reconnect, Remedy::AskOperator, Remedy::HubspotPlan];
    let verdicts = [Verdict::Covered, Verdict::Missing, Verdict::Unknown];

    assert_eq!(serde_json::to_string(&remedies).unwrap(), r#"["reconnect","ask_operator","hubspot_plan"]"#);
    assert_eq!(serde_json::to_string(&verdicts).unwrap(), r#"["covered","missing","unknown"]"#);
}
