//! The documented costs are what the stack counts today, at the prices of the list.

use devstack::costs::{Report, options};
use serde_json::Value;

use crate::world;

/// Bytes differ a little from run to run: numbers in log lines have more digits or fewer.
const TOLERANCE: f64 = 0.03;

const COSTS: &str = include_str!("../../../infra/docs/costs.md");

/// The tables of some Markdown, row by row and cell by cell, without the lines below the heads.
fn tables(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn number(cell: &str) -> Option<f64> {
    cell.replace(',', "").parse().ok()
}

/// Whether a cell may differ a little: money and bytes may, counts may not.
fn is_about(head: &str) -> bool {
    head.contains("USD")
        || head.contains("bytes")
        || ["the stack itself", "secrets and records", "refreshes", "executions"].contains(&head)
}

/// Equal but for the tolerance, or for the last digit of money, or a few bytes.
fn agree(head: &str, shown: &str, computed: &str) -> bool {
    match (number(shown), number(computed)) {
        (Some(shown_number), Some(computed)) if is_about(head) => {
            let least = match (head.contains("bytes"), shown.contains('.')) {
                (true, _) => 10.0,
                (false, true) => 0.011,
                (false, false) => 1.1,
            };
            (shown_number - computed).abs() <= (computed * TOLERANCE).max(least)
        }
        _ => shown == computed,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_costs_are_those_the_stack_counts() {
    let stack = world::stack(options()).await;

    let report = Report::of(&stack).await.unwrap();

    let (date, computed) = (report.json()["date"].clone(), report.markdown());
    assert!(COSTS.contains(date.as_str().unwrap()), "the documented prices are not of {date}");
    let (shown, computed) = (tables(COSTS), tables(&computed));
    assert_eq!(shown.len(), computed.len(), "{}", report.markdown());
    let mut head = &shown[0];
    for (shown, computed) in shown.iter().zip(&computed) {
        if number(computed.last().unwrap()).is_none() {
            head = computed;
        }
        assert_eq!((shown.len(), computed.len()), (head.len(), head.len()), "{shown:?}");
        for ((shown, computed), head) in shown.iter().zip(computed).zip(head) {
            assert!(agree(head, shown, computed), "{head}: {shown}, not {computed}\n{}", report.markdown());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_the_sum_of_its_parts_and_of_its_services() {
    let report = Report::of(&world::stack(options()).await).await.unwrap();

    let json = report.json();

    let months = json["months"].as_array().unwrap();
    assert_eq!(months.len(), 9);
    for month in months {
        let of = |name: &str| month[name].as_f64().unwrap();
        let parts: f64 = ["stack", "integrations_kept", "refreshes", "executions"].map(of).iter().sum();
        let services: f64 = month["services"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
        assert!((of("total") - parts).abs() < 1e-6 && (of("total") - services).abs() < 1e-6, "{month}");
    }
}
