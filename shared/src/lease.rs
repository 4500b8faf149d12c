//! The lease of a refresh, pure: one process at a time asks HubSpot for new tokens of an integration.
//!
//! Times are epoch seconds, durations seconds.

use crate::config;
use crate::integration::Integration;

/// How long the holder of a lapsed lease may still come back with an answer of HubSpot's token endpoint.
const AMBIGUOUS: i64 = 300;

/// The right to refresh one integration, for a while.
#[derive(Clone, Debug)]
pub struct Lease {
    /// A random id.
    pub owner: String,
    /// Until when.
    pub until: i64,
    /// Set when the lease is taken over from one that did not release it.
    pub ambiguous_until: Option<i64>,
}

impl Lease {
    /// How far the clocks of two functions may be apart.
    pub const SKEW: i64 = 5;

    /// The lease that may be tried for, or none while somebody else's lasts.
    pub fn of(record: &Integration, now: i64, config: &config::RefreshConfig) -> Option<Self> {
        let held = record.lease_owner.is_some();
        if held && record.lease_until.unwrap_or(0) >= now.saturating_sub(Self::SKEW) {
            return None;
        }
        Some(Self {
            owner: uuid::Uuid::now_v7().to_string(),
            until: now + config.lease,
            ambiguous_until: held.then_some(now + AMBIGUOUS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: config::RefreshConfig =
        config::RefreshConfig { lease: 20, token_timeout: 8, idle_after: 86_400, idle_probe: 7_200 };

    fn record() -> Integration {
        serde_json::from_str(r#"{"account_id":"a","sequence":1,"integration_id":"i","created_at":0,"status":"active"}"#)
            .unwrap()
    }

    #[test]
    fn a_lease_is_free_or_lapsed_beyond_the_skew_of_clocks() {
        let held = |until| Integration { lease_owner: Some("x".into()), lease_until: Some(until), ..record() };

        assert!(Lease::of(&record(), 100, &CONFIG).unwrap().ambiguous_until.is_none());
        assert_eq!(Lease::of(&record(), 100, &CONFIG).unwrap().until, 120);
        assert!(Lease::of(&held(101), 100, &CONFIG).is_none());
        assert!(Lease::of(&held(95), 100, &CONFIG).is_none());
        assert_eq!(Lease::of(&held(94), 100, &CONFIG).unwrap().ambiguous_until, Some(400));
    }
}
