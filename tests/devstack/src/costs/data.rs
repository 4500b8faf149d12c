//! The data files: list prices with their date, and what cannot be counted on one machine.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Meter;
use crate::template::repository;

/// List prices of one day and region.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    #[serde(rename = "about")]
    _about: String,
    /// The day on which they were looked up.
    pub date: String,
    /// The region that they are of.
    pub region: String,
    /// What they are in.
    pub currency: String,
    prices: BTreeMap<Meter, Price>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    service: String,
    price: f64,
    per: f64,
    #[serde(rename = "of")]
    unit: String,
    page: String,
    seen: String,
}

impl Prices {
    /// Those of `infra/costs/prices.json`.
    ///
    /// # Errors
    /// As with [`Self::parse`].
    pub fn of_the_repository() -> Result<Self, String> {
        Self::parse(&text("prices.json")?)
    }

    /// Reads a price list.
    ///
    /// # Errors
    /// It has no date, lacks a price, or has one of which it is not said where it is from.
    pub fn parse(text: &str) -> Result<Self, String> {
        let list: Self = read("prices.json", text)?;
        let date: Result<jiff::civil::Date, _> = list.date.parse();
        date.map_err(|error| format!("prices.json: the date {}: {error}", list.date))?;
        for meter in Meter::ALL {
            let price = list.prices.get(&meter).ok_or_else(|| format!("prices.json has no price for {meter:?}"))?;
            let said = [&price.service, &price.unit, &price.seen].iter().all(|text| !text.is_empty());
            if !said || !price.page.starts_with("https://aws.amazon.com/") {
                return Err(format!("prices.json does not say where the price for {meter:?} is from"));
            }
            if !(price.price > 0.0 && price.per >= 1.0) {
                return Err(format!("prices.json: the price for {meter:?} is none"));
            }
        }
        Ok(list)
    }

    /// What one unit costs.
    pub(super) fn of_one(&self, meter: Meter) -> f64 {
        let price = self.price(meter);
        price.price / price.per
    }

    pub(super) fn service(&self, meter: Meter) -> &str {
        &self.price(meter).service
    }

    fn price(&self, meter: Meter) -> &Price {
        self.prices.get(&meter).expect("a list that was parsed has all prices")
    }
}

/// What cannot be counted on one machine: loads, times at AWS and HubSpot, and how AWS itself goes about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    #[serde(rename = "about")]
    _about: String,
    /// Sizes of the system.
    pub integrations: Vec<u32>,
    /// Loads: executions of each integration a day.
    pub executions_a_day: Vec<u32>,
    /// The rest, each with its reason.
    pub values: Values,
}

/// A value and why it is taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// The value.
    pub value: f64,
    #[serde(rename = "why")]
    _why: String,
}

/// Values with their reasons, which `infra/costs/assumptions.json` gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    pub hours_a_month: Assumed,
    pub hubspot_ms: Assumed,
    pub token_ms: Assumed,
    pub aws_ms: Assumed,
    pub own_ms: Assumed,
    pub init_ms: Assumed,
    pub cold_share: Assumed,
    pub refresh_minutes: Assumed,
    pub idle_refresh_minutes: Assumed,
    pub record_bytes: Assumed,
    pub platform_log_bytes: Assumed,
    pub stored_share_of_logs: Assumed,
    pub dynamodb_kms_requests_an_hour: Assumed,
    pub api_metrics_a_route: Assumed,
    pub stream_polls_a_second: Assumed,
    pub stream_shards: Assumed,
}

impl Assumptions {
    /// Those of `infra/costs/assumptions.json`.
    ///
    /// # Errors
    /// The file lacks one, or has one that nothing uses.
    pub fn of_the_repository() -> Result<Self, String> {
        read("assumptions.json", &text("assumptions.json")?)
    }
}

fn text(name: &str) -> Result<String, String> {
    let path = repository().join("infra/costs").join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))
}
