//! The arithmetic and the data files. What is counted is tested against the page on costs in `tests/system/readme/costs.rs`.

use serde_json::{Value, json};
use shared::{config, refresh_policy};

use super::*;

/// What is wrong with a list.
type Fault = fn(&mut Value);

fn list() -> Value {
    let text = std::fs::read_to_string(crate::template::repository().join("infra/costs/prices.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn usages_add_up_and_cost_what_the_list_says() {
    let prices = Prices::of_the_repository().unwrap();
    let one = Usage::of(&[(Meter::ApiRequest, 2.0), (Meter::SecretMonth, 1.0)]);

    let all = one.plus(&Usage::of(&[(Meter::ApiRequest, 8.0)])).times(1e6).scaled(Meter::ApiRequest, 0.5);

    let list = list();
    let of =
        |name: &str| list["prices"][name]["price"].as_f64().unwrap() / list["prices"][name]["per"].as_f64().unwrap();
    let expected = 5e6 * of("api_request") + 1e6 * of("secret_month");
    assert!((all.cost(&prices) - expected).abs() < 1e-6, "{}", all.cost(&prices));
    let services: f64 = all.by_service(&prices).values().sum();
    assert!((services - expected).abs() < 1e-6, "{services}");
}

#[test]
fn a_price_list_without_its_date_a_price_or_where_a_price_is_from_is_refused() {
    let faults: [(&str, Fault); 7] = [
        ("missing field `date`", |list| drop(list.as_object_mut().unwrap().remove("date"))),
        ("the date", |list| list["date"] = json!("last autumn")),
        ("no price for KmsRequest", |list| drop(list["prices"].as_object_mut().unwrap().remove("kms_request"))),
        ("unknown variant", |list| list["prices"]["kms_requests"] = list["prices"]["kms_request"].clone()),
        ("where the price for KeyMonth is from", |list| list["prices"]["key_month"]["page"] = json!("")),
        ("where the price for KeyMonth is from", |list| list["prices"]["key_month"]["seen"] = json!("")),
        ("the price for KeyMonth is none", |list| list["prices"]["key_month"]["price"] = json!(0)),
    ];
    assert!(Prices::parse(&list().to_string()).is_ok());

    for (expected, fault) in faults {
        let mut list = list();
        fault(&mut list);

        let refused = Prices::parse(&list.to_string()).unwrap_err();

        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn the_assumed_intervals_of_refreshes_are_those_of_the_code_and_the_template() {
    let values = Assumptions::of_the_repository().unwrap().values;
    let config = config::RefreshConfig { lease: 20, token_timeout: 8, idle_after: 86_400, idle_probe: 2 * 3600 };
    let samples = 20_000;
    // The schedule comes by once a minute.
    let mean = |idle| {
        let sum: i64 = (0..samples).map(|_| refresh_policy::next_refresh_at(1800, 1800, idle, 0, &config)).sum();
        sum as f64 / samples as f64 / 60.0 + 0.5
    };

    let (in_use, idle) = (mean(false), mean(true));

    assert!((in_use / values.refresh_minutes.value - 1.0).abs() < 0.01, "{in_use}");
    assert!((idle / values.idle_refresh_minutes.value - 1.0).abs() < 0.01, "{idle}");
}
