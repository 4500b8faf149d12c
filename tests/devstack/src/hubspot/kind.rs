//! The kinds of CRM objects: their names, scopes, demands, and how they are associated.

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    pub(super) type_id: &'static str,
    /// Scopes, all of them.
    pub(super) read: &'static [&'static str],
    pub(super) write: &'static [&'static str],
    /// Properties without which none is created.
    pub(super) required: &'static [&'static str],
    /// Properties that are shown unasked.
    pub(super) shown: &'static [&'static str],
}

// The scopes are those of HubSpot's OpenAPI documents, not those of the product's table, which is tested against them.
const CONTACTS_READ: &[&str] = &["crm.objects.contacts.read"];
const CONTACTS_WRITE: &[&str] = &["crm.objects.contacts.write"];

const fn activity(plural: &'static str, singular: &'static str, type_id: &'static str) -> Kind {
    let (read, write) = (CONTACTS_READ, CONTACTS_WRITE);
    Kind { plural, singular, type_id, read, write, required: &["hs_timestamp"], shown: &[] }
}

static KINDS: [Kind; 11] = [
    Kind {
        plural: "contacts",
        singular: "contact",
        type_id: "0-1",
        read: CONTACTS_READ,
        write: CONTACTS_WRITE,
        required: &[],
        shown: &["email", "firstname", "lastname"],
    },
    Kind {
        plural: "companies",
        singular: "company",
        type_id: "0-2",
        read: &["crm.objects.companies.read"],
        write: &["crm.objects.companies.write"],
        required: &[],
        shown: &["name", "domain"],
    },
    Kind {
        plural: "deals",
        singular: "deal",
        type_id: "0-3",
        read: &["crm.objects.deals.read"],
        write: &["crm.objects.deals.write"],
        required: &[],
        shown: &["amount", "closedate", "dealname", "dealstage", "pipeline"],
    },
    Kind {
        plural: "tickets",
        singular: "ticket",
        type_id: "0-5",
        read: &["tickets"],
        write: &["tickets"],
        required: &["hs_pipeline_stage"],
        shown: &["subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority"],
    },
    activity("calls", "call", "0-48"),
    activity("notes", "note", "0-46"),
    activity("tasks", "task", "0-27"),
    activity("meetings", "meeting", "0-47"),
    activity("communications", "communication", "0-18"),
    Kind {
        read: &["crm.objects.contacts.read", "sales-email-read"],
        write: &["crm.objects.contacts.write", "sales-email-read"],
        ..activity("emails", "email", "0-49")
    },
    Kind {
        plural: "leads",
        singular: "lead",
        type_id: "0-136",
        read: &["crm.objects.leads.read"],
        write: &["crm.objects.leads.write"],
        required: &["hs_lead_name"],
        shown: &["hs_lead_name"],
    },
];

/// From, to, the association's type id, and that of its reverse.
const LINKS: [(&str, &str, u64, u64); 23] = [
    ("calls", "contacts", 194, 193),
    ("calls", "companies", 182, 181),
    ("calls", "deals", 206, 205),
    ("calls", "tickets", 220, 219),
    ("notes", "contacts", 202, 201),
    ("notes", "companies", 190, 189),
    ("notes", "deals", 214, 213),
    ("notes", "tickets", 228, 227),
    ("tasks", "contacts", 204, 203),
    ("tasks", "companies", 192, 191),
    ("tasks", "deals", 216, 215),
    ("tasks", "tickets", 230, 229),
    ("meetings", "contacts", 200, 199),
    ("meetings", "companies", 188, 187),
    ("meetings", "deals", 212, 211),
    ("meetings", "tickets", 226, 225),
    ("deals", "contacts", 3, 4),
    ("deals", "companies", 341, 342),
    ("deals", "tickets", 27, 28),
    ("tickets", "contacts", 16, 15),
    ("tickets", "companies", 339, 340),
    ("contacts", "companies", 279, 280),
    ("contacts", "contacts", 449, 449),
];

impl Kind {
    /// By plural, singular or type id.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| [kind.plural, kind.singular, kind.type_id].contains(&name))
    }

    /// The type id of the default association to another kind.
    pub(super) fn link_to(&self, other: &Self) -> Option<u64> {
        LINKS.iter().find_map(|(from, to, id, reverse)| match (self.plural, other.plural) {
            pair if pair == (*from, *to) => Some(*id),
            pair if pair == (*to, *from) => Some(*reverse),
            _ => None,
        })
    }

    /// The kind at the other end of an association of this type.
    pub(super) fn linked_by(&self, type_id: u64) -> Option<&'static Self> {
        KINDS.iter().find(|other| self.link_to(other) == Some(type_id))
    }
}

/// The scopes of all kinds.
#[cfg(test)]
pub(super) fn all_scopes() -> Vec<&'static str> {
    KINDS.iter().flat_map(|kind| kind.read.iter().chain(kind.write)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn the_associations_that_automations_send_lead_where_hubspot_says() {
        let cases = [("call", 194), ("note", 202), ("task", 204), ("deal", 3), ("ticket", 16)];

        for (from, type_id) in cases {
            assert_eq!(Kind::find(from).unwrap().linked_by(type_id).unwrap().plural, "contacts", "{from}");
        }
        assert_eq!(Kind::find("0-48").unwrap().link_to(Kind::find("deals").unwrap()), Some(206));
        assert!(Kind::find("deal").unwrap().linked_by(194).is_none());
    }
}
