//! All accounts of the table, one after another.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use shared::error::Error;
use shared::integration::{AccountId, Integration};
use shared::store::Store;
use shared::store::integrations::Cursor;

use crate::exit::Failure;
use crate::output::Output;

/// A scan of the whole table that holds one page of it in memory.
pub(crate) struct AccountScan<'a> {
    store: &'a Store,
    page: std::vec::IntoIter<Result<Integration, Error>>,
    next: Option<Cursor>,
    started: bool,
    /// The first record of the next account.
    ahead: Vec<Integration>,
    bar: ProgressBar,
}

/// An item of the scan.
pub(crate) enum ScanItem {
    /// The integrations of one account, newest first.
    Account(AccountId, Vec<Integration>),
    Unreadable(UnreadableRecord),
}

/// A record that does not parse.
#[derive(Debug, Serialize)]
pub(crate) struct UnreadableRecord {
    /// Its key and the reason.
    pub(crate) detail: String,
}

impl UnreadableRecord {
    pub(crate) fn of(detail: String) -> Self {
        Self { detail }
    }

    pub(crate) fn show(&self, output: &mut Output) -> Result<(), Failure> {
        output.result("unreadable_record", self, || vec![format!("-: corrupt: {}", self.detail)])
    }
}

impl<'a> AccountScan<'a> {
    pub(crate) fn of(store: &'a Store) -> Self {
        let page = Vec::new().into_iter();
        Self { store, page, next: None, started: false, ahead: Vec::new(), bar: progress("integrations read") }
    }

    /// The next account.
    pub(crate) async fn next(&mut self) -> Result<Option<ScanItem>, Error> {
        let mut all = std::mem::take(&mut self.ahead);
        loop {
            match self.record().await? {
                Some(Ok(record)) if all.first().is_none_or(|first| first.account_id == record.account_id) => {
                    all.push(record);
                }
                Some(Ok(record)) => {
                    self.ahead.push(record);
                    break;
                }
                Some(Err(error)) => {
                    self.ahead = all;
                    return Ok(Some(ScanItem::Unreadable(UnreadableRecord::of(error.to_string()))));
                }
                None => break,
            }
        }
        all.sort_by_key(|record| std::cmp::Reverse(record.sequence));
        let account_id = all.first().map(|newest| newest.account_id.clone());
        Ok(account_id.map(|account_id| ScanItem::Account(account_id, all)))
    }

    async fn record(&mut self) -> Result<Option<Result<Integration, Error>>, Error> {
        loop {
            if let Some(record) = self.page.next() {
                self.bar.inc(1);
                return Ok(Some(record));
            }
            if self.started && self.next.is_none() {
                self.bar.finish_and_clear();
                return Ok(None);
            }
            let page = self.store.scan(self.next.take()).await?;
            self.started = true;
            self.page = page.records.into_iter();
            self.next = page.next;
        }
    }
}

/// A count on stderr, if that is a terminal.
pub(crate) fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_message(what);
    let style = ProgressStyle::with_template("{pos} {msg}, {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
