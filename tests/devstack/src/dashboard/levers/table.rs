//! The levers: their names, texts and parameters.

use crate::hubspot::REPORTED;

/// A parameter: its name, its label, and its values with a label each, the first one the default.
type Parameter = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PORTAL: Parameter = ("hub_id", "Portal", &[("44110011", "44110011"), ("44110022", "44110022")]);

/// The faults, by name and label.
const FAULTS: [(&str, &str); REPORTED.len()] = {
    let mut faults = [("", ""); REPORTED.len()];
    let mut at = 0;
    while at < REPORTED.len() {
        faults[at] = (REPORTED[at].name, REPORTED[at].label);
        at += 1;
    }
    faults
};

/// A lever.
pub(super) struct Lever {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) explanation: &'static str,
    pub(super) parameters: &'static [Parameter],
}

/// All levers, in the order of the page.
pub(super) const LEVERS: &[Lever] = &[
    Lever {
        name: "expire-token",
        title: "Expire the access token",
        explanation: "The half hour of the account's access token is over. The next execution refreshes it first.",
        parameters: &[],
    },
    Lever {
        name: "run-refresh",
        title: "Run token-refresh now",
        explanation: "The schedule runs every minute. This runs it at once, with every integration of the account due.",
        parameters: &[],
    },
    Lever {
        name: "revoke",
        title: "Revoke the refresh tokens",
        explanation: "HubSpot refuses the next refresh. Access tokens still count until they expire.",
        parameters: &[PORTAL],
    },
    Lever {
        name: "uninstall",
        title: "Uninstall the app",
        explanation: "The customer removes the app in HubSpot: all of its tokens end at once.",
        parameters: &[PORTAL],
    },
    Lever {
        name: "fail",
        title: "Let requests fail",
        explanation: "From now on HubSpot, or the edge in front of it, answers as somebody has reported.",
        parameters: &[
            (
                "where",
                "Where",
                &[
                    ("api", "API"),
                    ("token", "token endpoint"),
                    ("search", "API for searches"),
                    ("owners", "API for owners"),
                ],
            ),
            ("how", "How", &FAULTS),
        ],
    },
    Lever {
        name: "rate-limit",
        title: "Limit the rate",
        explanation: "HubSpot grants an app 110 requests in ten seconds and five searches a second. Then run an automation 150 times.",
        parameters: &[("requests", "Requests in 10 s", &[("110", "110"), ("3", "3"), ("off", "no limit")])],
    },
    Lever {
        name: "rotate",
        title: "Change the rotation",
        explanation: "A refresh returns the same refresh token or a new one; a new one may end the old one.",
        parameters: &[(
            "rotation",
            "Refresh tokens",
            &[
                ("strict", "rotate, old ones are spent"),
                ("grace", "rotate, old ones last 30 s"),
                ("keep", "stay the same"),
            ],
        )],
    },
    Lever {
        name: "withdraw-scope",
        title: "Withdraw a permission",
        explanation: "The portal's grants lose the permission to read contacts, or get it back.",
        parameters: &[
            PORTAL,
            ("contacts", "Contacts", &[("write-only", "not readable"), ("all", "readable and writable")]),
        ],
    },
    Lever {
        name: "rename-scope",
        title: "Rename a scope",
        explanation: "HubSpot makes the scope tickets granular: later authorizations get its successors. Reconnect to see it.",
        parameters: &[("names", "Names", &[("granular", "granular"), ("coarse", "as before")])],
    },
    Lever {
        name: "move-portal",
        title: "Move the portal",
        explanation: "The portal moves to another hub: HubSpot's common host answers 488 to the tokens that it has. Or it is being migrated, and every call gets 477.",
        parameters: &[
            PORTAL,
            (
                "to",
                "To",
                &[("eu1", "eu1"), ("na2", "na2"), ("ap1", "ap1"), ("migrating", "being migrated"), ("home", "home")],
            ),
        ],
    },
    Lever {
        name: "token-answer",
        title: "Shorten token answers",
        explanation: "HubSpot leaves the portal and the scopes out of its token answers. Connect to see it.",
        parameters: &[(
            "fields",
            "Fields",
            &[
                ("required", "required ones only"),
                ("unknown", "required ones only, introspection knows no token"),
                ("all", "all"),
            ],
        )],
    },
    Lever {
        name: "install",
        title: "Install from the marketplace",
        explanation: "A person clicks Install in HubSpot's marketplace, so the installation begins there.",
        parameters: &[("sign_in", "Partner sign-in", &[("first", "before the consent"), ("none", "none")])],
    },
    Lever {
        name: "hostile-contact",
        title: "Create a hostile contact",
        explanation: "Its names contain HTML, a change of text direction, and a very long text. Read the contacts to see it.",
        parameters: &[PORTAL],
    },
    Lever {
        name: "recover",
        title: "Let HubSpot recover",
        explanation: "Everything that is in force ends. What was revoked stays revoked.",
        parameters: &[],
    },
];
