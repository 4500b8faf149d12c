//! The remedy for a missing scope.

use serde::Serialize;

/// The remedy for a missing scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The app asks for it, and this consent is older: an admin reconnects.
    Reconnect,
    /// The app does not ask for it: its operator has to add it.
    AskOperator,
    /// It is asked for as optional and was not granted: the customer's HubSpot plan lacked it at the consent. A plan that
    /// has it by now cannot be seen from here; then an admin reconnects.
    HubspotPlan,
}

/// The scopes that the app is configured to ask for.
#[derive(Clone, Copy, Debug)]
pub struct RequestedScopes<'a> {
    /// Those without which HubSpot connects nobody.
    pub required: &'a [String],
    /// Those that HubSpot leaves out where the customer's plan lacks them.
    pub optional: &'a [String],
}

impl RequestedScopes<'_> {
    /// Returns true if the app asks for the scope.
    pub fn has(&self, scope: &str) -> bool {
        self.required.iter().chain(self.optional).any(|one| one == scope)
    }

    /// The remedy where *all* of the missing scopes are needed; `None` if no scope is missing.
    ///
    /// Of several, the one that has to come first: what the app does not ask for no reconnect can bring, and what the
    /// plan lacks stays missing after one.
    pub fn remedy_for_all(&self, missing: &[&str]) -> Option<Remedy> {
        self.first(missing, [Remedy::AskOperator, Remedy::HubspotPlan, Remedy::Reconnect])
    }

    /// The remedy where *one or more* of the missing scopes are enough; `None` if no scope is missing.
    ///
    /// Of several, the easiest: what an admin can do at once, then what money buys, then what others have to do.
    pub fn remedy_for_one(&self, missing: &[&str]) -> Option<Remedy> {
        self.first(missing, [Remedy::Reconnect, Remedy::HubspotPlan, Remedy::AskOperator])
    }

    fn first(&self, missing: &[&str], order: [Remedy; 3]) -> Option<Remedy> {
        order.into_iter().find(|remedy| missing.iter().any(|scope| self.remedy(scope) == *remedy))
    }

    /// A scope that is asked for in both ways is a required one.
    fn remedy(&self, scope: &str) -> Remedy {
        let among = |scopes: &[String]| scopes.iter().any(|one| one == scope);
        match (among(self.required), among(self.optional)) {
            (true, _) => Remedy::Reconnect,
            (false, true) => Remedy::HubspotPlan,
            (false, false) => Remedy::AskOperator,
        }
    }
}
