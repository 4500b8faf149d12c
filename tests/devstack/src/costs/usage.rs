//! What AWS meters, and what it comes to.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Prices;

/// What AWS has a price for. `infra/costs/prices.json` says of each what the unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    LambdaRequest,
    LambdaGbSecond,
    ApiRequest,
    DynamodbReadUnit,
    DynamodbWriteUnit,
    DynamodbGbMonth,
    DynamodbRecoveryGbMonth,
    DynamodbStreamRead,
    PipeEvent,
    BusEvent,
    ScheduleStart,
    SecretMonth,
    SecretsManagerCall,
    KeyMonth,
    KmsRequest,
    LogGb,
    LogGbMonth,
    MetricMonth,
    AlarmMetricMonth,
    CompositeAlarmMonth,
    DashboardMonth,
    InternetGb,
}

impl Meter {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::LambdaRequest,
        Self::LambdaGbSecond,
        Self::ApiRequest,
        Self::DynamodbReadUnit,
        Self::DynamodbWriteUnit,
        Self::DynamodbGbMonth,
        Self::DynamodbRecoveryGbMonth,
        Self::DynamodbStreamRead,
        Self::PipeEvent,
        Self::BusEvent,
        Self::ScheduleStart,
        Self::SecretMonth,
        Self::SecretsManagerCall,
        Self::KeyMonth,
        Self::KmsRequest,
        Self::LogGb,
        Self::LogGbMonth,
        Self::MetricMonth,
        Self::AlarmMetricMonth,
        Self::CompositeAlarmMonth,
        Self::DashboardMonth,
        Self::InternetGb,
    ];
}

/// How much of what AWS meters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage(BTreeMap<Meter, f64>);

impl Usage {
    /// These amounts.
    #[must_use]
    pub fn of(amounts: &[(Meter, f64)]) -> Self {
        let mut usage = Self::default();
        for (meter, amount) in amounts {
            *usage.0.entry(*meter).or_default() += amount;
        }
        usage
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (meter, amount) in &other.0 {
            *self.0.entry(*meter).or_default() += amount;
        }
        self
    }

    /// This so many times.
    #[must_use]
    pub fn times(mut self, times: f64) -> Self {
        self.0.values_mut().for_each(|amount| *amount *= times);
        self
    }

    /// Of one meter so many times as much.
    #[must_use]
    pub fn scaled(mut self, meter: Meter, times: f64) -> Self {
        self.0.entry(meter).and_modify(|amount| *amount *= times);
        self
    }

    /// What it costs.
    #[must_use]
    pub fn cost(&self, prices: &Prices) -> f64 {
        self.0.iter().map(|(meter, amount)| amount * prices.of_one(*meter)).sum()
    }

    /// What it costs, by AWS service.
    #[must_use]
    pub fn by_service(&self, prices: &Prices) -> BTreeMap<String, f64> {
        let mut services = BTreeMap::new();
        for (meter, amount) in &self.0 {
            *services.entry(prices.service(*meter).to_owned()).or_default() += amount * prices.of_one(*meter);
        }
        services
    }
}
