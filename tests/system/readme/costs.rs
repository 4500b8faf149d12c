//! The documented counts are what the stack counts today.

use devstack::costs::{OperationCounts, options};

use crate::world;

const COSTS: &str = include_str!("../../../infra/docs/costs.md");

/// The rows of a table in Markdown, cell by cell, without the line below the head.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Counts are equal; bytes of log lines differ a little from run to run, as numbers in them have more digits or fewer.
fn agree(head: &str, shown: &str, counted: &str) -> bool {
    match (shown.parse::<f64>(), counted.parse::<f64>()) {
        (Ok(shown), Ok(counted)) if head == "log bytes" => (shown - counted).abs() <= (counted * 0.03).max(10.0),
        _ => shown == counted,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_counts_are_those_of_the_stack() {
    let counted = OperationCounts::on(&world::stack(options()).await).await.unwrap().markdown();

    let (shown, rows) = (self::rows(COSTS), rows(&counted));
    let shown: Vec<_> = shown.into_iter().skip_while(|row| row != &rows[0]).take(rows.len()).collect();
    assert_eq!(shown.len(), rows.len(), "{counted}");
    for (shown, row) in shown.iter().zip(&rows) {
        assert_eq!(shown.len(), rows[0].len(), "{shown:?}");
        for ((shown, counted_cell), head) in shown.iter().zip(row).zip(&rows[0]) {
            assert!(agree(head, shown, counted_cell), "{head}: {shown}, not {counted_cell}\n{counted}");
        }
    }
}
