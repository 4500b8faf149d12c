//! The part of CloudWatch Logs Insights' language that the runbooks use: fields, filter, stats, sort, limit.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A query, stage by stage.
pub(super) struct Query(Vec<Stage>);

enum Stage {
    Fields(Vec<String>),
    /// Any of these, each of which is all of those.
    Filter(Vec<Vec<Term>>),
    Stats(Vec<(Aggregate, String)>, Vec<String>),
    Sort(String, bool),
    Limit(usize),
}

enum Term {
    Present(String),
    Equals(String, Value),
    Among(String, Vec<Value>),
    /// A pattern without operators: a text somewhere, or at the beginning.
    Like(String, String),
}

enum Aggregate {
    Count,
    Sum(String),
    Max(String),
}

impl Query {
    /// Reads a query; the error says what is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let stages = text.split('|').map(str::trim).map(|stage| {
            let (verb, rest) = stage.split_once(char::is_whitespace).ok_or(format!("no stage: {stage}"))?;
            match verb {
                "fields" => Ok(Stage::Fields(list(rest))),
                "filter" => rest.split(" or ").map(all_of).collect::<Result<_, _>>().map(Stage::Filter),
                "stats" => stats(rest),
                "sort" => match rest.split_once(' ') {
                    Some((field, "desc")) => Ok(Stage::Sort(field.to_owned(), true)),
                    Some((field, "asc")) => Ok(Stage::Sort(field.to_owned(), false)),
                    _ => Err(format!("no order: {rest}")),
                },
                "limit" => rest.parse().map(Stage::Limit).map_err(|_| format!("no number: {rest}")),
                _ => Err(format!("no stage: {stage}")),
            }
        });
        stages.collect::<Result<_, String>>().map(Self)
    }

    /// The fields of lines that it names: not those that it makes itself, nor CloudWatch's own.
    pub(super) fn fields(&self) -> BTreeSet<String> {
        let (mut named, mut made) = (BTreeSet::new(), BTreeSet::new());
        for stage in &self.0 {
            match stage {
                Stage::Fields(fields) => named.extend(fields.iter().cloned()),
                Stage::Filter(any) => named.extend(any.iter().flatten().map(|term| term.field().to_owned())),
                Stage::Stats(aggregates, by) => {
                    named.extend(by.iter().filter(|field| !field.starts_with("bin(")).cloned());
                    for (aggregate, name) in aggregates {
                        made.insert(name.clone());
                        if let Aggregate::Sum(field) | Aggregate::Max(field) = aggregate {
                            named.insert(field.clone());
                        }
                    }
                }
                Stage::Sort(field, _) if made.contains(field) => {}
                Stage::Sort(field, _) => drop(named.insert(field.clone())),
                Stage::Limit(_) => {}
            }
        }
        named.into_iter().filter(|field| !field.starts_with('@')).collect()
    }

    /// Its answer about some lines.
    pub(super) fn run(&self, lines: &[Value]) -> Vec<Value> {
        self.0.iter().fold(lines.to_vec(), |rows, stage| stage.run(rows))
    }
}

impl Stage {
    fn run(&self, mut rows: Vec<Value>) -> Vec<Value> {
        match self {
            Self::Fields(_) => {}
            Self::Filter(any) => rows.retain(|row| any.iter().any(|all| all.iter().all(|term| term.holds(row)))),
            Self::Stats(aggregates, by) => {
                let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
                for row in rows {
                    let key = by.iter().map(|field| format!("{}\n", row[field])).collect();
                    groups.entry(key).or_default().push(row);
                }
                rows = groups.into_values().map(|group| summed(aggregates, by, &group)).collect();
            }
            Self::Sort(field, descending) => {
                rows.sort_by(|one, other| number(&one[field]).total_cmp(&number(&other[field])));
                if *descending {
                    rows.reverse();
                }
            }
            Self::Limit(most) => rows.truncate(*most),
        }
        rows
    }
}

impl Term {
    fn field(&self) -> &str {
        match self {
            Self::Present(field) | Self::Equals(field, _) | Self::Among(field, _) | Self::Like(field, _) => field,
        }
    }

    fn holds(&self, row: &Value) -> bool {
        let value = &row[self.field()];
        match self {
            Self::Present(_) => !value.is_null(),
            Self::Equals(_, wanted) => value == wanted,
            Self::Among(_, wanted) => wanted.contains(value),
            Self::Like(_, pattern) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                pattern.strip_prefix('^').map_or_else(|| text.contains(pattern), |start| text.starts_with(start))
            }
        }
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|field| field.trim().to_owned()).collect()
}

