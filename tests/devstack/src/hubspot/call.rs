//! An authorized call of the API, and how its parameters and body are read.

use serde_json::{Map, Value};

use super::journal::RecordedRequest;
use super::problem::{invalid, problem};
use crate::wire::Answer;

/// An authorized call.
pub(super) struct Call<'a> {
    pub(super) request: &'a RecordedRequest,
    pub(super) query: Vec<(String, String)>,
    pub(super) now: i64,
}

impl Call<'_> {
    /// A list parameter, repeated or joined by commas.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let given = self.query.iter().filter(|(own, _)| own == name);
        let parts = given.flat_map(|(_, value)| value.split(',').map(str::trim));
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body, which has to be a JSON object that says so.
    pub(super) fn json(&self) -> Result<Map<String, Value>, Answer> {
        let kind = self.request.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            return Err(problem(415, "VALIDATION_ERROR", "Content-Type must be application/json"));
        }
        match serde_json::from_slice(&self.request.body) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err(invalid("Invalid input JSON on line 1, column 1: the body must be an object")),
            Err(error) => {
                let place = format!("line {}, column {}", error.line(), error.column());
                Err(invalid(&format!("Invalid input JSON on {place}: the body is malformed")))
            }
        }
    }
}
