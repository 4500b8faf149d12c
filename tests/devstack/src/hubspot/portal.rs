//! A portal: one HubSpot account with its data, its people and its limits.

use std::collections::{BTreeSet, VecDeque};

use super::store::Store;

/// How many requests the app may make in a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In any ten seconds.
    pub per_ten_seconds: usize,
    /// Searches in any second.
    pub searches_per_second: usize,
}

impl Default for RateLimit {
    /// Limits of an OAuth app.
    fn default() -> Self {
        Self { per_ten_seconds: 110, searches_per_second: 5 }
    }
}

#[derive(Debug)]
pub(super) struct Portal {
    pub(super) hub_id: u64,
    pub(super) domain: String,
    pub(super) user: String,
    pub(super) user_id: u64,
    /// The scopes that its subscription can grant; `None` is all.
    pub(super) scopes: Option<BTreeSet<String>>,
    pub(super) exists: bool,
    pub(super) is_migrating: bool,
    pub(super) store: Store,
    calls: VecDeque<i64>,
    searches: VecDeque<i64>,
}

impl Portal {
    pub(super) fn new(hub_id: u64) -> Self {
        Self {
            hub_id,
            domain: format!("portal-{hub_id}.example"),
            user: format!("admin@portal-{hub_id}.example"),
            user_id: hub_id % 1_000_000 + 7,
            scopes: None,
            exists: true,
            is_migrating: false,
            store: Store::default(),
            calls: VecDeque::new(),
            searches: VecDeque::new(),
        }
    }

    pub(super) fn can_grant(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope))
    }

    /// Counts a request; how many are left in this window, or the name of the policy that it breaks.
    pub(super) fn count(&mut self, limit: Option<RateLimit>, is_search: bool, now: i64) -> Result<usize, &'static str> {
        let stale = |window: &mut VecDeque<i64>, length: i64| {
            while window.front().is_some_and(|at| *at <= now - length) {
                window.pop_front();
            }
        };
        stale(&mut self.calls, 10_000);
        stale(&mut self.searches, 1000);
        if let Some(limit) = limit {
            if self.calls.len() >= limit.per_ten_seconds {
                return Err("TEN_SECONDLY_ROLLING");
            }
            if is_search && self.searches.len() >= limit.searches_per_second {
                return Err("SECONDLY");
            }
        }
        self.calls.push_back(now);
        if is_search {
            self.searches.push_back(now);
        }
        Ok(limit.unwrap_or_default().per_ten_seconds.saturating_sub(self.calls.len()))
    }
}
