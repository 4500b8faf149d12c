//! Runbooks: one for each alarm and no others, whose queries lines of real runs answer.

use std::collections::{BTreeMap, BTreeSet};

use devstack::template::repository;
use serde_json::Value;

use super::insights::Query;
use super::metrics::resources;
use super::{SCHEMA, lines};

/// A query of a runbook, with what it is asked of.
struct RunbookQuery {
    runbook: String,
    text: String,
    /// The functions whose log groups precede it; empty for the access log of the API.
    services: BTreeSet<&'static str>,
}

fn runbooks() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(repository().join("infra/runbooks")).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name.strip_suffix(".md").unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
    });
    named.collect()
}

fn queries() -> Vec<RunbookQuery> {
    let mut queries = Vec::new();
    for (runbook, text) in runbooks() {
        let (mut services, mut before) = (BTreeSet::new(), String::new());
        let mut parts = text.split("```");
        while let (Some(prose), Some(block)) = (parts.next(), parts.next()) {
            before.push_str(prose);
            let (language, text) = block.split_once('\n').unwrap();
            let named = ["automation-execute", "oauth-callback", "token-refresh"];
            let named = named.into_iter().filter(|name| before.contains(&format!("/{name}`"))).collect::<BTreeSet<_>>();
            services = if named.is_empty() { services } else { named };
            match language {
                "insights" => queries.push(RunbookQuery {
                    runbook: runbook.clone(),
                    text: text.to_owned(),
                    services: services.clone(),
                }),
                "insights access-log" => {
                    queries.push(RunbookQuery {
                        runbook: runbook.clone(),
                        text: text.to_owned(),
                        services: BTreeSet::new(),
                    });
                }
                "sh" => {}
                other => panic!("{runbook}: a block of {other:?}"),
            }
            before.clear();
        }
    }
    queries
}

/// The alarms that tell somebody, by name, with their descriptions.
fn told() -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for kind in ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"] {
        for alarm in resources(kind).into_values().filter(|alarm| alarm["AlarmActions"].is_array()) {
            let name = alarm["AlarmName"].as_str().unwrap().strip_prefix("local-").unwrap().to_owned();
            told.insert(name, alarm["AlarmDescription"].as_str().unwrap().to_owned());
        }
    }
    told
}

#[test]
fn every_alarm_has_its_runbook_and_every_runbook_its_alarm() {
    let (alarms, runbooks) = (told(), runbooks());

    assert_eq!(alarms.keys().collect::<Vec<_>>(), runbooks.keys().collect::<Vec<_>>());
    for (name, description) in &alarms {
        assert!(description.ends_with(&format!("Runbook: infra/runbooks/{name}.md")), "{name}: {description}");
        assert!(description.len() > 80 && description.len() <= 1024, "{name}: {description}");
        assert!(runbooks[name].starts_with(&format!("# {name}\n\n**Customers notice:** ")), "{name}");
        assert!(runbooks[name].contains("\n**First query** ("), "{name}");
    }
}

#[tokio::test]
async fn every_query_names_fields_that_lines_have_and_finds_some_of_a_hard_life() {
    let lines = lines().await;

    let queries = queries();

    assert!(queries.len() >= 18, "{}", queries.len());
    for asked in queries.iter().filter(|asked| !asked.services.is_empty()) {
        let RunbookQuery { runbook, text, services } = asked;
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{runbook}: {error}\n{text}"));
        let of_services = |line: &&Value| line["service"].as_str().is_some_and(|service| services.contains(service));
        let lines: Vec<Value> = lines.iter().filter(of_services).cloned().collect();
        for field in query.fields() {
            assert!(
                lines.iter().any(|line| !line[&field].is_null()),
                "{runbook}: no line of {services:?} has {field}\n{text}"
            );
            assert!(SCHEMA["properties"][&field].is_object(), "{runbook}: the schema does not know {field}");
        }
        assert!(!query.run(&lines).is_empty(), "{runbook}: nothing is found among {services:?}\n{text}");
    }
}

#[test]
fn the_queries_of_the_access_log_name_fields_that_it_has() {
    let stage = resources("AWS::ApiGatewayV2::Stage").into_values().next().unwrap();
    let format: Value = serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();

    let queries: Vec<RunbookQuery> = queries().into_iter().filter(|asked| asked.services.is_empty()).collect();

    assert!(!queries.is_empty());
    for RunbookQuery { runbook, text, .. } in queries {
        let fields = Query::parse(&text).unwrap().fields();
        let strange: Vec<&String> = fields.iter().filter(|field| format.get(field.as_str()).is_none()).collect();
        assert!(strange.is_empty(), "{runbook}: {strange:?}");
    }
}

#[test]
fn the_log_groups_that_runbooks_name_are_those_of_the_template() {
    let groups: BTreeSet<String> = resources("AWS::Logs::LogGroup")
        .into_values()
        .map(|group| group["LogGroupName"].as_str().unwrap().replace("/local/", "/STACK/"))
        .collect();

    for (name, text) in runbooks() {
        let named = text.split(['`', ' ', '\n']).filter(|word| word.starts_with("/aws/"));
        for group in named {
            assert!(groups.contains(group), "{name}: {group}");
        }
        assert!(text.contains("/aws/"), "{name}");
    }
}
