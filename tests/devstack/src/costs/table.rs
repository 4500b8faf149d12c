//! The tables, in Markdown.

use super::Usage;
use super::bill::Model;

/// What an act of each kind takes.
pub(super) fn acts(model: &Model) -> String {
    let head = [
        "",
        "Lambda",
        "DynamoDB: calls",
        "read units",
        "write units",
        "Secrets Manager",
        "HubSpot",
        "log bytes",
        "USD a million",
    ];
    let rows = model.acts().into_iter().map(|act| {
        let counts = act.counts;
        vec![
            act.name.to_owned(),
            (counts.requests + counts.scheduled).to_string(),
            counts.dynamodb_calls.to_string(),
            counts.read_units.to_string(),
            counts.write_units.to_string(),
            counts.secret_calls().to_string(),
            (counts.hubspot_calls + counts.token_calls).to_string(),
            grouped(counts.log_bytes),
            money(act.usage.cost(&model.prices) * 1e6),
        ]
    });
    table(&head, rows)
}

/// What months cost.
pub(super) fn months(model: &Model) -> String {
    let head = [
        "integrations",
        "executions a day of each",
        "the stack itself",
        "secrets and records",
        "refreshes",
        "executions",
        "USD a month",
    ];
    let rows = model.months().into_iter().map(|month| {
        let parts = [&month.stack, &month.kept, &month.refreshes, &month.executions, &month.all()];
        let costs = parts.map(|part| money(part.cost(&model.prices)));
        let size = [grouped(month.integrations.into()), month.executions_a_day.to_string()];
        size.into_iter().chain(costs).collect()
    });
    table(&head, rows)
}

/// What the stack itself costs, part by part.
pub(super) fn standing(model: &Model) -> String {
    let head = ["the stack itself", "USD a month when nothing happens", "USD a month in use"];
    let parts = model.standing(false).into_iter().zip(model.standing(true));
    let cost = |usage: &Usage| money(usage.cost(&model.prices));
    table(&head, parts.map(|((name, idle), (_, in_use))| vec![name.to_owned(), cost(&idle), cost(&in_use)]))
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut lines = vec![format!("| {} |", head.join(" | ")), format!("| --- |{}", " ---: |".repeat(head.len() - 1))];
    lines.extend(rows.map(|cells| format!("| {} |", cells.join(" | "))));
    lines.join("\n") + "\n"
}

/// Whole dollars, and cents where there are few.
fn money(amount: f64) -> String {
    match amount {
        0.0 => "0".to_owned(),
        few if few < 10.0 => format!("{few:.2}"),
        many => grouped(many.round() as u64),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}
