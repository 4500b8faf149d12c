//! CloudWatch's evaluation of the template's alarms, if the conditions last for their whole period.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lines::metrics::{metric_of, points, resources};

/// The metrics of a night. The store of metrics is empty before it.
#[derive(Default)]
pub(super) struct Night {
    /// Everything that the functions printed.
    pub(super) lines: Vec<Value>,
    /// The statuses that API Gateway answered with.
    pub(super) answers: Vec<u16>,
    /// Runs of the schedule that failed.
    pub(super) dead_letters: u32,
    /// AWS's own counts: name of the metric, logical id of the resource, sum.
    pub(super) counted: Vec<(&'static str, &'static str, f64)>,
    pub(super) lasting: Lasting,
}

/// For how long things were as a night shows them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lasting {
    /// In each period that an alarm looks at.
    #[default]
    Always,
    /// In the first minutes after the deployment, so in one period of each alarm.
    LaunchDay,
}

impl Night {
    /// The data points of a metric in a period, by what an alarm names it; `None` for a series that does not exist.
    fn points(&self, metric: &Value) -> Option<Vec<f64>> {
        let (namespace, metric) = metric_of(metric);
        let resource = metric.1.values().next().map(String::as_str).unwrap_or_default();
        let counted = self.counted.iter().find(|(name, logical, _)| {
            *name == metric.0 && (logical.is_empty() || resource == format!("local-{logical}"))
        });
        if let Some((_, _, sum)) = counted {
            return Some(vec![*sum]);
        }
        let requests = |errors: usize| (!self.answers.is_empty()).then(|| vec![errors as f64]);
        match (namespace.as_str(), metric.0.as_str()) {
            ("hubspot-automations", _) => points(&self.lines).remove(&metric),
            ("AWS/ApiGateway", "5xx") => requests(self.answers.iter().filter(|status| **status >= 500).count()),
            ("AWS/ApiGateway", "Count") => requests(self.answers.len()),
            ("AWS/SQS", _) if resource == "local-RefreshFailures" && self.dead_letters > 0 => {
                Some(vec![f64::from(self.dead_letters)])
            }
            ("AWS/SQS" | "AWS/Lambda" | "AWS/EventBridge/Pipes", _) => None,
            other => panic!("no such metric here: {other:?}"),
        }
    }

    /// Returns true if a period has data: the newest one's are late.
    fn has_data(&self, age: usize) -> bool {
        match self.lasting {
            Lasting::Always => age > 0,
            Lasting::LaunchDay => age == 1,
        }
    }
}

/// The alarms that tell somebody, by name.
pub(super) fn fired(night: &Night) -> Vec<String> {
    let alarms = resources("AWS::CloudWatch::Alarm").into_values();
    let mut states: BTreeMap<String, bool> = alarms.map(|alarm| (name(&alarm), is_breaching(&alarm, night))).collect();
    let composites: Vec<Value> = resources("AWS::CloudWatch::CompositeAlarm").into_values().collect();
    // Composites depend on each other: repeated until all are known.
    while composites.iter().any(|alarm| !states.contains_key(&name(alarm))) {
        let known = states.len();
        for alarm in &composites {
            let parts: Option<Vec<bool>> = rule(alarm).iter().map(|part| states.get(part).copied()).collect();
            if let Some(parts) = parts {
                states.insert(name(alarm), parts.contains(&true));
            }
        }
        assert!(states.len() > known, "composite alarms wait for each other");
    }
    let all = resources("AWS::CloudWatch::Alarm").into_values().chain(composites);
    let told = all.filter(|alarm| alarm["AlarmActions"].is_array() && states[&name(alarm)]);
    let suppressed = |alarm: &Value| match alarm["ActionsSuppressor"].as_str() {
        Some(arn) => states[arn.rsplit_once(':').unwrap().1],
        None => false,
    };
    let told = told.filter(|alarm| !suppressed(alarm));
    told.map(|alarm| name(&alarm).strip_prefix("local-").unwrap().to_owned()).collect()
}

