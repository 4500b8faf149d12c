//! Which OAuth scopes a request needs, as far as that is known. It explains and never blocks: HubSpot decides.

mod paths;
mod remedy;
mod rows;
mod successors;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use paths::required;
pub use remedy::{Asked, Remedy};
pub use successors::{not_granted, successors};

/// The scopes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Required {
    /// All of them, as far as they are known.
    pub scopes: Vec<&'static str>,
    /// How sure that is.
    pub knowledge: Knowledge,
    /// The page on which HubSpot documents them.
    pub docs: &'static str,
}

/// What is known about a list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Exactly these are needed.
    Exact,
    /// These are enough; HubSpot may be content with fewer or with others.
    Enough,
    /// HubSpot names these, and its own documents differ in whether others are needed or do as well.
    Disputed,
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

/// Whether the scopes that HubSpot granted cover what a request needs.
pub fn verdict(required: Option<&Required>, granted: &[String]) -> Verdict {
    let Some(required) = required else { return Verdict::Unknown };
    let missing = missing(required, granted);
    let may_be_covered = |scope: &&str| granted.iter().any(|one| successors::related(scope, one));
    match (missing.is_empty(), required.knowledge) {
        (true, Knowledge::Exact | Knowledge::Enough) => Verdict::Covered,
        (false, Knowledge::Exact) if missing.iter().all(may_be_covered) => Verdict::Unknown,
        (false, Knowledge::Exact) => Verdict::Missing,
        (false, Knowledge::Enough) | (_, Knowledge::Disputed) => Verdict::Unknown,
    }
}

/// The scopes of a request that were not granted, in order.
pub fn missing(required: &Required, granted: &[String]) -> Vec<&'static str> {
    required.scopes.iter().filter(|scope| !granted.iter().any(|one| one == **scope)).copied().collect()
}
