//! How an authorization ends.

/// The end of an authorization: the last part of the result page's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationOutcome {
    /// A new integration is the account's newest.
    Connected,
    /// The newest integration has new tokens.
    Reconnected,
    /// The person did not consent.
    Declined,
    /// The authorization is unknown, used or too old.
    Expired,
    /// It was started in another browser; it may still be finished there.
    OtherBrowser,
    /// The account has been connected meanwhile.
    AlreadyConnected,
    /// The account has tokens of as many integrations as it may.
    TooManyIntegrations,
    /// HubSpot did not grant what the app needs.
    MissingScopes,
    /// A reconnect chose another portal.
    DifferentPortal,
    /// The installation began at HubSpot without our state: nothing is connected yet.
    StartFromDashboard,
    /// A failure at HubSpot or here that is worth another attempt.
    Failed,
    /// HubSpot rejects our app's credentials.
    Misconfigured,
}

impl AuthorizationOutcome {
    /// Every outcome, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Connected,
        Self::Reconnected,
        Self::Declined,
        Self::Expired,
        Self::OtherBrowser,
        Self::AlreadyConnected,
        Self::TooManyIntegrations,
        Self::MissingScopes,
        Self::DifferentPortal,
        Self::StartFromDashboard,
        Self::Failed,
        Self::Misconfigured,
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Reconnected => "reconnected",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::OtherBrowser => "other-browser",
            Self::AlreadyConnected => "already-connected",
            Self::TooManyIntegrations => "too-many-integrations",
            Self::MissingScopes => "missing-scopes",
            Self::DifferentPortal => "different-portal",
            Self::StartFromDashboard => "start-from-dashboard",
            Self::Failed => "failed",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// The outcome of a wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// The reason why a browser is taken for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherBrowserReason {
    /// It sent no cookie: it is another browser, or it withholds cookies.
    NoCookie,
    /// It sent one of our cookies, but not that of this attempt.
    AnotherCookie,
}

impl OtherBrowserReason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::NoCookie, Self::AnotherCookie];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCookie => "no-cookie",
            Self::AnotherCookie => "another-cookie",
        }
    }

    /// The reason that a result page's query names.
    pub(crate) fn of_query(query: &str) -> Option<Self> {
        let (_, name) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "reason")?;
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_parses_from_its_wire_name() {
        for outcome in AuthorizationOutcome::ALL {
            assert_eq!(AuthorizationOutcome::parse(outcome.as_str()), Some(outcome));
        }
        assert_eq!(AuthorizationOutcome::parse("<script>"), None);
    }
}
