//! What the template makes that costs all the time, and sizes that it sets.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stack::PARAMETERS;
use crate::template::{Deployment, Template, Values};

/// What the template says of a stack in production.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Memory of a function.
    pub(super) memory_gb: f64,
    /// Secrets that the template itself declares.
    pub(super) secrets: f64,
    pub(super) keys: f64,
    pub(super) dashboards: f64,
    /// Metrics that alarms look at, one by one.
    pub(super) alarm_metrics: f64,
    pub(super) composite_alarms: f64,
    pub(super) pipes: f64,
    /// Routes with metrics of their own.
    pub(super) measured_routes: f64,
    /// Runs of the schedule an hour.
    pub(super) runs_an_hour: f64,
    /// `REFRESH_CONCURRENCY`.
    pub(super) at_once: f64,
    /// An access log line: what stands for the values is about as long as they are.
    pub(super) access_log_bytes: f64,
    pub(super) log_retention_months: f64,
}

/// Reads the repository's template.
pub(super) fn of_the_template(deployment: &Deployment) -> Result<Fixed, String> {
    let mut parameters: BTreeMap<String, String> =
        PARAMETERS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parameters.insert("Environment".to_owned(), "production".to_owned());
    let values = Values { stack_name: "costs".to_owned(), api_endpoint: "https://costs".to_owned(), parameters };
    let template = Template::of_the_repository()?;
    let all = |kind: &str| template.properties_of(kind, &values).map(|found| found.into_values().collect::<Vec<_>>());
    let function = deployment.function("automation-execute").ok_or("the template has no automation-execute")?;
    let refresh = deployment.function("token-refresh").ok_or("the template has no token-refresh")?;
    let at_once = refresh.environment.get("REFRESH_CONCURRENCY").and_then(|text| text.parse().ok());
    let stage = all("AWS::ApiGatewayV2::Stage")?.pop().ok_or("the template has no stage")?;
    let measured = stage["DefaultRouteSettings"]["DetailedMetricsEnabled"] == true;
    let retention =
        all("AWS::Logs::LogGroup")?.iter().filter_map(|group| number(&group["RetentionInDays"])).fold(0.0, f64::max);
    Ok(Fixed {
        memory_gb: function.memory as f64 / 1024.0,
        secrets: deployment.secrets.len() as f64,
        keys: all("AWS::KMS::Key")?.len() as f64,
        dashboards: all("AWS::CloudWatch::Dashboard")?.len() as f64,
        alarm_metrics: all("AWS::CloudWatch::Alarm")?.iter().map(metrics_of).sum(),
        composite_alarms: all("AWS::CloudWatch::CompositeAlarm")?.len() as f64,
        pipes: deployment.pipes.len() as f64,
        measured_routes: if measured { deployment.routes.len() as f64 } else { 0.0 },
        runs_an_hour: deployment.schedules.iter().map(|schedule| 3600.0 / schedule.every.as_secs_f64()).sum(),
        at_once: at_once.ok_or("the template gives token-refresh no REFRESH_CONCURRENCY")?,
        access_log_bytes: stage["AccessLogSettings"]["Format"].as_str().map_or(0, str::len) as f64,
        log_retention_months: retention * 24.0 / 730.0,
    })
}

/// The metrics that an alarm is billed for: those that its expression reads, or its one.
fn metrics_of(alarm: &Value) -> f64 {
    let read = alarm["Metrics"].as_array().into_iter().flatten().filter(|metric| metric["MetricStat"].is_object());
    read.count().max(1) as f64
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}
