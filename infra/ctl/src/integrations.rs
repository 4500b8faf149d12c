//! `integrations list` and `integrations show`.

mod list;
mod show;

use clap::Subcommand;
use shared::integration::{Integration, IntegrationId};

use crate::cli::Global;
use crate::end::{End, Failure};
use crate::output::Output;
use crate::stack::Stack;
use crate::status::account_id;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists integrations, those of an account or all
    List(list::Args),
    /// Shows all that is known of one: record, versions of its tokens, lease, what the next execution would do
    Show(Which),
}

/// One integration.
#[derive(clap::Args, Debug)]
pub(crate) struct Which {
    /// Whose
    account: String,
    /// Its id; none: the newest
    integration: Option<String>,
}

pub(crate) async fn run(command: &Command, global: &Global, output: &mut Output) -> Result<End, Failure> {
    match command {
        Command::List(args) => list::run(args, global, output).await,
        Command::Show(which) => show::run(which, global, output).await,
    }
}

/// An integration that was found, and whether it is its account's newest.
pub(crate) struct Found {
    pub(crate) record: Integration,
    pub(crate) is_newest: bool,
}

/// Finds an integration by its account and, unless it is the newest that is wanted, by its id.
pub(crate) async fn find(stack: &Stack, account: &str, integration: Option<&str>) -> Result<Found, Failure> {
    let account_id = account_id(account)?;
    let wanted = integration.map(|id| IntegrationId::try_from(id.to_owned())).transpose();
    let wanted = wanted.map_err(|error| Failure::usage(error.to_string()))?;
    let all = stack.store.all(&account_id).await?;
    let newest = all.first().map(|newest| newest.integration_id.clone());
    let found = all.into_iter().find(|record| wanted.as_ref().is_none_or(|wanted| record.integration_id == *wanted));
    let record = found.ok_or_else(|| {
        let what = integration.map_or("no integration".to_owned(), |id| format!("no integration {id}"));
        Failure::usage(format!("the account {account_id} has {what}"))
    })?;
    let is_newest = newest.as_ref() == Some(&record.integration_id);
    Ok(Found { record, is_newest })
}

impl Which {
    pub(crate) async fn find(&self, stack: &Stack) -> Result<Found, Failure> {
        find(stack, &self.account, self.integration.as_deref()).await
    }
}
