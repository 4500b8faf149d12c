//! Which OAuth scopes a request needs, as far as that is known. It explains and never blocks: HubSpot decides.
//!
//! The table is that of HubSpot's public documentation for v3, v4 and the dated paths. What is not in it is unknown.

use reqwest::Method;
use serde::Serialize;

/// The page of HubSpot's documentation on scopes.
const DOCS: &str = "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes";

/// The scopes of one kind of record: names in paths, scopes to read it, scopes to write it.
type Row = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// The CRM's objects by plural name, singular name and type id.
const OBJECTS: [Row; 11] = [
    (&["contacts", "contact", "0-1"], &[CONTACTS_READ], &[CONTACTS_WRITE]),
    (&["companies", "company", "0-2"], &["crm.objects.companies.read"], &["crm.objects.companies.write"]),
    (&["deals", "deal", "0-3"], &["crm.objects.deals.read"], &["crm.objects.deals.write"]),
    (&["tickets", "ticket", "0-5"], &["tickets"], &["tickets"]),
    (&["leads", "lead", "0-136"], &["crm.objects.leads.read"], &["crm.objects.leads.write"]),
    (&["calls", "call", "0-48"], &[CONTACTS_READ], &[CONTACTS_WRITE]),
    (&["notes", "note", "0-46"], &[CONTACTS_READ], &[CONTACTS_WRITE]),
    (&["tasks", "task", "0-27"], &[CONTACTS_READ], &[CONTACTS_WRITE]),
    (&["meetings", "meeting", "0-47"], &[CONTACTS_READ], &[CONTACTS_WRITE]),
    (&["communications", "communication", "0-18"], &[CONTACTS_READ], &[CONTACTS_WRITE]),
    (&["emails", "email", "0-49"], &[CONTACTS_READ, EMAIL_READ], &[CONTACTS_WRITE, EMAIL_READ]),
];

const CONTACTS_READ: &str = "crm.objects.contacts.read";
const CONTACTS_WRITE: &str = "crm.objects.contacts.write";
const EMAIL_READ: &str = "sales-email-read";

/// The scopes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Required {
    /// All of them, as far as they are known.
    pub scopes: Vec<&'static str>,
    /// How sure that is.
    pub knowledge: Knowledge,
    /// Where HubSpot documents it.
    pub docs: &'static str,
}

/// What is known about a list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Exactly these are needed.
    Exact,
    /// These are needed, and others may be.
    AtLeast,
    /// These are enough; HubSpot may be content with fewer.
    Enough,
}

/// Whether the granted scopes cover a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They do.
    Covered,
    /// They do not.
    Missing,
    /// It is not known.
    Unknown,
}

/// What makes HubSpot grant a missing scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The app asks for it, and this consent is older: an admin reconnects.
    Reconnect,
    /// The app does not ask for it: its operator has to add it.
    AskOperator,
    /// It was asked for as optional and not granted: the customer's HubSpot plan lacks it.
    HubspotPlan,
}

