//! The checks of the data: orphaned secrets, granted scopes, accounts that need attention.

use guard::scopes::{not_granted, successors};
use shared::integration::Status;

use super::Finding;
use super::encryption::unknown;
use crate::accounts::{AccountScan, ScanItem};
use crate::exit::Failure;
use crate::format_time::counted;
use crate::health::{self, HealthStatus};
use crate::secrets;
use crate::stack::Stack;

/// The accounts whose scopes are compared.
const SAMPLE: usize = 500;

/// Secrets that no record names.
pub(super) async fn orphans(stack: &Stack) -> Finding {
    let check = "orphans";
    let counted_orphans = async {
        let all = secrets::all(stack).await?;
        Ok::<_, Failure>((secrets::orphans(stack, &all).await?.len(), all.len()))
    };
    match counted_orphans.await {
        Ok((0, _)) => Finding::fine(check, "every secret belongs to an integration, or is younger than a day"),
        Ok((orphans, all)) => Finding::wrong(
            check,
            format!(
                "{orphans} of {} without an integration: `hubspotctl sweep` lists and deletes them",
                counted(all, "secret")
            ),
        ),
        Err(failure) => unknown(check, &failure),
    }
}

/// Checks that integrations have the configured scopes.
pub(super) async fn scopes(stack: &Stack) -> Finding {
    let check = "scopes";
    let required = &stack.settings.scopes.required;
    if required.is_empty() {
        return Finding::fine(check, "cannot be compared: HUBSPOT_SCOPES is not set here");
    }
    let granted = match sample(stack).await {
        Ok(granted) if granted.is_empty() => return Finding::fine(check, "no integration to compare with"),
        Ok(granted) => granted,
        Err(failure) => return unknown(check, &failure),
    };
    let lack = |scope: &str| granted.iter().filter(|scopes| scopes.iter().all(|one| one != scope)).count();
    // A scope that came back under a successor's name is granted, by the rule that a connect follows.
    let missing = |scope: &str| {
        granted.iter().filter(|scopes| !not_granted(&[scope.to_owned()], scopes.as_slice()).is_empty()).count()
    };
    let sample = counted(granted.len(), "account");
    let renamed: Vec<_> =
        required.iter().filter(|scope| lack(scope) > missing(scope)).map(|scope| new_names(scope)).collect();
    let of_none: Vec<_> = required.iter().filter(|scope| missing(scope) == granted.len()).map(String::as_str).collect();
    let is_of_some = |scope: &&String| (1..granted.len()).contains(&missing(scope));
    let of_some: Vec<_> =
        required.iter().filter(is_of_some).map(|scope| format!("{scope} ({})", missing(scope))).collect();
    if renamed.is_empty() && of_none.is_empty() && of_some.is_empty() {
        return Finding::fine(check, format!("{sample} compared: all configured scopes are granted"));
    }
    let mut advice = vec![format!("{sample} compared")];
    if !renamed.is_empty() {
        advice.push(format!("renamed by HubSpot: {}; change HUBSPOT_SCOPES with the app's scopes", renamed.join(", ")));
    }
    if !of_none.is_empty() {
        advice.push(format!(
            "granted to none: {}; HubSpot may have renamed it: compare HUBSPOT_SCOPES with the scopes of the app at \
             HubSpot{}",
            of_none.join(", "),
            newcomers(&granted, stack)
        ));
    }
    if !of_some.is_empty() {
        advice.push(format!("missing in some: {}; admins of those accounts reconnect", of_some.join(", ")));
    }
    Finding::wrong(check, advice.join(". "))
}

/// A renamed scope with its successors.
fn new_names(scope: &str) -> String {
    format!("{scope} to {}", successors(scope).join(" or "))
}

/// Scopes that every account of the sample has and that are not configured: possible successors of renamed ones.
fn newcomers(granted: &[Vec<String>], stack: &Stack) -> String {
    let configured = |scope: &String| {
        stack.settings.scopes.required.contains(scope) || stack.settings.scopes.optional.contains(scope)
    };
    let Some((first, others)) = granted.split_first() else { return String::new() };
    let everywhere = |scope: &&String| !configured(scope) && others.iter().all(|scopes| scopes.contains(scope));
    let newcomers: Vec<_> = first.iter().filter(everywhere).map(String::as_str).collect();
    if newcomers.is_empty() {
        String::new()
    } else {
        format!(" (granted but not configured: {})", newcomers.join(", "))
    }
}

/// The scopes of active newest integrations that HubSpot has named.
async fn sample(stack: &Stack) -> Result<Vec<Vec<String>>, Failure> {
    let mut accounts = AccountScan::of(&stack.store);
    let mut granted = Vec::new();
    while granted.len() < SAMPLE
        && let Some(item) = accounts.next().await?
    {
        let ScanItem::Account(_, records) = item else { continue };
        let newest = records.into_iter().next();
        let known = newest.filter(|newest| newest.status == Status::Active && !newest.scopes.is_empty());
        granted.extend(known.map(|newest| newest.scopes));
    }
    Ok(granted)
}

/// How many accounts need attention; `status` names them.
pub(super) async fn accounts(stack: &Stack) -> Finding {
    let check = "accounts";
    let mut accounts = AccountScan::of(&stack.store);
    let mut healthy = 0;
    let mut with_issues = 0;
    let now = stack.clock.now();
    loop {
        match accounts.next().await {
            Ok(None) => break,
            Ok(Some(ScanItem::Account(_, records))) => {
                match records.first().map(|newest| health::of(newest, now, &stack.settings.refresh).0) {
                    Some(HealthStatus::Healthy) | None => healthy += 1,
                    Some(_) => with_issues += 1,
                }
            }
            Ok(Some(ScanItem::Unreadable(_))) => with_issues += 1,
            Err(error) => return unknown(check, &error.into()),
        }
    }
    let total = counted(healthy + with_issues, "account");
    // Not a finding of the stack: most issues are for the admins of the accounts.
    let advice = if with_issues == 0 { "" } else { ": `hubspotctl status` lists them" };
    Finding::fine(check, format!("{with_issues} of {total} with issues{advice}"))
}
