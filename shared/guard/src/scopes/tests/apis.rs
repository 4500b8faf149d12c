//! The APIs beside the CRM's objects and associations.

use http::Method;

use super::{Knowledge, REFERENCE, known};

/// Method, paths, scopes, knowledge and page.
type Api<'a> = (&'a Method, &'a [&'a str], &'a str, Knowledge, &'a str);

#[test]
fn every_other_api_of_the_table_is_known_with_its_page() {
    use Knowledge::{Disputed, Enough, Exact};
    const ACCOUNT: &str = "latest/account/account-information/guide";
    const CONTACTS_V1: &str =
        "legacy/crm/objects/contacts/v1/post-contacts-v1-contact-create-OrUpdate-email-contact-email";
    const EVENTS: &str = "latest/events/send-event-data/send-event-occurrence";
    const FLOWS: &str = "legacy/automation/workflows/guide";
    const FILES: &str = "legacy/files/guide";
    const LISTS: &str = "latest/crm/lists/guide";
    const OWNERS: &str = "latest/crm/owners/guide";
    const TIMELINE: &str = "legacy/crm/extensions/timeline/guide";
    let both = "cms.membership.access_groups.write crm.lists.read|crm.lists.read crm.lists.write";
    let (read, write) = ("crm.objects.contacts.read", "crm.objects.contacts.write");
    let (get, post, put, patch, delete) = (&Method::GET, &Method::POST, &Method::PUT, &Method::PATCH, &Method::DELETE);
    let apis: [Api<'_>; 32] = [
        (
            get,
            &["/crm/v3/owners", "/crm/v3/owners/", "/crm/v3/owners/7", "/crm/owners/2026-03/7"],
            "automation|crm.objects.owners.read",
            Exact,
            OWNERS,
        ),
        (get, &["/crm/owners/2026-09/7", "/crm/owners/2026-09-beta/7"], "crm.objects.owners.read", Exact, OWNERS),
        (
            get,
            &["/crm/v3/lists/7/memberships", "/crm/lists/2026-03/", "/crm/v3/lists/folders"],
            "crm.lists.read",
            Exact,
            LISTS,
        ),
        (
            post,
            &[
                "/crm/v3/lists/search",
                "/crm/lists/2026-09/all",
                "/crm/v3/lists/idmapping",
                "/crm/lists/2026-03/records/memberships/batch/read",
            ],
            "crm.lists.read",
            Exact,
            LISTS,
        ),
        (
            put,
            &[
                "/crm/v3/lists/7/memberships/add",
                "/crm/lists/2026-03/7/memberships/remove",
                "/crm/v3/lists/7/memberships/add-and-remove",
                "/crm/v3/lists/7/memberships/add-from/8",
            ],
            both,
            Exact,
            LISTS,
        ),
        (delete, &["/crm/v3/lists/7/memberships"], both, Exact, LISTS),
        (post, &["/crm/v3/lists"], "cms.membership.access_groups.write|crm.lists.write", Exact, LISTS),
        (post, &["/crm/v3/lists/folders"], both, Exact, LISTS),
        (put, &["/crm/v3/lists/7/update-list-name"], both, Exact, LISTS),
        (delete, &["/crm/v3/lists/7"], both, Exact, LISTS),
        (
            get,
            &["/files/v3/files/7", "/files/2026-03/folders/7"],
            "files|files.read|files.ui_hidden.read",
            Exact,
            FILES,
        ),
        (post, &["/files/v3/files"], "files|files.ui_hidden.write|files.write", Exact, FILES),
        (delete, &["/files/v3/files/7/gdpr-delete"], "files|files.delete|files.ui_hidden.write", Exact, FILES),
        // Published in other versions only.
        (post, &["/files/2026-09/files/import-from-url/async"], "files", Exact, FILES),
        (get, &["/automation/v4/flows", "/automation/2026-09-beta/flows/7"], "automation", Exact, FLOWS),
        (post, &["/automation/v4/flows/batch/read"], "automation", Exact, FLOWS),
        (post, &["/events/v3/send", "/events/2026-03/send/batch"], "analytics.behavioral_events.send", Exact, EVENTS),
        (
            post,
            &[
                "/crm/v3/timeline/events",
                "/integrators/timeline/v3/events",
                "/integrators/timeline/v3/events/batch/create",
                "/integrators/timeline/2026-03/events/batch",
            ],
            "timeline",
            Disputed,
            TIMELINE,
        ),
        (get, &["/account-info/v3/details", "/account-info/2026-03/details"], "oauth", Exact, ACCOUNT),
        (post, &["/contacts/v1/contact/createOrUpdate/email/jane%40example.com"], write, Enough, CONTACTS_V1),
        (post, &["/contacts/v1/contact/createOrUpdate/email/search"], write, Enough, CONTACTS_V1),
        (post, &["/contacts/v1/contact", "/contacts/v1/contact/vid/7/profile"], write, Enough, CONTACTS_V1),
        (post, &["/contacts/v1/contact/email/a%40b.c/profile/"], write, Enough, CONTACTS_V1),
        (
            get,
            &["/contacts/v1/contact/vid/7/profile", "/contacts/v1/contact/email/a%40b.c/profile"],
            read,
            Enough,
            CONTACTS_V1,
        ),
        (post, &["/engagements/v1/engagements"], write, Enough, "methods"),
        (get, &["/engagements/v1/engagements/7", "/engagements/v1/engagements/paged"], read, Enough, "methods"),
        // Not documented, or for other purposes: unknown.
        (
            post,
            &[
                "/crm/v3/lists/memberships/batch/read",
                "/crm/v3/owners",
                "/account-info/v3/details",
                "/crm/v3/timeline",
                "/integrators/timeline/v1/events",
            ],
            "",
            Exact,
            "",
        ),
        (
            get,
            &[
                "/crm/v3/owners/7/teams",
                "/account-info/v3/api-usage/daily",
                "/contacts/v1/lists",
                "/contacts/v1/contact/createOrUpdate/email/a",
                "/engagements/v1/engagements",
                "/automation/v3/workflows",
                "/automation/v3/flows",
                "/events/v3/send",
                "/events/v3/events",
                "/files/v3/hubdb",
                "/files/v2/files",
                "/crm/v3/timeline/events",
                "/integrators/timeline/v3/events",
                "/Files/v3/files",
                "/files/2026-03/folders",
            ],
            "",
            Exact,
            "",
        ),
        (
            post,
            &["/events/v1/send", "/events/v3/send/batch/more", "/events/v3/Send", "/engagements/v1/engagements/7"],
            "",
            Exact,
            "",
        ),
        (put, &["/engagements/v1/engagements", "/contacts/v1/contact", "/crm/v3/lists/search"], "", Exact, ""),
        (patch, &["/engagements/v1/engagements/7", "/crm/v3/owners/7"], "", Exact, ""),
        (delete, &["/contacts/v1/contact/vid/7", "/account-info/v3/details"], "", Exact, ""),
    ];

    for (method, paths, scopes, knowledge, page) in apis {
        let docs = match page {
            "methods" => "https://developers.hubspot.com/docs/methods/engagements/create_engagement".to_owned(),
            page => format!("{REFERENCE}/{page}"),
        };
        for path in paths {
            let expected = (!scopes.is_empty()).then(|| (scopes.to_owned(), knowledge, docs.clone()));
            assert_eq!(known(method, path), expected, "{method} {path}");
        }
    }
}
