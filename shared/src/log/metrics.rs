//! The fields of a line that CloudWatch turns into metrics (its embedded metric format).
//!
//! Each pair of a name and values for its dimensions is a metric that costs, so there are few, and what a dimension can
//! be is bounded: never an account. Alarms and the dashboard are what they are for; for all else there are the lines.
//!
//! So that one customer's broken automation wakes nobody, failed and throttled executions are also counted by group of
//! accounts: each account belongs to one of four, and the alarms leave out the worst group.

use std::io::Write;

use ring::digest::{SHA256, digest};

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
            ("verdicts_withheld", "Count"),
            ("refresh_lag_s", "Seconds"),
            ("reauthorizations_needed", "Count"),
            ("authorizations_started", "Count"),
            ("app_credentials_refused", "Count"),
            ("previous_app_secret_used", "Count"),
            ("aws_throttled", "Count"),
            ("token_writes_refused", "Count"),
            ("executions", "Count"),
            ("authorizations_ended", "Count"),
            ("failed_group_0", "Count"),
            ("failed_group_1", "Count"),
            ("failed_group_2", "Count"),
            ("failed_group_3", "Count"),
            ("throttled_group_0", "Count"),
            ("throttled_group_1", "Count"),
            ("throttled_group_2", "Count"),
            ("throttled_group_3", "Count"),
        ],
    },
    Group { dimensions: r#"["stack","result"]"#, fields: &[("executions", "Count")] },
    Group { dimensions: r#"["stack","outcome"]"#, fields: &[("authorizations_ended", "Count")] },
];

const FAILED: [&str; 4] = ["failed_group_0", "failed_group_1", "failed_group_2", "failed_group_3"];
const THROTTLED: [&str; 4] = ["throttled_group_0", "throttled_group_1", "throttled_group_2", "throttled_group_3"];

/// Publishes a zero for every series that an alarm reads, so that no alarm depends on a series that does not exist yet.
pub fn publish_zeros() {
    tracing::info!(
        outcome = "done",
        app_credentials_refused = 0,
        aws_throttled = 0,
        token_writes_refused = 0,
        executions = 0,
        authorizations_started = 0,
        authorizations_ended = 0,
        reauthorizations_needed = 0,
        failed_group_0 = 0,
        failed_group_1 = 0,
        failed_group_2 = 0,
        failed_group_3 = 0,
        throttled_group_0 = 0,
        throttled_group_1 = 0,
        throttled_group_2 = 0,
        throttled_group_3 = 0,
        "zeros of the metrics that alarms read"
    );
}

/// The metric that counts an execution with this result in the group of its account, if there is one.
pub(super) fn of_group(result: &[u8], account: &[u8]) -> Option<&'static str> {
    let names = match result {
        b"failed" => FAILED,
        b"throttled" => THROTTLED,
        _ => return None,
    };
    let first = digest(&SHA256, account).as_ref().first().copied()?;
    names.get(usize::from(first % 4)).copied()
}

/// The metrics of one line: for each group a bit per field.
#[derive(Clone, Copy, Default)]
pub(super) struct MetricSet([u32; GROUPS.len()]);

impl MetricSet {
    /// Notes a field, if it is a metric. A zero means that nothing happened, so it has no further dimensions.
    pub(super) fn record<T: Default + PartialEq>(&mut self, name: &str, value: &T) {
        let groups = if *value == T::default() { 1 } else { GROUPS.len() };
        for (group, found) in GROUPS.iter().zip(&mut self.0).take(groups) {
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
        let mut found = MetricSet::default();
        for name in ["status", "executions", "overhead_ms", "hubspot_ms", "message"] {
            found.record(name, &1);
        }
        let mut text = b"{\"x\":1".to_vec();

        found.write(&mut text, 1_700_000_000_123);
        text.push(b'}');

        let read: Value = serde_json::from_slice(&text).unwrap();
        let milliseconds = |name: &str| json!({"Name": name, "Unit": "Milliseconds"});
        let directives = json!([
            {"Namespace": "hubspot-automations", "Dimensions": [["stack"]],
             "Metrics": [milliseconds("hubspot_ms"), milliseconds("overhead_ms"), {"Name": "executions", "Unit": "Count"}]},
            {"Namespace": "hubspot-automations", "Dimensions": [["stack", "result"]],
             "Metrics": [{"Name": "executions", "Unit": "Count"}]},
        ]);
        assert_eq!(read["_aws"], json!({"Timestamp": 1_700_000_000_123_i64, "CloudWatchMetrics": directives}));
    }

    #[test]
    fn a_line_without_metrics_has_none() {
        let mut found = MetricSet::default();
        found.record("duration_ms", &1);

        assert!(found.is_empty());
    }

    #[test]
    fn a_zero_has_no_dimension_but_the_stack() {
        let mut found = MetricSet::default();
        found.record("executions", &0);
        let mut text = b"{\"x\":1".to_vec();

        found.write(&mut text, 1);
        text.push(b'}');

        let read: Value = serde_json::from_slice(&text).unwrap();
        let directives = &read["_aws"]["CloudWatchMetrics"];
        assert_eq!(directives.as_array().unwrap().len(), 1, "{directives}");
        assert_eq!(directives[0]["Dimensions"], json!([["stack"]]));
    }

    #[test]
    fn accounts_spread_over_the_groups_and_stay_in_theirs() {
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..400 {
            let account = format!("acc_{number}");
            let name = of_group(b"failed", account.as_bytes()).unwrap();
            assert_eq!(of_group(b"failed", account.as_bytes()), Some(name));
            *counts.entry(name).or_insert(0) += 1;
        }

        assert_eq!(counts.len(), 4);
        assert!(counts.values().all(|count| (70..130).contains(count)), "{counts:?}");
        assert!(of_group(b"throttled", b"acc_1").unwrap().starts_with("throttled_group_"));
        assert_eq!((of_group(b"answered", b"acc_1"), of_group(b"refused", b"acc_1")), (None, None));
    }
}
