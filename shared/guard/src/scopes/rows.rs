//! The table: which scopes HubSpot's public documentation names, and on which page.

/// The scopes of one kind of record, or of one API.
pub(super) struct Row {
    pub(super) read: &'static [&'static str],
    pub(super) write: &'static [&'static str],
    /// The page on which HubSpot documents them.
    pub(super) docs: &'static str,
}

const CONTACTS_READ: &str = "crm.objects.contacts.read";
const CONTACTS_WRITE: &str = "crm.objects.contacts.write";
const EMAIL_READ: &str = "sales-email-read";
const LISTS_READ: &str = "crm.lists.read";

/// Names in paths. They are compared as they are written: another case may be another thing.
pub(super) type Names = &'static [&'static str];

/// An address within HubSpot's reference.
macro_rules! reference {
    ($page:literal) => {
        concat!("https://developers.hubspot.com/docs/api-reference/", $page)
    };
}

/// The CRM's objects by plural name, singular name and type id. Custom objects are known to their portal only.
pub(super) const OBJECTS: [(Names, Row); 11] = [
    (
        &["contacts", "contact", "0-1"],
        Row { read: &[CONTACTS_READ], write: &[CONTACTS_WRITE], docs: reference!("latest/crm/objects/contacts/guide") },
    ),
    (
        &["companies", "company", "0-2"],
        Row {
            read: &["crm.objects.companies.read"],
            write: &["crm.objects.companies.write"],
            docs: reference!("latest/crm/objects/companies/guide"),
        },
    ),
    (
        &["deals", "deal", "0-3"],
        Row {
            read: &["crm.objects.deals.read"],
            write: &["crm.objects.deals.write"],
            docs: reference!("latest/crm/objects/deals/guide"),
        },
    ),
    (
        &["tickets", "ticket", "0-5"],
        Row { read: &["tickets"], write: &["tickets"], docs: reference!("latest/crm/objects/tickets/guide") },
    ),
    (
        &["leads", "lead", "0-136"],
        Row {
            read: &["crm.objects.leads.read"],
            write: &["crm.objects.leads.write"],
            docs: reference!("latest/crm/objects/leads/guide"),
        },
    ),
    (&["calls", "call", "0-48"], activity(reference!("latest/crm/activities/calls/guide"))),
    (&["notes", "note", "0-46"], activity(reference!("latest/crm/activities/notes/guide"))),
    (&["tasks", "task", "0-27"], activity(reference!("latest/crm/activities/tasks/guide"))),
    (&["meetings", "meeting", "0-47"], activity(reference!("latest/crm/activities/meetings/guide"))),
    (&["communications", "communication", "0-18"], activity(reference!("latest/crm/objects/communications/guide"))),
    (
        &["emails", "email", "0-49"],
        Row {
            read: &[CONTACTS_READ, EMAIL_READ],
            write: &[CONTACTS_WRITE, EMAIL_READ],
            docs: reference!("latest/crm/activities/emails/guide"),
        },
    ),
];

const fn activity(docs: &'static str) -> Row {
    Row { read: &[CONTACTS_READ], write: &[CONTACTS_WRITE], docs }
}

pub(super) const OWNERS: Row =
    Row { read: &["crm.objects.owners.read"], write: &[], docs: reference!("latest/crm/owners/guide") };

pub(super) const LISTS: Row =
    Row { read: &[LISTS_READ], write: &[LISTS_READ, "crm.lists.write"], docs: reference!("latest/crm/lists/guide") };

pub(super) const FILES: Row = Row { read: &["files"], write: &["files"], docs: reference!("legacy/files/guide") };

pub(super) const FLOWS: Row =
    Row { read: &["automation"], write: &["automation"], docs: reference!("legacy/automation/workflows/guide") };

pub(super) const EVENTS: Row = Row {
    read: &[],
    write: &["analytics.behavioral_events.send"],
    docs: reference!("latest/events/send-event-data/send-event-occurrence"),
};

pub(super) const TIMELINE: Row =
    Row { read: &[], write: &["timeline"], docs: reference!("legacy/crm/extensions/timeline/guide") };

pub(super) const ACCOUNT: Row =
    Row { read: &["oauth"], write: &[], docs: reference!("latest/account/account-information/guide") };

/// Associations of all objects have one page.
pub(super) const ASSOCIATIONS_DOCS: &str = reference!("latest/crm/associations/associate-records/guide");

/// The contacts of API v1 as stored automations still call them.
pub(super) const OLD_CONTACTS: Row = Row {
    read: &[CONTACTS_READ],
    write: &[CONTACTS_WRITE],
    docs: reference!("legacy/crm/objects/contacts/v1/post-contacts-v1-contact-create-OrUpdate-email-contact-email"),
};

/// The engagements of API v1 as stored automations still call them.
pub(super) const OLD_ENGAGEMENTS: Row = Row {
    read: &[CONTACTS_READ],
    write: &[CONTACTS_WRITE],
    docs: "https://developers.hubspot.com/docs/methods/engagements/create_engagement",
};
