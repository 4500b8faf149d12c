//! What a month comes to.

use serde_json::{Value, json};

use super::standing::Fixed;
use super::{Assumptions, Counted, Counts, Meter, Prices, Usage};

/// The scheduled function looks at each secret once in so many runs (`functions/token-refresh/src/sweep.rs`).
const SWEEP_ROUND: f64 = 4096.0;

/// Everything that a month is computed from.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the stack counted.
    pub counted: Counted,
    /// What the template says.
    pub fixed: Fixed,
    /// List prices.
    pub prices: Prices,
    /// The rest.
    pub assumptions: Assumptions,
}

/// An act of which the system does many.
pub(super) struct Act<'a> {
    pub(super) name: &'static str,
    pub(super) counts: &'a Counts,
    pub(super) usage: Usage,
}

/// A month of a system of some size under some load.
#[derive(Clone, Debug)]
pub struct Month {
    /// How many integrations there are.
    pub integrations: u32,
    /// Executions of each a day.
    pub executions_a_day: u32,
    /// What is there and runs without any integration.
    pub stack: Usage,
    /// What it takes to keep the integrations: secrets and records.
    pub kept: Usage,
    /// The schedule's refreshes.
    pub refreshes: Usage,
    /// The executions.
    pub executions: Usage,
}

impl Model {
    /// The acts that were counted, by the names that the tables have for them.
    pub(super) fn acts(&self) -> Vec<Act<'_>> {
        let counted = &self.counted;
        let acts = [
            ("a connect", &counted.connect),
            ("a scheduled refresh", &counted.refresh),
            ("a scheduled refresh of an idle integration", &counted.refresh_idle),
            ("an execution", &counted.execution),
            ("an execution, its tokens in memory", &counted.execution_in_memory),
            ("an idempotency key adds to it", &counted.key),
            ("an execution in a new process", &counted.execution_cold),
            ("a scheduled run with nothing due", &counted.run),
        ];
        acts.into_iter().map(|(name, counts)| Act { name, counts, usage: self.usage(counts) }).collect()
    }

    /// A month for each size and load.
    #[must_use]
    pub fn months(&self) -> Vec<Month> {
        let sizes = self.assumptions.integrations.iter();
        let loads = &self.assumptions.executions_a_day;
        sizes.flat_map(|size| loads.iter().map(|load| self.month(*size, *load))).collect()
    }

    /// A month of so many integrations, each of which executes so much. None at all is idle.
    #[must_use]
    pub fn month(&self, integrations: u32, executions_a_day: u32) -> Month {
        let size = f64::from(integrations);
        Month {
            integrations,
            executions_a_day,
            stack: self.stack(executions_a_day > 0),
            kept: self.kept().times(size),
            refreshes: self.refreshes(size, executions_a_day == 0),
            executions: self.execution().times(size * f64::from(executions_a_day) * self.hours() / 24.0),
        }
    }

    fn hours(&self) -> f64 {
        self.assumptions.values.hours_a_month.value
    }

    fn usage(&self, counts: &Counts) -> Usage {
        counts.usage(&self.fixed, &self.assumptions.values)
    }

    /// What is there without any integration, part by part.
    pub(super) fn standing(&self, in_use: bool) -> Vec<(&'static str, Usage)> {
        let (fixed, values) = (&self.fixed, &self.assumptions.values);
        let metrics = match in_use {
            true => self.counted.metrics as f64 + fixed.measured_routes * values.api_metrics_a_route.value,
            false => self.counted.idle_metrics as f64,
        };
        let polls = fixed.pipes * values.stream_shards.value * values.stream_polls_a_second.value * 3600.0;
        let alarms =
            [(Meter::AlarmMetricMonth, fixed.alarm_metrics), (Meter::CompositeAlarmMonth, fixed.composite_alarms)];
        let asked = values.dynamodb_kms_requests_an_hour.value * self.hours();
        vec![
            ("pipes that read the table's stream", Usage::of(&[(Meter::DynamodbStreamRead, polls * self.hours())])),
            ("alarms", Usage::of(&alarms)),
            ("metrics", Usage::of(&[(Meter::MetricMonth, metrics)])),
            ("dashboard", Usage::of(&[(Meter::DashboardMonth, fixed.dashboards)])),
            ("key", Usage::of(&[(Meter::KeyMonth, fixed.keys), (Meter::KmsRequest, asked)])),
            ("the app's secret", Usage::of(&[(Meter::SecretMonth, fixed.secrets)])),
            ("runs of the schedule", self.usage(&self.counted.run).times(fixed.runs_an_hour * self.hours())),
        ]
    }

    fn stack(&self, in_use: bool) -> Usage {
        self.standing(in_use).iter().fold(Usage::default(), |all, (_, part)| all.plus(part))
    }

    /// Of one integration: its secret, its record, and the look whether somebody still names the secret.
    fn kept(&self) -> Usage {
        let looks = self.fixed.runs_an_hour * self.hours() / SWEEP_ROUND;
        let stored = self.assumptions.values.record_bytes.value / 1e9;
        Usage::of(&[
            (Meter::SecretMonth, self.counted.connect.secrets as f64),
            (Meter::DynamodbGbMonth, stored),
            (Meter::DynamodbRecoveryGbMonth, stored),
            (Meter::SecretsManagerCall, looks),
            (Meter::KmsRequest, looks),
            (Meter::DynamodbReadUnit, looks),
        ])
    }

    /// A run refreshes several at once, and its time is billed once for them.
    fn refreshes(&self, size: f64, idle: bool) -> Usage {
        let values = &self.assumptions.values;
        let (counts, every) = match idle {
            true => (&self.counted.refresh_idle, values.idle_refresh_minutes.value),
            false => (&self.counted.refresh, values.refresh_minutes.value),
        };
        let in_a_run = size / every * 60.0 / self.fixed.runs_an_hour;
        let at_once = in_a_run.clamp(1.0, self.fixed.at_once);
        let one = self.usage(counts).scaled(Meter::LambdaGbSecond, 1.0 / at_once);
        one.times(size * self.hours() * 60.0 / every)
    }

    /// One execution with a key. It is taken to read its tokens: with many accounts they are seldom in memory.
    fn execution(&self) -> Usage {
        let cold = self.assumptions.values.cold_share.value;
        let warm = self.usage(&self.counted.execution).times(1.0 - cold);
        let all = warm.plus(&self.usage(&self.counted.execution_cold).times(cold));
        all.plus(&self.usage(&self.counted.key))
    }
}

impl Month {
    /// All of it.
    #[must_use]
    pub fn all(&self) -> Usage {
        self.stack.clone().plus(&self.kept).plus(&self.refreshes).plus(&self.executions)
    }

    pub(super) fn json(&self, prices: &Prices) -> Value {
        json!({
            "integrations": self.integrations, "executions_a_day": self.executions_a_day,
            "stack": self.stack.cost(prices), "integrations_kept": self.kept.cost(prices),
            "refreshes": self.refreshes.cost(prices), "executions": self.executions.cost(prices),
            "total": self.all().cost(prices), "services": self.all().by_service(prices),
        })
    }
}
