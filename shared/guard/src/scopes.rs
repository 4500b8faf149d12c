//! The OAuth scopes that a request needs, as far as they are known. Explains and never blocks: HubSpot decides.
//!
//! Rows written by hand go first, since they know better than HubSpot's OpenAPI files where those contradict the
//! documentation; then the table of published operations. For owners, lists and files the table goes first, and the
//! row has the page and the scopes that it names.

mod by_type;
mod hint;
mod paths;
mod published;
mod remedy;
mod retired;
mod rows;
mod successors;
#[cfg(test)]
mod tests;

use http::Method;
use serde::Serialize;

pub use remedy::{Remedy, RequestedScopes};
pub use retired::Deprecation;
pub use successors::{not_granted, successors};

use published::Published;

/// The scopes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Required {
    /// All of them, as far as they are known.
    pub scopes: Vec<&'static str>,
    /// Where HubSpot names alternatives: each of them, its scopes separated by blanks as OAuth writes them.
    pub any_of: Vec<&'static str>,
    /// Beside alternatives: those that the page names. All of them are enough, whatever else HubSpot's files list.
    #[serde(skip)]
    documented: Vec<&'static str>,
    /// How sure that is.
    pub knowledge: Knowledge,
    /// The page on which HubSpot documents them, where there is one for people.
    pub docs: Option<&'static str>,
}

/// The facts about a request before it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The scopes that it needs.
    pub required: Option<Required>,
    /// True if HubSpot accepts only the developer key of an app, so that no automation can call it.
    pub developer_key: bool,
    /// When the endpoint stops, if HubSpot has announced that.
    pub deprecated: Option<Deprecation>,
    /// The published path that an unknown one was probably meant to be.
    pub did_you_mean: Option<String>,
}

impl Explanation {
    /// Explains a method and a path that the guard has accepted.
    pub fn of(method: &Method, path: &str) -> Self {
        let Some(segments) = segments(path) else { return Self::default() };
        let method = method.as_str();
        let mut explanation = Self { deprecated: retired::deprecation(&segments), ..Self::default() };
        explanation.required = paths::documented(method, &segments);
        if explanation.required.is_some() {
            return explanation;
        }
        match published::operation(method, &segments) {
            Some(Published::DeveloperKey) => explanation.developer_key = true,
            Some(Published::ByObjectType) => explanation.required = by_type::required(method, &segments),
            Some(Published::Scopes(scopes)) => explanation.required = Some(Required::published(scopes)),
            None => explanation.did_you_mean = did_you_mean(method, &segments),
        }
        explanation
    }

    /// The verdict of the granted scopes on the request.
    pub fn verdict(&self, granted: &[String]) -> Verdict {
        if self.developer_key { Verdict::Missing } else { verdict(self.required.as_ref(), granted) }
    }

    /// The scopes that would have to be granted: all of them, or one of the alternatives.
    pub fn missing(&self, granted: &[String]) -> Vec<&'static str> {
        let Some(required) = &self.required else { return Vec::new() };
        let alternatives = required.any_of.iter().flat_map(|set| set.split(' '));
        let mut missing = missing(required, granted);
        for scope in alternatives {
            if !granted.iter().any(|one| one == scope) && !missing.contains(&scope) {
                missing.push(scope);
            }
        }
        missing
    }

    /// Returns true if one of several sets of scopes is enough.
    pub fn has_alternatives(&self) -> bool {
        self.required.as_ref().is_some_and(|required| !required.any_of.is_empty())
    }

    /// The remedy for missing scopes, if some are missing and a grant would help.
    pub fn remedy(&self, granted: &[String], requested: RequestedScopes<'_>) -> Option<Remedy> {
        if self.developer_key || self.verdict(granted) != Verdict::Missing {
            return None;
        }
        let missing = self.missing(granted);
        if self.has_alternatives() { requested.remedy_for_one(&missing) } else { requested.remedy_for_all(&missing) }
    }
}

/// The documented path that an unknown one was probably meant to be; none that stops if the unknown one did not.
fn did_you_mean(method: &str, segments: &[&str]) -> Option<String> {
    let stops = |path: &[&str]| retired::deprecation(path).is_some();
    let is_documented =
        |path: &[&str]| published::operation(method, path).is_some() || paths::documented(method, path).is_some();
    published::did_you_mean(method, segments, |path| is_documented(path) && (stops(segments) || !stops(path)))
}

