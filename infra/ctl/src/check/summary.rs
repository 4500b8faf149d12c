//! The summary of a check: totals, and the accounts that have most to do.

use std::collections::{BTreeMap, HashMap};

use guard::scopes::{Remedy, Verdict};
use serde::Serialize;

use super::judge::{CheckResult, describe};

type VerdictCounts = BTreeMap<&'static str, u64>;

/// VerdictCounts of everything, and of each account that something is the matter with.
#[derive(Default)]
pub(super) struct CheckSummary {
    automations: u64,
    verdicts: VerdictCounts,
    remedies: BTreeMap<&'static str, (u64, Remedy)>,
    scopes_unknown: u64,
    carry_credentials: u64,
    accounts: HashMap<String, VerdictCounts>,
}

#[derive(Serialize)]
pub(super) struct SummaryView<'a> {
    summary: CheckTotals<'a>,
}

#[derive(Serialize)]
struct CheckTotals<'a> {
    automations: u64,
    verdicts: &'a VerdictCounts,
    remedies: VerdictCounts,
    scopes_unknown: u64,
    carry_credentials: u64,
    worst_accounts: Vec<AccountCounts<'a>>,
}

#[derive(Serialize)]
struct AccountCounts<'a> {
    account_id: &'a str,
    will_not_run: u64,
    verdicts: &'a VerdictCounts,
}

impl CheckSummary {
    pub(super) fn count(&mut self, judged: &CheckResult) {
        self.automations += 1;
        *self.verdicts.entry(judged.verdict).or_default() += 1;
        if let Some(remedy) = judged.remedy {
            self.remedies.entry(as_str(remedy)).or_insert((0, remedy)).0 += 1;
        }
        self.scopes_unknown += u64::from(judged.scopes == Some(Verdict::Unknown));
        self.carry_credentials += u64::from(!judged.ignored_credentials.is_empty());
        if judged.verdict != "runs"
            && let Some(account) = &judged.account_id
        {
            let counts = match self.accounts.get_mut(account) {
                Some(counts) => counts,
                None => self.accounts.entry(account.clone()).or_default(),
            };
            *counts.entry(judged.verdict).or_default() += 1;
        }
    }

    /// How many kinds of verdict keep automations from running.
    pub(super) fn findings(&self) -> usize {
        self.verdicts.keys().filter(|verdict| **verdict != "runs").count()
    }

    pub(super) fn view(&self, worst: usize) -> SummaryView<'_> {
        let summary = CheckTotals {
            automations: self.automations,
            verdicts: &self.verdicts,
            remedies: self.remedies.iter().map(|(remedy, (count, _))| (*remedy, *count)).collect(),
            scopes_unknown: self.scopes_unknown,
            carry_credentials: self.carry_credentials,
            worst_accounts: self.worst(worst),
        };
        SummaryView { summary }
    }

    pub(super) fn text(&self, worst: usize) -> String {
        let mut lines = vec![format!("{} automations", self.automations)];
        let mut verdicts: Vec<_> = self.verdicts.iter().collect();
        // What runs comes first, then what concerns most.
        verdicts.sort_by_key(|(verdict, count)| (**verdict != "runs", u64::MAX - **count));
        lines.extend(verdicts.iter().map(|(verdict, count)| format!("{count:>9}  {verdict}")));
        for (count, remedy) in self.remedies.values() {
            lines.push(format!("{count:>9}  of missing_scopes: {}", describe(*remedy)));
        }
        lines.push(format!("{:>9}  carry credentials, which will be ignored", self.carry_credentials));
        if self.scopes_unknown > 0 {
            lines.push(format!("{:>9}  run as far as is known; HubSpot decides on their scopes", self.scopes_unknown));
        }
        let worst = self.worst(worst);
        if !worst.is_empty() {
            let accounts = match self.accounts.len() {
                1 => "1 account has".to_owned(),
                several => format!("{several} accounts have"),
            };
            lines.push(format!("{accounts} automations that will not run, the worst first:"));
        }
        lines.extend(worst.iter().map(|account| {
            let why: Vec<String> =
                account.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            format!("{:>9}  {}: {}", account.will_not_run, account.account_id, why.join(", "))
        }));
        lines.join("\n")
    }

    fn worst(&self, most: usize) -> Vec<AccountCounts<'_>> {
        let mut all: Vec<AccountCounts<'_>> = self
            .accounts
            .iter()
            .map(|(account_id, verdicts)| AccountCounts { account_id, will_not_run: verdicts.values().sum(), verdicts })
            .collect();
        all.sort_by(|a, b| b.will_not_run.cmp(&a.will_not_run).then(a.account_id.cmp(b.account_id)));
        all.truncate(most);
        all
    }
}

fn as_str(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reconnect => "reconnect",
        Remedy::AskOperator => "ask_operator",
        Remedy::HubspotPlan => "hubspot_plan",
    }
}