/// The scopes that a request needs; `None` where that is not known.
pub fn required(method: &Method, path: &str) -> Option<Required> {
    let path = path.strip_prefix('/')?;
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let writes = !reads(method, &segments);
    let exact = |scopes: &[&'static str]| Some(Required::new(scopes, Knowledge::Exact));
    match segments.as_slice() {
        // HubSpot's specification of associations accepts any of many scopes, so both ends are enough and no more.
        ["crm", version, "objects", from, _, "associations", rest @ ..]
        | ["crm", "objects", version, from, _, "associations", rest @ ..]
            if is_version(version) =>
        {
            match rest {
                [] | ["default"] => None,
                ["default", to, ..] | [to, ..] => association(from, to, writes),
            }
        }
        ["crm", version, "associations", from, to, ..] | ["crm", "associations", version, from, to, ..]
            if is_version(version) =>
        {
            association(from, to, writes)
        }
        ["crm", version, "objects", name, ..] | ["crm", "objects", version, name, ..] if is_version(version) => {
            exact(object(name, writes)?)
        }
        ["crm", "v3", "owners", ..] | ["crm", "owners", _, ..] if !writes => exact(&["crm.objects.owners.read"]),
        ["crm", "v3", "lists", ..] | ["crm", "lists", _, ..] if writes => exact(&["crm.lists.read", "crm.lists.write"]),
        ["crm", "v3", "lists", ..] | ["crm", "lists", _, ..] => exact(&["crm.lists.read"]),
        ["files", version, ..] if is_version(version) => exact(&["files"]),
        ["automation", "v4", "flows", ..] => exact(&["automation"]),
        ["automation", version, "flows", ..] if is_date(version) => exact(&["automation"]),
        ["events", version, "send", ..] if writes && is_version(version) => {
            exact(&["analytics.behavioral_events.send"])
        }
        ["crm", "v3", "timeline", "events", ..] | ["integrators", "timeline", _, "events", ..] if writes => {
            Some(Required::new(&["timeline"], Knowledge::AtLeast))
        }
        ["account-info", version, "details"] if !writes && is_version(version) => exact(&["oauth"]),
        // The old paths, still in use.
        ["contacts", "v1", "contact" | "contacts" | "search", ..] | ["engagements", "v1", "engagements", ..] => {
            exact(if writes { &[CONTACTS_WRITE] } else { &[CONTACTS_READ] })
        }
        _ => None,
    }
}

/// Whether the scopes that HubSpot granted cover what a request needs.
pub fn verdict(required: Option<&Required>, granted: &[String]) -> Verdict {
    let Some(required) = required else { return Verdict::Unknown };
    match (missing(required, granted).is_empty(), required.knowledge) {
        (true, Knowledge::Exact | Knowledge::Enough) => Verdict::Covered,
        (false, Knowledge::Exact | Knowledge::AtLeast) => Verdict::Missing,
        (true, Knowledge::AtLeast) | (false, Knowledge::Enough) => Verdict::Unknown,
    }
}

/// The scopes of a request that were not granted, in order.
pub fn missing(required: &Required, granted: &[String]) -> Vec<&'static str> {
    required.scopes.iter().filter(|scope| !granted.iter().any(|one| one == **scope)).copied().collect()
}

/// What helps against missing scopes; `asked` and `optional` are the scopes that the app is configured to ask for.
///
/// Of several, the one that has to come first: what the app does not ask for no reconnect can bring, and what the
/// plan lacks stays missing after one. `None` if nothing is missing.
pub fn remedy(missing: &[&str], asked: &[String], optional: &[String]) -> Option<Remedy> {
    let among = |scopes: &[String], scope: &str| scopes.iter().any(|one| one == scope);
    let one = |scope: &str| match (among(asked, scope), among(optional, scope)) {
        (true, _) => Remedy::Reconnect,
        (false, true) => Remedy::HubspotPlan,
        (false, false) => Remedy::AskOperator,
    };
    let remedies: Vec<Remedy> = missing.iter().map(|scope| one(scope)).collect();
    [Remedy::AskOperator, Remedy::HubspotPlan, Remedy::Reconnect].into_iter().find(|remedy| remedies.contains(remedy))
}

impl Required {
    fn new(scopes: &[&'static str], knowledge: Knowledge) -> Self {
        Self { scopes: scopes.to_vec(), knowledge, docs: DOCS }
    }
}

fn association(from: &str, to: &str, writes: bool) -> Option<Required> {
    let mut required = Required::new(object(from, writes)?, Knowledge::Enough);
    for scope in object(to, writes)? {
        if !required.scopes.contains(scope) {
            required.scopes.push(scope);
        }
    }
    Some(required)
}

fn object(name: &str, writes: bool) -> Option<&'static [&'static str]> {
    let (_, read, write) = OBJECTS.iter().find(|(names, _, _)| names.contains(&name))?;
    Some(if writes { write } else { read })
}