fn name(alarm: &Value) -> String {
    alarm["AlarmName"].as_str().unwrap().to_owned()
}

/// The alarms of a rule, of which one is enough.
fn rule(alarm: &Value) -> Vec<String> {
    let parts = alarm["AlarmRule"].as_str().unwrap().split(" OR ");
    parts.map(|part| part.strip_prefix("ALARM(\"").unwrap().strip_suffix("\")").unwrap().to_owned()).collect()
}

/// Returns true if an alarm is in ALARM: of the newest data points that there are, so many breach its threshold.
fn is_breaching(alarm: &Value, night: &Night) -> bool {
    if night.lasting == Lasting::LaunchDay && alarm["WarmUpConfiguration"].is_object() {
        return false;
    }
    let number = |name: &str| alarm[name].as_u64().unwrap() as usize;
    let looked_at = number("EvaluationPeriods");
    // CloudWatch looks a little further back where data are missing.
    let values = (0..looked_at + 2).filter_map(|age| value(alarm, night, age)).take(looked_at);
    let mut breaching: Vec<bool> = values.map(|value| breaches(alarm, value)).collect();
    let missing = alarm["TreatMissingData"] == "breaching";
    breaching.resize(looked_at, missing);
    breaching.into_iter().filter(|breaches| *breaches).count() >= number("DatapointsToAlarm")
}

fn breaches(alarm: &Value, value: f64) -> bool {
    let threshold = alarm["Threshold"].as_f64().unwrap();
    match alarm["ComparisonOperator"].as_str().unwrap() {
        "GreaterThanThreshold" => value > threshold,
        "GreaterThanOrEqualToThreshold" => value >= threshold,
        "LessThanThreshold" => value < threshold,
        other => panic!("{other}"),
    }
}

/// The value of an alarm in a period that is `age` periods old.
fn value(alarm: &Value, night: &Night, age: usize) -> Option<f64> {
    let series = |metric: &Value, statistic: &str| match night.points(metric) {
        None => Series::Absent,
        Some(points) => Series::Present(stat(&points, statistic).filter(|_| night.has_data(age))),
    };
    let Some(queries) = alarm["Metrics"].as_array() else {
        return series(alarm, alarm["Statistic"].as_str().unwrap()).value();
    };
    let id = |query: &Value| query["Id"].as_str().unwrap().to_owned();
    let measured = queries.iter().filter(|query| query["MetricStat"].is_object());
    let mut values: BTreeMap<String, Series> = measured
        .map(|query| {
            let measured = &query["MetricStat"];
            (id(query), series(&measured["Metric"], measured["Stat"].as_str().unwrap()))
        })
        .collect();
    // The one that is watched stands first and uses the others.
    let expressions: Vec<&Value> = queries.iter().filter(|query| query["Expression"].is_string()).collect();
    let mut watched = None;
    for query in expressions.into_iter().rev() {
        watched = Expression { text: query["Expression"].as_str().unwrap(), values: &values }.value();
        values.insert(id(query), Series::Present(watched));
    }
    watched
}

/// A series in a period.
#[derive(Clone, Copy)]
enum Series {
    /// Nobody has ever published it.
    Absent,
    /// It exists; whether it has data in the period.
    Present(Option<f64>),
}

impl Series {
    fn value(self) -> Option<f64> {
        match self {
            Self::Absent => None,
            Self::Present(value) => value,
        }
    }
}

fn stat(points: &[f64], stat: &str) -> Option<f64> {
    if points.is_empty() {
        return None;
    }
    Some(match stat {
        "Sum" => points.iter().sum(),
        "Maximum" => points.iter().copied().fold(f64::MIN, f64::max),
        "SampleCount" => points.len() as f64,
        other => panic!("{other}"),
    })
}

/// The part of metric math that the template uses: + - * / >= < AND, MAX, IF, and FILL, which it must not use: of a
/// series that does not exist it makes nothing, and of one whose data are late a zero. `None` is no data.
struct Expression<'a> {
    text: &'a str,
    values: &'a BTreeMap<String, Series>,
}

