//! HubSpot's published operations of which the emulator knows only the scopes: those of the product's table.
//!
//! The scopes of all others are written down apart from that table, so that tests compare the two.

use axum::http::Method;
use guard::scopes::{Explanation, Verdict};

use super::problem;
use crate::wire::Answer;

/// A published operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published(Explanation);

impl Published {
    /// The operation of a call, if HubSpot publishes it.
    pub(super) fn find(method: &str, path: &str) -> Option<Self> {
        let explanation = Explanation::of(&Method::from_bytes(method.as_bytes()).ok()?, path);
        (explanation.required.is_some() || explanation.developer_key).then_some(Self(explanation))
    }

    /// HubSpot's refusal of a token whose scopes are known not to cover the operation.
    pub(super) fn refusal(&self, granted: &[String]) -> Option<Answer> {
        let Self(explanation) = self;
        if explanation.developer_key {
            let words = "Authentication credentials not found. This API supports developer API keys.";
            return Some(problem::invalid_authentication(words));
        }
        let missing = explanation.verdict(granted) == Verdict::Missing;
        missing.then(|| problem::missing_scopes(&explanation.missing(granted)))
    }
}