/// Searching and batch reading need read scopes only, although they are POSTs.
fn reads(method: &Method, segments: &[&str]) -> bool {
    let reading_post = matches!(segments, ["crm", .., "search"] | [.., "batch", "read"]);
    *method == Method::GET || (*method == Method::POST && reading_post)
}

/// `v3`, `v4`, or a date.
fn is_version(text: &str) -> bool {
    matches!(text, "v3" | "v4") || is_date(text)
}

/// `2026-03` and its like, `-beta` included.
fn is_date(text: &str) -> bool {
    let text = text.strip_suffix("-beta").unwrap_or(text);
    text.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && month.len() == 2 && (year.to_owned() + month).bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Method = Method::GET;
    const POST: Method = Method::POST;

    fn scopes(method: &Method, path: &str) -> Option<Vec<&'static str>> {
        required(method, path).map(|required| required.scopes)
    }

    #[test]
    fn objects_are_known_by_plural_singular_and_type_id_in_every_version() {
        for (names, read, write) in OBJECTS {
            for name in names {
                for base in [
                    format!("/crm/v3/objects/{name}"),
                    format!("/crm/objects/2026-03/{name}"),
                    format!("/crm/objects/2026-09-beta/{name}"),
                ] {
                    assert_eq!(scopes(&GET, &base), Some(read.to_vec()), "{base}");
                    assert_eq!(scopes(&GET, &format!("{base}/151/")), Some(read.to_vec()));
                    assert_eq!(scopes(&POST, &format!("{base}/search")), Some(read.to_vec()));
                    assert_eq!(scopes(&POST, &format!("{base}/batch/read")), Some(read.to_vec()));
                    assert_eq!(scopes(&POST, &base), Some(write.to_vec()));
                    assert_eq!(scopes(&POST, &format!("{base}/batch/create")), Some(write.to_vec()));
                    assert_eq!(scopes(&Method::PATCH, &format!("{base}/151")), Some(write.to_vec()));
                    assert_eq!(scopes(&Method::DELETE, &format!("{base}/151")), Some(write.to_vec()));
                }
            }
        }
    }

    #[test]
    fn every_other_row_is_known_and_the_rest_is_unknown() {
        let contacts = |scope| Some(vec![scope]);
        for (method, path, expected) in [
            (&GET, "/crm/v3/owners/", Some(vec!["crm.objects.owners.read"])),
            (&GET, "/crm/owners/2026-03/7", Some(vec!["crm.objects.owners.read"])),
            (&GET, "/crm/v3/lists/7/memberships", Some(vec!["crm.lists.read"])),
            (&POST, "/crm/v3/lists/search", Some(vec!["crm.lists.read"])),
            (&Method::PUT, "/crm/v3/lists/7/memberships/add", Some(vec!["crm.lists.read", "crm.lists.write"])),
            (&POST, "/files/v3/files", Some(vec!["files"])),
            (&GET, "/files/2026-03/files/7", Some(vec!["files"])),
            (&GET, "/automation/v4/flows", Some(vec!["automation"])),
            (&POST, "/events/v3/send", Some(vec!["analytics.behavioral_events.send"])),
            (&POST, "/crm/v3/timeline/events", Some(vec!["timeline"])),
            (&GET, "/account-info/v3/details", Some(vec!["oauth"])),
            (&POST, "/engagements/v1/engagements", contacts(CONTACTS_WRITE)),
            (&GET, "/engagements/v1/engagements/7", contacts(CONTACTS_READ)),
            (&POST, "/contacts/v1/contact/createOrUpdate/email/a%40b.c", contacts(CONTACTS_WRITE)),
            (&POST, "/contacts/v1/contact/createOrUpdate/email/search", contacts(CONTACTS_WRITE)),
            (&GET, "/contacts/v1/search/query", contacts(CONTACTS_READ)),
            (
                &Method::PUT,
                "/crm/v4/objects/call/1/associations/default/deal/2",
                Some(vec![CONTACTS_WRITE, "crm.objects.deals.write"]),
            ),
            (&Method::PUT, "/crm/objects/2026-03/call/1/associations/default/contact/2", contacts(CONTACTS_WRITE)),
            (&GET, "/crm/v3/objects/contacts/1/associations/tickets", Some(vec![CONTACTS_READ, "tickets"])),
            (
                &POST,
                "/crm/v4/associations/contact/company/batch/read",
                Some(vec![CONTACTS_READ, "crm.objects.companies.read"]),
            ),
            (&Method::PUT, "/crm/v3/objects/contacts/search", contacts(CONTACTS_WRITE)),
            (&GET, "/crm/v3/objects/products", None),
            (&GET, "/crm/v3/objects/2-123", None),
            (&GET, "/crm/v3/objects", None),
            (&GET, "/crm/v2/objects/contacts", None),
            (&GET, "/crm/objects/2026-3/contacts", None),
            (&GET, "/crm/v4/objects/call/1/associations/2-7", None),
            (&POST, "/crm/v3/owners", None),
            (&GET, "/account-info/v3/api-usage/daily", None),
            (&GET, "/contacts/v1/lists", None),
            (&GET, "/automation/v3/workflows", None),
            (&GET, "/cms/v3/blogs", None),
            (&GET, "/", None),
            (&GET, "", None),
        ] {
            assert_eq!(scopes(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_verdict_is_unknown_wherever_it_would_be_a_guess() {
        let granted = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let verdict_of =
            |method: &Method, path: &str, scopes: &[&str]| verdict(required(method, path).as_ref(), &granted(scopes));

        assert_eq!(verdict_of(&GET, "/crm/v3/objects/contacts", &[CONTACTS_READ]), Verdict::Covered);
        assert_eq!(verdict_of(&POST, "/crm/v3/objects/contacts", &[CONTACTS_READ]), Verdict::Missing);
        assert_eq!(verdict_of(&POST, "/crm/v3/objects/emails", &[CONTACTS_WRITE]), Verdict::Missing);
        assert_eq!(verdict_of(&POST, "/crm/v3/objects/emails", &[EMAIL_READ, CONTACTS_WRITE]), Verdict::Covered);
        assert_eq!(verdict_of(&POST, "/crm/v3/timeline/events", &[]), Verdict::Missing);
        assert_eq!(verdict_of(&POST, "/crm/v3/timeline/events", &["timeline"]), Verdict::Unknown);
        let association = "/crm/v4/objects/call/1/associations/default/deal/2";
        assert_eq!(
            verdict_of(&Method::PUT, association, &[CONTACTS_WRITE, "crm.objects.deals.write"]),
            Verdict::Covered
        );
        assert_eq!(verdict_of(&Method::PUT, association, &[CONTACTS_WRITE]), Verdict::Unknown);
        assert_eq!(verdict_of(&GET, "/cms/v3/blogs", &[CONTACTS_READ]), Verdict::Unknown);
    }

    #[test]
    fn a_missing_scope_names_what_helps() {
        let asked = ["a".to_owned()];
        let optional = ["b".to_owned(), "a".to_owned()];
        for (missing, expected) in [
            (&["a"][..], Some(Remedy::Reconnect)),
            (&["b"], Some(Remedy::HubspotPlan)),
            (&["c"], Some(Remedy::AskOperator)),
            (&["a", "b"], Some(Remedy::HubspotPlan)),
            (&["a", "b", "c"], Some(Remedy::AskOperator)),
            (&[], None),
        ] {
            assert_eq!(remedy(missing, &asked, &optional), expected, "{missing:?}");
        }
        assert_eq!(serde_json::to_string(&Remedy::HubspotPlan).unwrap(), "\"hubspot_plan\"");
        assert_eq!(serde_json::to_string(&Verdict::Covered).unwrap(), "\"covered\"");
    }
}
