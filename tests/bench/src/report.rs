//! The tables: Markdown for people, JSON for machines.

use std::fmt::Write as _;

use serde::Serialize;

/// One figure beside what it must hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The measured quantity.
    pub(crate) what: String,
    /// The result, as text.
    pub(crate) figure: String,
    /// The budget and the target.
    pub(crate) must: &'static str,
    pub(crate) go_for: &'static str,
    /// True if it is met; `None` where there is no limit.
    pub(crate) holds: Option<bool>,
}

/// A table with a title.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&str]) -> Self {
        Self { title, columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

/// All figures of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) targets: Vec<Row>,
    pub(crate) tables: Vec<Table>,
}

impl Report {
    /// Adds a figure that is better the lower it is.
    pub(crate) fn at_most(&mut self, what: &str, figure: Option<f64>, must: (f64, &'static str), go_for: &'static str) {
        self.add(what, figure, must.1, go_for, |figure| figure <= must.0);
    }

    /// Adds a figure that is better the higher it is.
    pub(crate) fn at_least(
        &mut self,
        what: &str,
        figure: Option<f64>,
        must: (f64, &'static str),
        go_for: &'static str,
    ) {
        self.add(what, figure, must.1, go_for, |figure| figure >= must.0);
    }

    fn add(
        &mut self,
        what: &str,
        figure: Option<f64>,
        must: &'static str,
        go_for: &'static str,
        holds: impl FnOnce(f64) -> bool,
    ) {
        let text = figure.map_or_else(|| "not measured".to_owned(), short);
        let row = Row { what: what.to_owned(), figure: text, must, go_for, holds: figure.map(holds) };
        self.targets.push(row);
    }

    /// The whole as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}, {}\n\n| what | figure | budget | target |\n", self.date, self.machine);
        text.push_str("| --- | --- | --- | --- |\n");
        for row in &self.targets {
            let missed = if row.holds == Some(false) { " **(missed)**" } else { "" };
            let _ = writeln!(text, "| {} | {}{missed} | {} | {} |", row.what, row.figure, row.must, row.go_for);
        }
        for table in &self.tables {
            let _ = writeln!(text, "\n{}\n\n| {} |", table.title, table.columns.join(" | "));
            let _ = writeln!(text, "|{}", " --- |".repeat(table.columns.len()));
            for row in &table.rows {
                let _ = writeln!(text, "| {} |", row.join(" | "));
            }
        }
        text
    }
}

/// Three digits that count.
pub(crate) fn short(number: f64) -> String {
    if number >= 1_000_000.0 {
        format!("{:.2} M", number / 1_000_000.0)
    } else if number >= 10_000.0 {
        format!("{:.0} k", number / 1_000.0)
    } else if number >= 100.0 {
        format!("{number:.0}")
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// Milliseconds.
pub(crate) fn millis(time: std::time::Duration) -> String {
    format!("{} ms", short(time.as_secs_f64() * 1_000.0))
}

/// Mebibytes.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
