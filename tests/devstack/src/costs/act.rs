//! What one act takes: counted, and as AWS meters it.

use serde::Serialize;

use super::data::Values;
use super::standing::Fixed;
use super::{Meter, Usage};

/// What the stand-ins counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Requests of the API; each is an invocation of a function.
    pub requests: u64,
    /// Invocations by the schedule.
    pub scheduled: u64,
    /// Processes that were started.
    pub starts: u64,
    /// Calls of DynamoDB.
    pub dynamodb_calls: u64,
    /// Read request units.
    pub read_units: f64,
    /// Write request units, those of the index included.
    pub write_units: f64,
    /// Calls of Secrets Manager that read a value.
    pub secret_reads: u64,
    /// Calls of Secrets Manager that write a value.
    pub secret_writes: u64,
    /// Other calls of Secrets Manager.
    pub secret_others: u64,
    /// Requests to HubSpot's API.
    pub hubspot_calls: u64,
    /// Requests to HubSpot's token endpoint.
    pub token_calls: u64,
    /// Bytes to HubSpot, and of answers of executions.
    pub internet_bytes: u64,
    /// Bytes of log lines.
    pub log_bytes: u64,
    /// Events that went out.
    pub events: u64,
    /// Secrets that are there.
    pub secrets: u64,
}

impl Counts {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            scheduled: self.scheduled.saturating_sub(earlier.scheduled),
            starts: self.starts.saturating_sub(earlier.starts),
            dynamodb_calls: self.dynamodb_calls.saturating_sub(earlier.dynamodb_calls),
            read_units: self.read_units - earlier.read_units,
            write_units: self.write_units - earlier.write_units,
            secret_reads: self.secret_reads.saturating_sub(earlier.secret_reads),
            secret_writes: self.secret_writes.saturating_sub(earlier.secret_writes),
            secret_others: self.secret_others.saturating_sub(earlier.secret_others),
            hubspot_calls: self.hubspot_calls.saturating_sub(earlier.hubspot_calls),
            token_calls: self.token_calls.saturating_sub(earlier.token_calls),
            internet_bytes: self.internet_bytes.saturating_sub(earlier.internet_bytes),
            log_bytes: self.log_bytes.saturating_sub(earlier.log_bytes),
            events: self.events.saturating_sub(earlier.events),
            secrets: self.secrets.saturating_sub(earlier.secrets),
        }
    }

    /// Calls of Secrets Manager.
    #[must_use]
    pub const fn secret_calls(&self) -> u64 {
        self.secret_reads + self.secret_writes + self.secret_others
    }

    /// The same as AWS meters it.
    pub(super) fn usage(&self, fixed: &Fixed, values: &Values) -> Usage {
        let count = |count: u64| count as f64;
        let invocations = count(self.requests + self.scheduled);
        let logs = count(self.log_bytes)
            + invocations * values.platform_log_bytes.value
            + count(self.requests) * fixed.access_log_bytes;
        let stored = values.stored_share_of_logs.value * fixed.log_retention_months;
        Usage::of(&[
            (Meter::LambdaRequest, invocations),
            (Meter::LambdaGbSecond, fixed.memory_gb * self.milliseconds(values) / 1000.0),
            (Meter::ApiRequest, count(self.requests)),
            (Meter::ScheduleStart, count(self.scheduled)),
            (Meter::DynamodbReadUnit, self.read_units),
            (Meter::DynamodbWriteUnit, self.write_units),
            (Meter::SecretsManagerCall, count(self.secret_calls())),
            // Each value has a data key of its own, which is made or decrypted by KMS.
            (Meter::KmsRequest, count(self.secret_reads + self.secret_writes)),
            (Meter::PipeEvent, count(self.events)),
            (Meter::BusEvent, count(self.events)),
            (Meter::LogGb, logs / 1e9),
            (Meter::LogGbMonth, logs / 1e9 * stored),
            (Meter::InternetGb, count(self.internet_bytes) / 1e9),
        ])
    }

    /// How long functions are busy with it, one call after another.
    fn milliseconds(&self, values: &Values) -> f64 {
        (self.requests + self.scheduled) as f64 * values.own_ms.value
            + self.starts as f64 * values.init_ms.value
            + (self.dynamodb_calls + self.secret_calls()) as f64 * values.aws_ms.value
            + self.hubspot_calls as f64 * values.hubspot_ms.value
            + self.token_calls as f64 * values.token_ms.value
    }
}
