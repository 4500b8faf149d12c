//! Metrics: what the lines emit, and whether what the alarms and the dashboard ask for is among it.

use std::collections::{BTreeMap, BTreeSet};

use devstack::stack::{Options, PARAMETERS};
use devstack::template::{Template, Values};
use serde_json::Value;

use super::lines;

/// The namespace of our own metrics.
const OURS: &str = "hubspot-automations";

/// A metric: its name and its dimensions.
pub(super) type Metric = (String, BTreeMap<String, String>);

/// Problems of a line's metrics that the schema cannot express: each metric and each dimension is a field.
pub(super) fn wrong(line: &Value) -> Option<String> {
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
        let named = directive["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["Name"]);
        if let Some(absent) = named.filter_map(Value::as_str).find(|name| !line[*name].is_number()) {
            return Some(format!("the metric {absent} is no number of the line"));
        }
        let dimensions = directive["Dimensions"].as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
        if let Some(absent) = dimensions.filter_map(Value::as_str).find(|name| !line[*name].is_string()) {
            return Some(format!("the dimension {absent} is no text of the line"));
        }
    }
    None
}

/// The data points that CloudWatch makes of some lines.
pub(super) fn points(lines: &[Value]) -> BTreeMap<Metric, Vec<f64>> {
    let mut points: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
    for line in lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            for set in directive["Dimensions"].as_array().unwrap() {
                let names = set.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                let dimensions: BTreeMap<String, String> =
                    names.map(|name| (name.to_owned(), line[name].as_str().unwrap().to_owned())).collect();
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    let value = line[name].as_f64().unwrap();
                    points.entry((name.to_owned(), dimensions.clone())).or_default().push(value);
                }
            }
        }
    }
    points
}

/// The resources of a type, as they are made in a stack of this name.
pub(super) fn resources(kind: &str) -> BTreeMap<String, Value> {
    // A test stack has no alarms.
    let parameters = PARAMETERS.iter().copied().chain([("Environment", "staging")]);
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let endpoint = "https://api.example.com".to_owned();
    let values = Values { stack_name: "local".to_owned(), api_endpoint: endpoint, parameters };
    Template::of_the_repository().unwrap().properties_of(kind, &values).unwrap()
}

/// Namespace and metric of a `Metric` or of an alarm's own properties.
pub(super) fn metric_of(value: &Value) -> (String, Metric) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dimensions = value["Dimensions"].as_array().unwrap().iter();
    let dimensions = dimensions.map(|it| (text(&it["Name"]), text(&it["Value"]))).collect();
    (text(&value["Namespace"]), (text(&value["MetricName"]), dimensions))
}

/// The metrics of our own that CloudWatch counts in the access log.
fn of_filters() -> BTreeSet<String> {
    let filters = resources("AWS::Logs::MetricFilter").into_values();
    filters.map(|filter| filter["MetricTransformations"][0]["MetricName"].as_str().unwrap().to_owned()).collect()
}

/// The metrics of our own that the alarms look at, and that lines emit.
fn of_alarms() -> BTreeSet<Metric> {
    let of_filters = of_filters();
    let alarms = resources("AWS::CloudWatch::Alarm");
    let metrics = alarms.values().flat_map(|alarm| match alarm["Metrics"].as_array() {
        Some(queries) => {
            let stats = queries.iter().filter(|query| query["MetricStat"].is_object());
            stats.map(|query| metric_of(&query["MetricStat"]["Metric"])).collect()
        }
        None => vec![metric_of(alarm)],
    });
    let ours = metrics.filter(|(namespace, _)| namespace == OURS).map(|(_, metric)| metric);
    ours.filter(|metric| !of_filters.contains(&metric.0)).collect()
}

/// The metrics of our own that the dashboard shows.
fn of_the_dashboard() -> BTreeSet<Metric> {
    let dashboard = resources("AWS::CloudWatch::Dashboard").into_values().next().unwrap();
    let body: Value = serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).unwrap();
    let rows =
        body["widgets"].as_array().unwrap().iter().filter_map(|widget| widget["properties"]["metrics"].as_array());
    let texts = rows.flatten().map(|row| {
        row.as_array().unwrap().iter().filter_map(|part| part.as_str().map(str::to_owned)).collect::<Vec<_>>()
    });
    let ours = texts.filter(|row| row[0] == OURS);
    ours.map(|row| (row[1].clone(), row[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()))
        .collect()
}

#[tokio::test]
async fn what_alarms_and_dashboard_ask_for_is_what_lines_of_real_runs_emit() {
    let emitted: BTreeSet<Metric> = points(&lines().await).into_keys().collect();
    let (alarms, dashboard) = (of_alarms(), of_the_dashboard());

    // Some ends of an authorization do not come in that life; the name and the dimensions do.
    let shape = |(name, dimensions): &Metric| (name.clone(), dimensions.keys().cloned().collect::<Vec<_>>());
    let shapes: BTreeSet<_> = emitted.iter().map(shape).collect();
    let strange = |metric: &&Metric| match metric.1.contains_key("outcome") {
        true => !shapes.contains(&shape(metric)) || metric.1["stack"] != "local",
        false => !emitted.contains(*metric),
    };
    let strange: Vec<&Metric> = alarms.union(&dashboard).filter(strange).collect();
    assert!(alarms.len() > 8 && dashboard.len() > 20, "{} {}", alarms.len(), dashboard.len());
    assert!(strange.is_empty(), "{strange:#?}");
}

#[tokio::test]
async fn a_scheduled_run_publishes_every_series_that_an_alarm_reads() {
    let stack = crate::world::stack(Options::default()).await;
    stack.run_schedule_once(None).await.unwrap();

    let printed = stack.lambda.stop().await;

    let lines: Vec<Value> = printed.iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
    let published: BTreeSet<Metric> = points(&lines).into_keys().collect();
    let absent: Vec<Metric> = of_alarms().difference(&published).cloned().collect();
    assert!(absent.is_empty(), "{absent:#?}");
}

#[tokio::test]
async fn every_metric_that_costs_is_shown_on_the_dashboard_or_watched() {
    let emitted: BTreeSet<String> = points(&lines().await).into_keys().map(|(name, _)| name).collect();

    let used: BTreeSet<String> = of_alarms().union(&of_the_dashboard()).map(|(name, _)| name.clone()).collect();

    assert_eq!(emitted, used);
}

#[tokio::test]
async fn no_dimension_names_an_account_and_the_whole_is_few() {
    let emitted = points(&lines().await);

    let names: BTreeSet<&str> =
        emitted.keys().flat_map(|(_, dimensions)| dimensions.keys().map(String::as_str)).collect();

    assert_eq!(names, BTreeSet::from(["stack", "result", "outcome"]));
    assert!(emitted.len() <= 40, "each one costs: {:#?}", emitted.keys());
}
