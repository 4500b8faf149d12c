//! Endpoints that HubSpot has switched off or will, each with HubSpot's own page. A finding, never a refusal.
//!
//! HubSpot ends its support of `v3` in September 2027 as well (the page of [`NUMBERED`]). That is not reported: it
//! concerns nearly every stored automation, and HubSpot still lists those endpoints.

use serde::Serialize;

use crate::reads::is_version;

/// When an endpoint stops, and what replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Deprecation {
    /// The day, or the month, from which HubSpot does not answer or support it; it may lie ahead.
    pub since: &'static str,
    /// The paths that replace it.
    pub successor: &'static str,
    /// HubSpot's page.
    pub docs: &'static str,
}

const LISTS: Deprecation = Deprecation {
    since: "2026-04-30",
    successor: "/crm/lists/2026-03",
    docs: "https://developers.hubspot.com/docs/api-reference/legacy/crm/lists/v1-list-api-migration-guide",
};

const PIPELINES: Deprecation = Deprecation {
    since: "2026-12-04",
    successor: "/crm/pipelines/2026-03",
    docs: "https://developers.hubspot.com/changelog/pipelines-api-v1-sunset",
};

const OWNERS: Deprecation = Deprecation {
    since: "2025-03-24",
    successor: "/crm/owners/2026-03",
    docs: "https://developers.hubspot.com/changelog/final-reminder-sunset-of-v2-owners-api",
};

/// HubSpot's list of the APIs that it has removed.
const REMOVED: &str = "https://developers.hubspot.com/docs/api-reference/deprecated-apis";

const HUBDB_V1: Deprecation = Deprecation {
    since: "2024-01-31",
    successor: "/cms/hubdb/2026-03/tables",
    docs: "https://developers.hubspot.com/changelog/upcoming-sunset-hubdb-v1-api-hubdb-v2-api-and-hubdb-javascript-client",
};

const HUBDB_V2: Deprecation =
    Deprecation { since: "2024-12-16", successor: "/cms/hubdb/2026-03/tables", docs: REMOVED };

const ECOMMERCE: Deprecation = Deprecation {
    since: "2023-02-28",
    successor: "the CRM's objects, such as /crm/objects/2026-03/products",
    docs: REMOVED,
};

const CALENDAR: Deprecation =
    Deprecation { since: "2023-08-31", successor: "no API: the marketing calendar within HubSpot", docs: REMOVED };

const FORMS: Deprecation = Deprecation {
    since: "2019-03-29",
    successor: "/marketing/v3/forms",
    docs: "https://developers.hubspot.com/changelog/2019-01-30-sunset-the-v1-forms-api-will-be-sunset-on-march-29th",
};

const MARKETING_EMAILS: Deprecation = Deprecation {
    since: "2025-11-01",
    successor: "/marketing/emails/2026-03",
    docs: "https://developers.hubspot.com/changelog/marketing-email-api-v3-released-to-general-availability-and-upcoming-sunset-for-v1",
};

const V4: Deprecation = Deprecation {
    since: "2027-03-30",
    successor: "the same API by date, such as /crm/associations/2026-03",
    docs: "https://developers.hubspot.com/changelog/deprecating-support-for-hubspot-v4-apis",
};

const NUMBERED: Deprecation = Deprecation {
    since: "2027-09",
    successor: "the same API by date, such as /crm/objects/2026-03/contacts",
    docs: "https://developers.hubspot.com/changelog/legacy-apis-and-legacy-apps-whats-going-unsupported-and-when",
};

/// HubSpot's announcement for a path, if any.
pub(super) fn deprecation(segments: &[&str]) -> Option<Deprecation> {
    match segments {
        // HubSpot keeps these three, which read contacts: changelog, "Extension: Contact Lists API v1 sunset moved".
        ["contacts", "v1", "lists", "all", "contacts", "all" | "recent"]
        | ["contacts", "v1", "lists", "recently_updated", "contacts", "recent"] => Some(NUMBERED),
        ["contacts", "v1", "lists", ..] => Some(LISTS),
        ["crm-pipelines", "v1", ..] => Some(PIPELINES),
        ["owners", "v2", ..] => Some(OWNERS),
        ["hubdb", "api", "v1", ..] => Some(HUBDB_V1),
        ["hubdb", "api", "v2", ..] => Some(HUBDB_V2),
        ["extensions", "ecomm", "v1" | "v2", ..] => Some(ECOMMERCE),
        ["calendar", "v1", ..] => Some(CALENDAR),
        ["forms", "v1", ..] => Some(FORMS),
        ["marketing-emails", "v1", ..] => Some(MARKETING_EMAILS),
        // The version is the second segment, or the third: `/integrations/v1/…`, `/crm/v4/…`, `/marketing/events/v4/…`.
        [_, "v4", ..] | [_, _, "v4", ..] => Some(V4),
        ["crm", "extensions", _, "v1" | "v2", ..] => Some(NUMBERED),
        // Versions 1 and 2 of the CRM have a first segment for each API: `/contacts/v1/…`, `/crm-objects/v1/…`.
        ["crm", ..] => None,
        [_, "v1" | "v2", ..] => Some(NUMBERED),
        [_, api, "v1" | "v2", ..] if !is_version(api) => Some(NUMBERED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_stop_are_found_by_their_paths() {
        for (path, since) in [
            ("contacts/v1/lists", Some("2026-04-30")),
            ("contacts/v1/lists/7/contacts/all", Some("2026-04-30")),
            ("contacts/v1/lists/7/contacts/recent", Some("2026-04-30")),
            ("contacts/v1/lists/all/contacts/all", Some("2027-09")),
            ("contacts/v1/lists/all/contacts/recent", Some("2027-09")),
            ("contacts/v1/lists/recently_updated/contacts/recent", Some("2027-09")),
            ("contacts/v1/lists/recently_updated/contacts/all", Some("2026-04-30")),
            ("crm-pipelines/v1/pipelines/deals", Some("2026-12-04")),
            ("owners/v2/owners", Some("2025-03-24")),
            ("crm/v4/objects/contacts/1/associations/deals", Some("2027-03-30")),
            ("automation/v4/flows", Some("2027-03-30")),
            ("engagements/v1/engagements", Some("2027-09")),
            ("contacts/v1/contact/email/v4/profile", Some("2027-09")),
            ("companies/v2/companies", Some("2027-09")),
            ("hubdb/api/v2/tables", Some("2024-12-16")),
            ("hubdb/api/v1/tables", Some("2024-01-31")),
            ("extensions/ecomm/v2/sync/messages", Some("2023-02-28")),
            ("calendar/v1/events", Some("2023-08-31")),
            ("forms/v1/forms", Some("2019-03-29")),
            ("forms/v2/forms", Some("2027-09")),
            ("marketing-emails/v1/emails", Some("2025-11-01")),
            ("content/api/v2/blog-posts", Some("2027-09")),
            ("email/public/v1/subscriptions", Some("2027-09")),
            ("filemanager/api/v2/files", Some("2027-09")),
            ("crm/extensions/sales-objects/v1/object-types", Some("2027-09")),
            ("crm/v1/objects/contacts", None),
            ("crm/v2/objects/contacts", None),
            ("crm/objects/v1/contacts", None),
            ("crm/v3/v1", None),
            ("crm/v3/objects/contacts", None),
            ("crm/v3/objects/v1", None),
            ("crm/objects/2026-03/v4", None),
            ("v1", None),
        ] {
            let segments: Vec<&str> = path.split('/').collect();

            assert_eq!(deprecation(&segments).map(|found| found.since), since, "{path}");
        }
    }
}
