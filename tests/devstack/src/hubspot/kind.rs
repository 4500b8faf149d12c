//! The kinds of CRM objects: their names, their scopes, and how they are associated.

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    pub(super) type_id: &'static str,
    /// Scopes, all of them.
    pub(super) read: &'static [&'static str],
    pub(super) write: &'static [&'static str],
}

type Scopes = &'static [&'static str];

// The scopes are those of HubSpot's OpenAPI documents, not those of the product's table, which is tested against them.
const READ: Scopes = &["crm.objects.contacts.read"];
const WRITE: Scopes = &["crm.objects.contacts.write"];

const fn kind([plural, singular, type_id]: [&'static str; 3], read: Scopes, write: Scopes) -> Kind {
    Kind { plural, singular, type_id, read, write }
}

static KINDS: [Kind; 11] = [
    kind(["contacts", "contact", "0-1"], READ, WRITE),
    kind(["companies", "company", "0-2"], &["crm.objects.companies.read"], &["crm.objects.companies.write"]),
    kind(["deals", "deal", "0-3"], &["crm.objects.deals.read"], &["crm.objects.deals.write"]),
    kind(["tickets", "ticket", "0-5"], &["tickets"], &["tickets"]),
    kind(["calls", "call", "0-48"], READ, WRITE),
    kind(["notes", "note", "0-46"], READ, WRITE),
    kind(["tasks", "task", "0-27"], READ, WRITE),
    kind(["meetings", "meeting", "0-47"], READ, WRITE),
    kind(["communications", "communication", "0-18"], READ, WRITE),
    kind(
        ["emails", "email", "0-49"],
        &["crm.objects.contacts.read", "sales-email-read"],
        &["crm.objects.contacts.write", "sales-email-read"],
    ),
    kind(["leads", "lead", "0-136"], &["crm.objects.leads.read"], &["crm.objects.leads.write"]),
];

/// From, to, the default association's type id, and that of its reverse: as many as automations of the tests make.
const LINKS: [(&str, &str, u64, u64); 3] =
    [("calls", "contacts", 194, 193), ("calls", "deals", 206, 205), ("contacts", "companies", 279, 280)];

impl Kind {
    /// By plural, singular or type id.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| [kind.plural, kind.singular, kind.type_id].contains(&name))
    }

    /// The properties that a reader gets who names none, but those that every object has (HubSpot's guides to contacts,
    /// companies, deals and tickets: "Retrieve").
    pub(super) fn default_properties(&self) -> &'static [&'static str] {
        match self.plural {
            "contacts" => &["firstname", "lastname", "email"],
            "companies" => &["name", "domain"],
            "deals" => &["dealname", "amount", "closedate", "pipeline", "dealstage"],
            "tickets" => {
                &["subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority"]
            }
            _ => &[],
        }
    }

    /// The type id of the default association to another kind.
    pub(super) fn link_to(&self, other: &Self) -> Option<u64> {
        LINKS.iter().find_map(|(from, to, id, reverse)| match (self.plural, other.plural) {
            pair if pair == (*from, *to) => Some(*id),
            pair if pair == (*to, *from) => Some(*reverse),
            _ => None,
        })
    }
}

/// The scopes of all kinds.
#[cfg(test)]
pub(super) fn all_scopes() -> Vec<&'static str> {
    KINDS.iter().flat_map(|kind| kind.read.iter().chain(kind.write)).copied().collect()
}