/// The segments of a path, unless servers might split it otherwise: they differ in whether an encoded slash ends a
/// segment, and an encoded `%` may hide one.
fn segments(path: &str) -> Option<Vec<&str>> {
    if has_encoded(path, "%2f") || has_encoded(path, "%25") {
        return None;
    }
    let path = path.strip_prefix('/')?;
    Some(path.strip_suffix('/').unwrap_or(path).split('/').collect())
}

fn has_encoded(path: &str, escape: &str) -> bool {
    path.as_bytes().windows(escape.len()).any(|bytes| bytes.eq_ignore_ascii_case(escape.as_bytes()))
}

/// Returns true if HubSpot's files or its list of renamings have a scope of this name; a retired one they have not.
pub fn is_known(scope: &str) -> bool {
    published::scope(scope).is_some() || !successors::successors(scope).is_empty()
}

/// The scopes that a request needs; `None` where that is not known.
pub fn required(method: &Method, path: &str) -> Option<Required> {
    Explanation::of(method, path).required
}

impl Required {
    /// From the alternatives of HubSpot's files. One that only adds scopes to another says nothing.
    fn published(text: &'static str) -> Self {
        let all: Vec<&'static str> = text.split('|').collect();
        let has = |set: &str, scope: &str| set.split(' ').any(|one| one == scope);
        let adds_to = |set: &str, other: &str| set != other && other.split(' ').all(|scope| has(set, scope));
        let any_of: Vec<_> = all.iter().filter(|set| !all.iter().any(|other| adds_to(set, other))).copied().collect();
        let (scopes, any_of) = match any_of[..] {
            [one] => (one.split(' ').collect(), Vec::new()),
            _ => (Vec::new(), any_of),
        };
        Self { scopes, any_of, documented: Vec::new(), knowledge: Knowledge::Exact, docs: None }
    }
}

/// The origin of a list of scopes.
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

/// The verdict of the granted scopes on a request.
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

/// The verdict of the granted scopes on the scopes that a request needs.
pub fn verdict(required: Option<&Required>, granted: &[String]) -> Verdict {
    let Some(required) = required else { return Verdict::Unknown };
    if !required.any_of.is_empty() {
        let has = |scope: &&str| granted.iter().any(|one| one == scope);
        if !required.documented.is_empty() && required.documented.iter().all(has) {
            return Verdict::Covered;
        }
        return verdict_of_alternatives(&required.any_of, granted);
    }
    let missing = missing(required, granted);
    let may_be_covered = |scope: &&str| granted.iter().any(|one| successors::related(scope, one));
    match (missing.is_empty(), required.knowledge) {
        (true, Knowledge::Exact | Knowledge::Enough) => Verdict::Covered,
        (false, Knowledge::Exact) if missing.iter().all(may_be_covered) => Verdict::Unknown,
        (false, Knowledge::Exact) => Verdict::Missing,
        (false, Knowledge::Enough) | (_, Knowledge::Disputed) => Verdict::Unknown,
    }
}

/// HubSpot's files write `or` where its documentation means `and` now and then. So one alternative of several is enough
/// only where the others are its names before or after a renaming.
fn verdict_of_alternatives(any_of: &[&str], granted: &[String]) -> Verdict {
    let has = |scope: &str| granted.iter().any(|one| one == scope);
    let is_related = |scope: &str| granted.iter().any(|one| successors::related(scope, one));
    let covered = |set: &&str| set.split(' ').all(has);
    if !any_of.iter().any(covered) {
        // A granted scope that an alternative replaces may still do; another of its replacements does not.
        let is_replaced = |scope: &str| granted.iter().any(|one| successors::successors(one).contains(&scope));
        let replaced = any_of.iter().any(|set| set.split(' ').all(|scope| has(scope) || is_replaced(scope)));
        return if replaced { Verdict::Unknown } else { Verdict::Missing };
    }
    let renamed = |set: &&str| covered(set) || set.split(' ').all(is_related);
    if any_of.iter().all(renamed) { Verdict::Covered } else { Verdict::Unknown }
}

/// The scopes of a request that were not granted, in order.
pub fn missing(required: &Required, granted: &[String]) -> Vec<&'static str> {
    required.scopes.iter().filter(|scope| !granted.iter().any(|one| one == **scope)).copied().collect()
}
