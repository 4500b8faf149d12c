//! Every function starts with the environment that the template gives it, whatever parameters the template accepts.

use std::collections::BTreeMap;

use devstack::stack::PARAMETERS;
use devstack::template::{Template, Values};
use shared::config::Reader;

type Parameters = BTreeMap<String, String>;

/// Parameters that switch a condition of the template or an optional setting of a function, two values each.
const SWITCHES: [&[(&str, &str)]; 8] = [
    &[("DomainName", "api.example.com"), ("CertificateArn", "arn:aws:acm:us-east-1:123456789012:certificate/1")],
    &[("HostedZoneId", "Z123")],
    &[("PermissionsBoundary", "arn:aws:iam::123456789012:policy/boundary")],
    &[("AlarmEmail", "ops@example.com")],
    &[("FurtherDashboardOrigins", "https://b.example.com,https://c.example.com")],
    &[("FurtherCorsHeaders", "traceparent")],
    &[("ReturnUrl", "https://app.example.com/return"), ("InstallUrl", "https://app.example.com/install")],
    &[("HubSpotOptionalScopes", "")],
];

fn base(environment: &str) -> Parameters {
    let given = PARAMETERS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut all: Parameters = given.collect();
    all.insert("Environment".to_owned(), environment.to_owned());
    all.insert("Release".to_owned(), "0123456789".to_owned());
    all
}

/// Parameters of all combinations of conditions.
fn combinations() -> Vec<Parameters> {
    let mut all = Vec::new();
    for environment in ["test", "staging", "production"] {
        for bits in 0..1 << SWITCHES.len() {
            let mut parameters = base(environment);
            let chosen = SWITCHES.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
            for (name, value) in chosen.flat_map(|(_, switch)| *switch) {
                parameters.insert((*name).to_owned(), (*value).to_owned());
            }
            all.push(parameters);
        }
    }
    all
}

/// The corners of every pair of numeric parameters.
fn corners(template: &Template) -> Vec<Parameters> {
    let numeric = template.numeric_parameters();
    assert!(numeric.len() >= 9, "{numeric:?}");
    let mut all = Vec::new();
    for (at, one) in numeric.iter().enumerate() {
        for other in &numeric[at + 1..] {
            for (first, second) in [(one.1, other.1), (one.1, other.2), (one.2, other.1), (one.2, other.2)] {
                let mut parameters = base("test");
                parameters.insert(one.0.clone(), first.to_string());
                parameters.insert(other.0.clone(), second.to_string());
                all.push(parameters);
            }
        }
    }
    all
}

/// Why a function would not start, if one would not.
fn fails(template: &Template, parameters: Parameters) -> Option<String> {
    let endpoint = "https://api.example.com".to_owned();
    let values = Values { stack_name: "local".to_owned(), api_endpoint: endpoint, parameters };
    if !template.violations(&values).unwrap().is_empty() {
        return None;
    }
    let functions = template.deploy(&values).unwrap().functions;
    assert_eq!(functions.len(), 3);
    functions.into_iter().find_map(|function| {
        let reader = Reader::new(|name| function.environment.get(name).cloned());
        let invalid = match function.binary.as_str() {
            "automation-execute" => automation_execute::Config::read(reader).err(),
            "oauth-callback" => oauth_callback::Config::read(reader).err(),
            "token-refresh" => token_refresh::Config::read(reader).err(),
            other => panic!("{other}"),
        };
        invalid.map(|invalid| format!("{}: {invalid} with {:?}", function.binary, values.parameters))
    })
}

#[test]
fn every_function_starts_with_all_parameters_that_the_template_accepts() {
    let template = Template::of_the_repository().unwrap();

    let all = combinations().into_iter().chain(corners(&template));
    let failing: Vec<String> = all.filter_map(|parameters| fails(&template, parameters)).collect();

    assert!(failing.is_empty(), "{} of them, such as {}", failing.len(), failing[0]);
}

#[test]
fn the_template_accepts_exactly_the_leases_that_functions_accept() {
    let template = Template::of_the_repository().unwrap();
    for (timeout, lease) in (1..=20).flat_map(|timeout| (20..=60).map(move |lease| (timeout, lease))) {
        let mut parameters = base("test");
        parameters.insert("TokenTimeoutSeconds".to_owned(), timeout.to_string());
        parameters.insert("RefreshLeaseSeconds".to_owned(), lease.to_string());
        let values =
            Values { stack_name: "local".to_owned(), api_endpoint: "https://a.example".to_owned(), parameters };

        let violations = template.violations(&values).unwrap();

        assert_eq!(violations.is_empty(), lease >= timeout + 10, "{timeout} {lease} {violations:?}");
    }
}
