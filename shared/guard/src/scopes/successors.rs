//! Scopes that HubSpot renames: from 2026-09-08 coarse scopes become granular, on a date per app.
//!
//! `hubdb` is certain (HubSpot, "update your app to use granular scopes"). The others are those that an operation of
//! HubSpot's published OpenAPI files (2026-08-21) names beside the coarse one, and that only narrow it.

/// A coarse scope and its granular successors.
type Renamed = (&'static str, &'static [&'static str]);

const RENAMED: [Renamed; 9] = [
    (
        "hubdb",
        &["hubdb.tables.read", "hubdb.tables.write", "hubdb.tables.publish", "hubdb.rows.read", "hubdb.rows.write"],
    ),
    ("files", &["files.read", "files.write", "files.delete", "files.ui_hidden.read", "files.ui_hidden.write"]),
    (
        "content",
        &[
            "content.landing_pages.read",
            "content.landing_pages.write",
            "content.site_pages.read",
            "content.site_pages.write",
            "marketing.email.read",
            "marketing.email.write",
        ],
    ),
    ("tickets", &["crm.objects.tickets.read", "crm.objects.tickets.write"]),
    (
        "e-commerce",
        &[
            "crm.objects.line_items.read",
            "crm.objects.line_items.write",
            "crm.objects.products.read",
            "crm.objects.products.write",
            "crm.objects.quotes.read",
            "crm.objects.quotes.write",
        ],
    ),
    ("communication_preferences.read_write", &["communication_preferences.read", "communication_preferences.write"]),
    (
        "marketing.campaigns.revenue.read",
        &["marketing.campaigns.revenue.full.read", "marketing.campaigns.revenue.lite.read"],
    ),
    ("data-integration-json-datasource-read", &["data_integration.data_source.file.read"]),
    ("data-integration-json-datasource-write", &["data_integration.data_source.file.write"]),
];

/// The granular scopes that HubSpot may grant in place of this one; none are known of most scopes.
pub fn successors(scope: &str) -> &'static [&'static str] {
    RENAMED.iter().find(|(coarse, _)| *coarse == scope).map_or(&[], |(_, successors)| successors)
}

/// Returns true if one of two scopes replaces the other.
pub(super) fn related(one: &str, other: &str) -> bool {
    successors(one).contains(&other) || successors(other).contains(&one)
}

/// The scopes that were asked for and came back neither under their own name nor under a successor's, in order.
///
/// One successor is enough: which of them HubSpot grants in place of the coarse scope is decided per app.
pub fn not_granted<'a>(asked: &'a [String], granted: &[String]) -> Vec<&'a str> {
    let has = |scope: &str| granted.iter().any(|one| one == scope);
    let lacks = |scope: &&str| !has(scope) && !successors(scope).iter().any(|successor| has(successor));
    asked.iter().map(String::as_str).filter(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn a_scope_is_granted_under_its_own_name_or_a_successors() {
        let asked = list(&["oauth", "hubdb", "files", "tickets", "crm.lists.read"]);
        let granted = list(&["oauth", "hubdb.rows.read", "files.read", "brand.new", "crm.objects.tickets.write"]);

        assert_eq!(not_granted(&asked, &granted), ["crm.lists.read"]);
        assert_eq!(not_granted(&asked, &asked), Vec::<&str>::new());
        assert_eq!(not_granted(&asked, &[]), ["oauth", "hubdb", "files", "tickets", "crm.lists.read"]);
    }

    #[test]
    fn a_coarse_scope_does_not_stand_for_a_granular_one() {
        assert_eq!(not_granted(&list(&["files.read"]), &list(&["files"])), ["files.read"]);
        assert_eq!(not_granted(&list(&["hubdb"]), &list(&["hubdb.rows", "xhubdb.rows.read"])), ["hubdb"]);
    }

    #[test]
    fn scopes_are_related_in_both_directions() {
        assert!(related("tickets", "crm.objects.tickets.read"));
        assert!(related("crm.objects.tickets.read", "tickets"));
        assert!(!related("crm.objects.tickets.read", "crm.objects.tickets.write"));
        assert!(!related("tickets", "tickets"));
    }

    #[test]
    fn no_successor_has_successors_or_two_coarse_scopes() {
        let mut all: Vec<&str> = RENAMED.iter().flat_map(|(_, successors)| successors.iter().copied()).collect();
        assert!(all.iter().all(|scope| successors(scope).is_empty()));
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
