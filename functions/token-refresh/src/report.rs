//! The report of a run: how the work on each integration has ended, counted.

use serde::Serialize;

/// The counts of a run: `due` is the sum of all others.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Integrations found due.
    pub due: u32,
    /// Refreshed by this run.
    pub refreshed: u32,
    /// Refreshed by somebody else, or gone.
    pub already_fresh: u32,
    /// Older instances, which are put off.
    pub superseded: u32,
    /// No longer accepted by HubSpot.
    pub revoked: u32,
    /// Not refreshed because of our own mistake.
    pub misconfigured: u32,
    /// Not refreshed for now.
    pub transient: u32,
    /// Contradicting themselves.
    pub corrupt: u32,
    /// Not started; the next runs continue.
    pub left: u32,
}

/// The end of the work on one due integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshOutcome {
    Refreshed,
    AlreadyFresh,
    Superseded,
    Revoked,
    Misconfigured,
    Transient,
    Corrupt,
    Left,
}

impl Report {
    pub(crate) fn count(mut self, done: RefreshOutcome) -> Self {
        self.due += 1;
        *match done {
            RefreshOutcome::Refreshed => &mut self.refreshed,
            RefreshOutcome::AlreadyFresh => &mut self.already_fresh,
            RefreshOutcome::Superseded => &mut self.superseded,
            RefreshOutcome::Revoked => &mut self.revoked,
            RefreshOutcome::Misconfigured => &mut self.misconfigured,
            RefreshOutcome::Transient => &mut self.transient,
            RefreshOutcome::Corrupt => &mut self.corrupt,
            RefreshOutcome::Left => &mut self.left,
        } += 1;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_is_the_sum_of_all_others() {
        let all = [
            RefreshOutcome::Refreshed,
            RefreshOutcome::AlreadyFresh,
            RefreshOutcome::Superseded,
            RefreshOutcome::Revoked,
            RefreshOutcome::Misconfigured,
            RefreshOutcome::Transient,
            RefreshOutcome::Corrupt,
            RefreshOutcome::Left,
        ];

        let report = all.into_iter().fold(Report::default(), Report::count);

        let json = serde_json::to_value(&report).unwrap();
        let others = json.as_object().unwrap().iter().filter(|(name, _)| *name != "due");
        assert!(others.clone().all(|(_, count)| *count == 1));
        assert_eq!(others.count() as u32, report.due);
    }
}
