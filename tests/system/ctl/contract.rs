//! `--json` is a contract: every line that any test of the tool sees is validated with its schema.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::{run, run_with};
use crate::refresh::planted::planted;
use crate::world::ACCOUNT;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../infra/hubspotctl.schema.json")).unwrap());
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::validator_for(&SCHEMA).unwrap());

/// Validates every line of a text that is a JSON object.
pub(crate) fn assert_holds(text: &str) {
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(Value::is_object) {
        if let Err(error) = VALIDATOR.validate(&line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn the_schema_knows_each_type_by_its_name() {
    let types = SCHEMA["oneOf"].as_array().unwrap().iter().map(|it| it["$ref"].as_str().unwrap());
    for name in types.map(|reference| reference.rsplit('/').next().unwrap()) {
        assert_eq!(SCHEMA["$defs"][name]["properties"]["type"]["const"], name);
        assert_eq!(SCHEMA["$defs"][name]["additionalProperties"], false, "{name}");
    }
}

#[tokio::test]
async fn every_command_prints_lines_of_the_contract() {
    let (world, _) = planted().await;
    let mut types = BTreeSet::new();
    for arguments in [
        &["status"][..],
        &["status", "--all"],
        &["status", ACCOUNT],
        &["integrations", "list"],
        &["integrations", "show", ACCOUNT],
        &["refresh", ACCOUNT],
        &["doctor"],
        &["sweep", "--dry-run"],
        &["decommission", "--dry-run"],
        &["app-secret", "rotate", "--finish"],
        &["disconnect", ACCOUNT, "integration-1", "--yes"],
        &["disconnect", ACCOUNT, "integration-1", "--yes"],
    ] {
        let ended = run(&world.stack, &[arguments, &["--json"]].concat()).await;
        let errors = ended.errors.lines().map(|line| serde_json::from_str(line).unwrap());
        for line in ended.lines.iter().cloned().chain(errors) {
            let line: Value = line;
            types.insert(line["type"].as_str().unwrap().to_owned());
        }
        assert_eq!(ended.lines.len(), ended.text.lines().count(), "{arguments:?}: {ended:?}");
    }
    types.extend(
        run_with(&world.stack, &["app-secret", "rotate", "--yes", "--json"], "new")
            .await
            .lines
            .iter()
            .map(|line| line["type"].as_str().unwrap().to_owned()),
    );

    let expected = [
        "account",
        "app_secret",
        "decommission",
        "disconnect",
        "failure",
        "finding",
        "integration",
        "integration_details",
        "refresh",
        "status_summary",
        "sweep",
    ];
    assert_eq!(types, expected.map(str::to_owned).into());
}