impl Expression<'_> {
    fn value(mut self) -> Option<f64> {
        let value = self.both();
        assert!(self.text.trim().is_empty(), "not understood: {}", self.text);
        value
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.text.trim_start().strip_prefix(token);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn must(&mut self, token: &str) {
        assert!(self.eat(token), "{token} is missing before {}", self.text);
    }

    fn both(&mut self) -> Option<f64> {
        let mut value = self.compared();
        while self.eat("AND") {
            let both = value.zip(self.compared());
            value = both.map(|(one, other)| f64::from(u8::from(one != 0.0 && other != 0.0)));
        }
        value
    }

    fn compared(&mut self) -> Option<f64> {
        let value = self.sum();
        let holds = if self.eat(">=") {
            value.zip(self.sum()).map(|(one, other)| one >= other)
        } else if self.eat("<") {
            value.zip(self.sum()).map(|(one, other)| one < other)
        } else {
            return value;
        };
        holds.map(|holds| f64::from(u8::from(holds)))
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product();
        loop {
            let sign = if self.eat("+") {
                1.0
            } else if self.eat("-") {
                -1.0
            } else {
                return value;
            };
            let other = self.product();
            value = value.zip(other).map(|(one, other)| one + sign * other);
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.atom();
        loop {
            if self.eat("*") {
                let other = self.atom();
                value = value.zip(other).map(|(one, other)| one * other);
            } else if self.eat("/") {
                let other = self.atom();
                value = value.zip(other).filter(|(_, other)| *other != 0.0).map(|(one, other)| one / other);
            } else {
                return value;
            }
        }
    }

    fn atom(&mut self) -> Option<f64> {
        if self.eat("(") {
            let value = self.both();
            self.must(")");
            return value;
        }
        if self.eat("FILL(") {
            let series = self.series();
            self.must(",");
            let filling = self.both();
            self.must(")");
            return match series {
                Series::Absent => None,
                Series::Present(value) => value.or(filling),
            };
        }
        if self.eat("MAX([") {
            let mut most = self.both();
            while self.eat(",") {
                let other = self.both();
                most = most.zip(other).map(|(most, other)| most.max(other));
            }
            self.must("])");
            return most;
        }
        if self.eat("IF(") {
            let condition = self.both();
            self.must(",");
            let yes = self.both();
            self.must(",");
            let no = self.both();
            self.must(")");
            return if condition? != 0.0 { yes } else { no };
        }
        self.series().value()
    }

    /// A number, or a series by its id.
    fn series(&mut self) -> Series {
        let text = self.text.trim_start();
        let (word, rest) = text.split_at(text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len()));
        self.text = rest;
        match word.parse() {
            Ok(number) => Series::Present(Some(number)),
            Err(_) => *self.values.get(word).unwrap_or_else(|| panic!("no metric {word:?}")),
        }
    }
}

#[test]
fn expressions_are_judged_as_metric_math_does() {
    let late = Series::Present(None);
    let present = |value| Series::Present(Some(value));
    let values = [("a", present(6.0)), ("b", late), ("c", present(2.0)), ("none", Series::Absent)];
    let values = values.map(|(name, series)| (name.to_owned(), series)).into();
    let value = |text: &str| Expression { text, values: &values }.value();

    for (text, expected) in [
        ("a + 2 * c", Some(10.0)),
        ("a - c - 1", Some(3.0)),
        ("100 * a / (a + c)", Some(75.0)),
        ("a + b", None),
        ("a + c - MAX([a, c])", Some(2.0)),
        ("MAX([a, none])", None),
        ("FILL(b, 0) + a", Some(6.0)),
        ("FILL(none, 0) + a", None),
        ("IF(FILL(b, 0) >= 1, 5, 7)", Some(7.0)),
        ("IF(a >= 6 AND FILL(b, 0) < 1, 1, 0)", Some(1.0)),
        ("a / FILL(b, 0)", None),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}
