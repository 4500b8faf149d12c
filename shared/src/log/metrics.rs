//! Which fields of a line CloudWatch makes metrics of (its embedded metric format), wherever they stand.
//!
//! Each pair of a name and values for its dimensions is a metric that costs, so there are few, and what a dimension can
//! be is bounded: never an account. Alarms and the dashboard are what they are for; for all else there are the lines.

use std::io::Write;

/// The namespace of all of them.
const NAMESPACE: &str = "hubspot-automations";

/// Fields with the same dimensions.
struct Group {
    /// Sets of names of other fields, as JSON.
    dimensions: &'static str,
    /// Names and units.
    fields: &'static [(&'static str, &'static str)],
}

const GROUPS: [Group; 3] = [
    Group {
        dimensions: r#"["stack"]"#,
        fields: &[
            ("hubspot_ms", "Milliseconds"),
            ("overhead_ms", "Milliseconds"),
            ("ignored_credentials", "Count"),
            ("due", "Count"),
            ("refreshed", "Count"),
            ("revoked", "Count"),
            ("misconfigured", "Count"),
            ("transient", "Count"),
            ("corrupt", "Count"),
            ("left", "Count"),
            ("refresh_lag_s", "Seconds"),
            ("reauthorizations_needed", "Count"),
            ("authorizations_started", "Count"),
            ("app_credentials_refused", "Count"),
            ("previous_app_secret_used", "Count"),
            ("aws_throttled", "Count"),
        ],
    },
    Group { dimensions: r#"["stack","result"]"#, fields: &[("executions", "Count")] },
    Group { dimensions: r#"["stack"],["stack","outcome"]"#, fields: &[("authorizations_ended", "Count")] },
];

/// The metrics of one line: for each group a bit per field.
#[derive(Clone, Copy, Default)]
pub(super) struct Found([u32; GROUPS.len()]);

impl Found {
    /// Notes a field, if it is a metric.
    pub(super) fn see(&mut self, name: &str) {
        for (group, found) in GROUPS.iter().zip(&mut self.0) {
            if let Some(at) = group.fields.iter().position(|(field, _)| *field == name) {
                *found |= 1 << at;
            }
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.iter().all(|found| *found == 0)
    }

    /// Writes the member that tells CloudWatch.
    pub(super) fn write(self, text: &mut Vec<u8>, millis: i64) {
        // Writing to memory cannot fail.
        let _ = write!(text, ",\"_aws\":{{\"Timestamp\":{millis},\"CloudWatchMetrics\":[");
        let mut first = true;
        for (group, found) in GROUPS.iter().zip(self.0).filter(|(_, found)| *found != 0) {
            let comma = if first { "" } else { "," };
            let dimensions = group.dimensions;
            let _ = write!(text, "{comma}{{\"Namespace\":\"{NAMESPACE}\",\"Dimensions\":[{dimensions}],\"Metrics\":[");
            let named = group.fields.iter().enumerate().filter(|(at, _)| found & (1 << at) != 0);
            for (nth, (_, (name, unit))) in named.enumerate() {
                let comma = if nth == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{{\"Name\":\"{name}\",\"Unit\":\"{unit}\"}}");
            }
            text.extend_from_slice(b"]}");
            first = false;
        }
        text.extend_from_slice(b"]}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn fields_become_metrics_with_the_dimensions_of_their_group() {
        let mut found = Found::default();
        for name in ["status", "executions", "overhead_ms", "hubspot_ms", "message"] {
            found.see(name);
        }
        let mut text = b"{\"x\":1".to_vec();

        found.write(&mut text, 1_700_000_000_123);
        text.push(b'}');

        let read: Value = serde_json::from_slice(&text).unwrap();
        let milliseconds = |name: &str| json!({"Name": name, "Unit": "Milliseconds"});
        let directives = json!([
            {"Namespace": "hubspot-automations", "Dimensions": [["stack"]],
             "Metrics": [milliseconds("hubspot_ms"), milliseconds("overhead_ms")]},
            {"Namespace": "hubspot-automations", "Dimensions": [["stack", "result"]],
             "Metrics": [{"Name": "executions", "Unit": "Count"}]},
        ]);
        assert_eq!(read["_aws"], json!({"Timestamp": 1_700_000_000_123_i64, "CloudWatchMetrics": directives}));
    }

    #[test]
    fn a_line_without_metrics_has_none() {
        let mut found = Found::default();
        found.see("duration_ms");

        assert!(found.is_empty());
    }
}
