//! The summary of a check: totals, reasons with an example each, and the accounts with most to do.

use std::collections::{BTreeMap, HashMap};

use guard::scopes::{Deprecation, Remedy, Verdict};
use serde::Serialize;

use super::judge::CheckResult;
use crate::format_time::counted;

/// The most reasons that are counted one by one.
const MOST_REASONS: usize = 1_000;
/// The most reasons of one verdict that people are shown.
const SHOWN_REASONS: usize = 5;

type VerdictCounts = BTreeMap<&'static str, u64>;

/// Counts of all automations, and of each account with automations that will not run.
#[derive(Default)]
pub(super) struct CheckSummary {
    automations: u64,
    verdicts: VerdictCounts,
    reasons: BTreeMap<(&'static str, String), ReasonCount>,
    remedies: VerdictCounts,
    scopes_unknown: u64,
    any_of: u64,
    deprecations: BTreeMap<Deprecation, ReasonCount>,
    carry_credentials: u64,
    accounts: HashMap<String, VerdictCounts>,
}

/// How often a reason occurs, and the first line with it.
#[derive(Clone, Copy)]
struct ReasonCount {
    automations: u64,
    example_line: u64,
}

#[derive(Serialize)]
pub(super) struct SummaryView<'a> {
    automations: u64,
    verdicts: &'a VerdictCounts,
    reasons: Vec<ReasonView<'a>>,
    remedies: &'a VerdictCounts,
    scopes_unknown: u64,
    any_of: u64,
    deprecated: u64,
    deprecations: Vec<DeprecationView<'a>>,
    carry_credentials: u64,
    worst_accounts: Vec<AccountCounts<'a>>,
}

#[derive(Serialize)]
struct ReasonView<'a> {
    verdict: &'a str,
    detail: &'a str,
    automations: u64,
    example_line: u64,
}

#[derive(Serialize)]
struct DeprecationView<'a> {
    #[serde(flatten)]
    deprecation: &'a Deprecation,
    automations: u64,
    example_line: u64,
}

#[derive(Serialize)]
struct AccountCounts<'a> {
    account_id: &'a str,
    will_not_run: u64,
    verdicts: &'a VerdictCounts,
}

impl CheckSummary {
    pub(super) fn count(&mut self, line: u64, result: &CheckResult) {
        self.automations += 1;
        *self.verdicts.entry(result.verdict).or_default() += 1;
        if let Some(remedy) = result.remedy {
            *self.remedies.entry(as_str(remedy)).or_default() += 1;
        }
        self.scopes_unknown += u64::from(result.scopes == Some(Verdict::Unknown));
        self.any_of += u64::from(!result.any_of.is_empty());
        if let Some(deprecation) = result.deprecated {
            let new = ReasonCount { automations: 0, example_line: line };
            self.deprecations.entry(deprecation).or_insert(new).automations += 1;
        }
        self.carry_credentials += u64::from(!result.ignored_credentials.is_empty());
        if result.verdict == "runs" {
            return;
        }
        self.count_reason(line, result);
        if let Some(account) = &result.account_id {
            *self.accounts.entry(account.clone()).or_default().entry(result.verdict).or_default() += 1;
        }
    }

    fn count_reason(&mut self, line: u64, result: &CheckResult) {
        let mut detail = result.detail.clone().unwrap_or_default();
        if self.reasons.len() >= MOST_REASONS && !self.reasons.contains_key(&(result.verdict, detail.clone())) {
            "other reasons".clone_into(&mut detail);
        }
        let new = ReasonCount { automations: 0, example_line: line };
        self.reasons.entry((result.verdict, detail)).or_insert(new).automations += 1;
    }

    fn deprecated(&self) -> u64 {
        self.deprecations.values().map(|count| count.automations).sum()
    }

