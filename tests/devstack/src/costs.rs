//! What the system costs at AWS: counted on this machine, computed from list prices.
//!
//! The stack goes through one act of each kind with the real binaries, and its stand-ins count what AWS would meter.
//! What stands all the time (alarms, key, schedule) is read from the template. Prices and what cannot be counted here
//! are data: `infra/costs`.

mod act;
mod bill;
mod count;
mod data;
mod standing;
mod table;
mod usage;

use serde_json::{Value, json};

use crate::stack::{Options, Stack};
pub use act::Counts;
pub use bill::{Model, Month};
pub use count::Counted;
pub use data::{Assumptions, Prices};
pub use usage::{Meter, Usage};

/// How costs are printed.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// The tables of the page on costs.
    Markdown,
    /// Everything, for machines.
    Json,
}

/// What was counted and computed.
#[derive(Clone, Debug)]
pub struct Report {
    model: Model,
}

/// Starts a stack, counts, and prints.
///
/// # Errors
/// The stack does not start, an act fails, or a data file is not as it must be.
pub async fn run(form: Form) -> Result<(), String> {
    let stack = Stack::start(options()).await?;
    let report = Report::of(&stack).await?;
    match form {
        Form::Markdown => print!("{}", report.markdown()),
        Form::Json => println!("{:#}", report.json()),
    }
    Ok(())
}

/// A stack on which counting is exact: one process for each function, so that what follows an act is warm.
#[must_use]
pub fn options() -> Options {
    Options { concurrency: 1, ..Options::default() }
}

impl Report {
    /// Counts on a stack that was started with [`options`] and not used yet.
    ///
    /// # Errors
    /// An act fails, or a data file is not as it must be.
    pub async fn of(stack: &Stack) -> Result<Self, String> {
        let (prices, assumptions) = (Prices::of_the_repository()?, Assumptions::of_the_repository()?);
        let counted = count::acts(stack).await?;
        let fixed = standing::of_the_template(&stack.deployment)?;
        Ok(Self { model: Model { counted, fixed, prices, assumptions } })
    }

    /// The tables, as the page on costs has them.
    #[must_use]
    pub fn markdown(&self) -> String {
        let of = &self.model.prices;
        let head = format!("List prices of {} ({}), in {}.", of.date, of.region, of.currency);
        let tables = [table::months(&self.model), table::acts(&self.model), table::standing(&self.model)];
        format!("{head}\n\n{}", tables.join("\n"))
    }

    /// What was counted and computed, for machines.
    #[must_use]
    pub fn json(&self) -> Value {
        let model = &self.model;
        let acts: Value = model.acts().iter().map(|act| {
            json!({ "act": act.name, "counts": act.counts, "usd_per_million": act.usage.cost(&model.prices) * 1e6 })
        }).collect();
        let months: Value = model.months().iter().map(|month| month.json(&model.prices)).collect();
        json!({
            "date": model.prices.date, "region": model.prices.region, "currency": model.prices.currency,
            "acts": acts, "months": months,
        })
    }
}

#[cfg(test)]
mod tests;