fn all_of(text: &str) -> Result<Vec<Term>, String> {
    text.split(" and ").map(str::trim).map(term).collect()
}

fn term(text: &str) -> Result<Term, String> {
    let unknown = || format!("no condition: {text}");
    if let Some(field) = text.strip_prefix("ispresent(").and_then(|rest| rest.strip_suffix(')')) {
        return Ok(Term::Present(field.to_owned()));
    }
    let (field, rest) = text.split_once(' ').ok_or_else(unknown)?;
    let (operator, value) = rest.split_once(' ').ok_or_else(unknown)?;
    match operator {
        "=" => Ok(Term::Equals(field.to_owned(), serde_json::from_str(value).map_err(|_| unknown())?)),
        "in" => Ok(Term::Among(field.to_owned(), serde_json::from_str(value).map_err(|_| unknown())?)),
        "like" => {
            let pattern = value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).ok_or_else(unknown)?;
            let plain = pattern.trim_start_matches('^').chars().all(|c| c.is_alphanumeric() || c == ' ');
            if plain { Ok(Term::Like(field.to_owned(), pattern.to_owned())) } else { Err(unknown()) }
        }
        _ => Err(unknown()),
    }
}

fn stats(text: &str) -> Result<Stage, String> {
    let (aggregates, by) = text.split_once(" by ").unwrap_or((text, ""));
    let aggregates = aggregates.split(',').map(|part| {
        let unknown = || format!("no aggregate: {part}");
        let (call, name) = part.trim().split_once(" as ").ok_or_else(unknown)?;
        let (function, field) = call.strip_suffix(')').and_then(|call| call.split_once('(')).ok_or_else(unknown)?;
        let aggregate = match (function, field) {
            ("count", "*") => Aggregate::Count,
            ("sum", field) => Aggregate::Sum(field.to_owned()),
            ("max", field) => Aggregate::Max(field.to_owned()),
            _ => return Err(unknown()),
        };
        Ok((aggregate, name.to_owned()))
    });
    let by = if by.is_empty() { Vec::new() } else { list(by) };
    Ok(Stage::Stats(aggregates.collect::<Result<_, String>>()?, by))
}

fn summed(aggregates: &[(Aggregate, String)], by: &[String], group: &[Value]) -> Value {
    let mut row = json!({});
    for field in by {
        row[field] = group[0][field].clone();
    }
    for (aggregate, name) in aggregates {
        let values = |field: &String| group.iter().map(|line| number(&line[field])).collect::<Vec<_>>();
        row[name] = match aggregate {
            Aggregate::Count => json!(group.len()),
            Aggregate::Sum(field) => json!(values(field).iter().sum::<f64>()),
            Aggregate::Max(field) => json!(values(field).into_iter().fold(0.0, f64::max)),
        };
    }
    row
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

#[test]
fn a_query_is_answered_as_cloudwatch_would() {
    let lines = [
        json!({"code": "a", "ms": 3, "result": "failed", "cause": "x"}),
        json!({"code": "b", "ms": 9, "result": "failed"}),
        json!({"code": "a", "ms": 5, "result": "failed", "cause": "y"}),
        json!({"code": "c", "ms": 7, "result": "answered", "cause": "z"}),
    ];
    let run = |text: &str| Query::parse(text).unwrap().run(&lines);

    let by_code = r#"filter result = "failed" | stats count(*) as n, max(ms) as slowest by code | sort n desc"#;
    assert_eq!(
        run(by_code),
        [json!({"code": "a", "n": 2, "slowest": 5.0}), json!({"code": "b", "n": 1, "slowest": 9.0})]
    );
    assert_eq!(run(r#"filter result = "failed" and ispresent(cause) or code in ["c"] | limit 2"#).len(), 2);
    assert_eq!(run("filter code like /^a/ | stats sum(ms) as ms"), [json!({"ms": 8.0})]);
    assert_eq!(Query::parse(by_code).unwrap().fields(), BTreeSet::from(["result", "ms", "code"].map(str::to_owned)));
    for bad in
        ["parse a", "filter a ~ 1", "filter a = b", "stats avg(a) as b", "sort a", "limit x", "filter a like /a.*/"]
    {
        assert!(Query::parse(bad).is_err(), "{bad}");
    }
}
