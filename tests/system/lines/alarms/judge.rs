//! What CloudWatch makes of the template's alarms, if things stay for as long as the alarms look.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lines::metrics::{metric_of, points, resources};

/// What a night showed, as one period of every alarm.
#[derive(Default)]
pub(super) struct Night {
    /// Everything that the functions printed.
    pub(super) lines: Vec<Value>,
    /// The statuses that API Gateway answered with.
    pub(super) answers: Vec<u16>,
    /// Runs of the schedule that failed.
    pub(super) dead_letters: u32,
}

impl Night {
    /// The data points of a metric, by what an alarm names it.
    fn points(&self, metric: &Value) -> Vec<f64> {
        let (namespace, metric) = metric_of(metric);
        let count = |count: usize| if count == 0 { Vec::new() } else { vec![count as f64] };
        match (namespace.as_str(), metric.0.as_str()) {
            ("hubspot-automations", _) => points(&self.lines).remove(&metric).unwrap_or_default(),
            ("AWS/ApiGateway", "5xx") => count(self.answers.iter().filter(|status| **status >= 500).count()),
            ("AWS/ApiGateway", "Count") => count(self.answers.len()),
            ("AWS/SQS", _) if metric.1["QueueName"] == "local-RefreshFailures" => vec![f64::from(self.dead_letters)],
            ("AWS/SQS" | "AWS/Lambda", _) => Vec::new(),
            other => panic!("no such metric here: {other:?}"),
        }
    }
}

/// The alarms that tell somebody, by name.
pub(super) fn fired(night: &Night) -> Vec<String> {
    let alarms = resources("AWS::CloudWatch::Alarm").into_values();
    let mut states: BTreeMap<String, bool> = alarms.map(|alarm| (name(&alarm), is_breaching(&alarm, night))).collect();
    let composites: Vec<Value> = resources("AWS::CloudWatch::CompositeAlarm").into_values().collect();
    // Composites stand on each other: until all are known.
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

fn is_breaching(alarm: &Value, night: &Night) -> bool {
    let value = match alarm["Metrics"].as_array() {
        None => stat(&night.points(alarm), alarm["Statistic"].as_str().unwrap()),
        Some(queries) => {
            let stats = queries.iter().filter(|query| query["MetricStat"].is_object()).map(|query| {
                let measured = &query["MetricStat"];
                (
                    query["Id"].as_str().unwrap(),
                    stat(&night.points(&measured["Metric"]), measured["Stat"].as_str().unwrap()),
                )
            });
            let expression = queries.iter().find_map(|query| query["Expression"].as_str()).unwrap();
            Expression { text: expression, values: stats.collect() }.value()
        }
    };
    let threshold = alarm["Threshold"].as_f64().unwrap();
    let Some(value) = value else { return alarm["TreatMissingData"] == "breaching" };
    match alarm["ComparisonOperator"].as_str().unwrap() {
        "GreaterThanThreshold" => value > threshold,
        "GreaterThanOrEqualToThreshold" => value >= threshold,
        "LessThanThreshold" => value < threshold,
        other => panic!("{other}"),
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

/// The part of metric math that the template uses: + * / >= < AND, FILL, IF. `None` is no data.
struct Expression<'a> {
    text: &'a str,
    values: BTreeMap<&'a str, Option<f64>>,
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
            let other = self.compared();
            value = Some(f64::from(u8::from(value? != 0.0 && other? != 0.0)));
        }
        value
    }

    fn compared(&mut self) -> Option<f64> {
        let value = self.sum();
        let holds = if self.eat(">=") {
            value? >= self.sum()?
        } else if self.eat("<") {
            value? < self.sum()?
        } else {
            return value;
        };
        Some(f64::from(u8::from(holds)))
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product();
        while self.eat("+") {
            let other = self.product();
            value = value.zip(other).map(|(one, other)| one + other);
        }
        value
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
            let value = self.both();
            self.must(",");
            let filling = self.both();
            self.must(")");
            return value.or(filling);
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
        let text = self.text.trim_start();
        let (word, rest) = text.split_at(text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len()));
        self.text = rest;
        match word.parse() {
            Ok(number) => Some(number),
            Err(_) => *self.values.get(word).unwrap_or_else(|| panic!("no metric {word:?}")),
        }
    }
}

#[test]
fn expressions_are_judged_as_metric_math_does() {
    let value =
        |text: &str| Expression { text, values: [("a", Some(6.0)), ("b", None), ("c", Some(2.0))].into() }.value();

    for (text, expected) in [
        ("a + 2 * c", Some(10.0)),
        ("100 * a / (a + c)", Some(75.0)),
        ("a + b", None),
        ("FILL(b, 0) + a", Some(6.0)),
        ("IF(FILL(b, 0) >= 1, 5, 7)", Some(7.0)),
        ("IF(a >= 6 AND FILL(b, 0) < 1, 1, 0)", Some(1.0)),
        ("a / FILL(b, 0)", None),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}
