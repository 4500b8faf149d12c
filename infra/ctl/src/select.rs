//! The account and the integration that a command works on.

use shared::integration::{AccountId, Integration, IntegrationId};

use crate::exit::Failure;
use crate::stack::Stack;

/// One integration.
#[derive(clap::Args, Debug)]
pub(crate) struct IntegrationSelector {
    /// The account
    account: String,
    /// The integration's id [default: the newest]
    integration: Option<String>,
}

/// The place of an integration among those of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The one that runs the account's automations.
    Newest,
    /// One that a newer instance has superseded.
    Older,
}

/// An integration and its place.
pub(crate) struct SelectedIntegration {
    pub(crate) record: Integration,
    pub(crate) position: Position,
}

impl IntegrationSelector {
    pub(crate) async fn find(&self, stack: &Stack) -> Result<SelectedIntegration, Failure> {
        find(stack, &self.account, self.integration.as_deref()).await
    }
}

impl Position {
    /// The place of the record at this index of a list that begins with the newest.
    pub(crate) fn at(index: usize) -> Self {
        if index == 0 { Self::Newest } else { Self::Older }
    }
}

/// Parses an account id of the command line.
pub(crate) fn account_id(text: &str) -> Result<AccountId, Failure> {
    AccountId::try_from(text.to_owned()).map_err(|error| Failure::usage(error.to_string()))
}

/// Finds an integration by account and id; without an id, the newest.
pub(crate) async fn find(
    stack: &Stack,
    account: &str,
    integration: Option<&str>,
) -> Result<SelectedIntegration, Failure> {
    let account_id = account_id(account)?;
    let wanted = integration.map(|id| IntegrationId::try_from(id.to_owned())).transpose();
    let wanted = wanted.map_err(|error| Failure::usage(error.to_string()))?;
    let all = stack.store.all(&account_id).await?;
    let is_wanted = |record: &Integration| wanted.as_ref().is_none_or(|wanted| record.integration_id == *wanted);
    let found = all.into_iter().enumerate().find(|(_, record)| is_wanted(record));
    let (index, record) = found.ok_or_else(|| {
        let what = integration.map_or("no integration".to_owned(), |id| format!("no integration {id}"));
        Failure::usage(format!("account {account_id} has {what}"))
    })?;
    Ok(SelectedIntegration { record, position: Position::at(index) })
}