    /// Announced ends, the earliest first.
    fn deprecations(&self) -> impl Iterator<Item = DeprecationView<'_>> {
        self.deprecations.iter().map(|(deprecation, count)| DeprecationView {
            deprecation,
            automations: count.automations,
            example_line: count.example_line,
        })
    }

    /// How many kinds of verdict keep automations from running.
    pub(super) fn findings(&self) -> usize {
        self.verdicts.keys().filter(|verdict| **verdict != "runs").count()
    }

    pub(super) fn view(&self, worst: usize) -> SummaryView<'_> {
        SummaryView {
            automations: self.automations,
            verdicts: &self.verdicts,
            reasons: self.verdicts.keys().flat_map(|verdict| self.reasons_of(verdict)).collect(),
            remedies: &self.remedies,
            scopes_unknown: self.scopes_unknown,
            any_of: self.any_of,
            deprecated: self.deprecated(),
            deprecations: self.deprecations().collect(),
            carry_credentials: self.carry_credentials,
            worst_accounts: self.worst(worst),
        }
    }

    pub(super) fn lines(&self, worst: usize) -> Vec<String> {
        let mut lines = vec![counted(usize::try_from(self.automations).unwrap_or(usize::MAX), "automation")];
        let mut verdicts: Vec<_> = self.verdicts.iter().collect();
        // What runs comes first, then what concerns most.
        verdicts.sort_by_key(|(verdict, count)| (**verdict != "runs", u64::MAX - **count));
        for (verdict, count) in verdicts {
            lines.push(format!("{count:>9}  {verdict}"));
            lines.extend(self.reason_lines(verdict));
        }
        lines.push(format!("{:>9}  with credentials, which will be ignored", self.carry_credentials));
        if self.scopes_unknown > 0 {
            lines.push(format!("{:>9}  of runs: scopes unknown, HubSpot decides", self.scopes_unknown));
        }
        if self.any_of > 0 {
            lines.push(format!("{:>9}  call endpoints for which HubSpot names alternative scopes", self.any_of));
        }
        if self.deprecated() > 0 {
            lines.push(format!("{:>9}  call endpoints that HubSpot has announced to end", self.deprecated()));
        }
        lines.extend(self.deprecations().map(|one| {
            let Deprecation { since, successor, .. } = one.deprecation;
            format!("{:>13}  since {since}, replaced by {successor} (line {})", one.automations, one.example_line)
        }));
        lines.extend(self.account_lines(worst));
        if self.findings() > 0 {
            lines.push("`check --json` lists every automation with its reason.".to_owned());
        }
        lines
    }

    fn reason_lines(&self, verdict: &str) -> Vec<String> {
        let reasons = self.reasons_of(verdict);
        let mut lines: Vec<String> = reasons
            .iter()
            .take(SHOWN_REASONS)
            .map(|reason| format!("{:>13}  {} (line {})", reason.automations, reason.detail, reason.example_line))
            .collect();
        if reasons.len() > SHOWN_REASONS {
            lines.push(format!("{:>15}and {}", "", counted(reasons.len() - SHOWN_REASONS, "further reason")));
        }
        lines
    }

    fn account_lines(&self, worst: usize) -> Vec<String> {
        let worst = self.worst(worst);
        if worst.is_empty() {
            return Vec::new();
        }
        let have = if self.accounts.len() == 1 { "has" } else { "have" };
        let accounts = counted(self.accounts.len(), "account");
        let mut lines = vec![format!("{accounts} {have} automations that will not run, the worst first:")];
        lines.extend(worst.iter().map(|account| {
            let why: Vec<String> =
                account.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            format!("{:>9}  {}: {}", account.will_not_run, account.account_id, why.join(", "))
        }));
        lines
    }

    /// The reasons of a verdict, the most frequent first.
    fn reasons_of(&self, verdict: &str) -> Vec<ReasonView<'_>> {
        let of_verdict = self.reasons.iter().filter(|((of, _), _)| *of == verdict);
        let mut reasons: Vec<ReasonView<'_>> = of_verdict
            .map(|((verdict, detail), count)| ReasonView {
                verdict,
                detail,
                automations: count.automations,
                example_line: count.example_line,
            })
            .collect();
        reasons.sort_by_key(|reason| (u64::MAX - reason.automations, reason.example_line));
        reasons
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
