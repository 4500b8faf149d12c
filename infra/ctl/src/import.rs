//! `import`: integrations that existed before this system, with their refresh tokens.

mod import_one;
mod ledger;
pub(crate) mod record;
mod report;
mod run;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shared::integration::{AccountId, Integration, IntegrationId, Status};

use self::import_one::{ExistingRecord, ImportOutcome, inspect, no_room};
use self::ledger::{ImportLedger, Stage};
use self::record::ImportRecord;
use self::report::ImportReport;
use crate::encryption::missing_key;
use crate::exit::{Exit, Failure};
use crate::format_time::counted;
use crate::jsonl::{self, JsonlLine, JsonlReader};
use crate::operator::Operator;
use crate::output::Output;
use crate::select::Position;
use crate::stack::{Stack, StackArgs};

const ABOUT_LINES: &str = "\
Each line is a JSON object:
  account_id      the account
  integration_id  the id that stored automations name
  created_at      when it was connected, in epoch seconds
  refresh_token   its refresh token at HubSpot
  scopes, hub_id, connected_by   optional

Each integration keeps its id and is older than every instance connected here, whenever the import runs.

FILE.done records the progress: after any interruption, run the same command again. A line whose refresh token \
HubSpot refused is tried again once the token in it is corrected. FILE itself is never changed. Delete FILE and \
FILE.done after the cutover, since FILE holds tokens.";

#[derive(clap::Args, Debug)]
#[command(after_long_help = ABOUT_LINES)]
pub(crate) struct ImportArgs {
    /// The integrations, one JSON object per line
    pub(crate) file: PathBuf,
    /// Report what would happen without writing anything
    #[arg(long)]
    dry_run: bool,
    /// The number of accounts imported at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

/// The lines of an import file, each parsed whole.
struct ImportFile {
    lines: JsonlReader,
    /// The line of each integration.
    seen: HashMap<(AccountId, IntegrationId), u64>,
}

/// A line of the file, or what is wrong with it.
struct ParsedLine {
    number: u64,
    record: Result<ImportRecord, String>,
}

/// An integration to import.
struct Task {
    number: u64,
    record: ImportRecord,
}

impl Task {
    fn is_of_account(&self, other: &Self) -> bool {
        self.record.account_id == other.record.account_id
    }
}

pub(crate) async fn run(args: &ImportArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    warn_if_exposed(&args.file, output)?;
    let total = jsonl::count(&args.file)?;
    let file = ImportFile { lines: JsonlReader::open(&args.file)?, seen: HashMap::new() };
    let stack = Stack::open(stack_args).await?;
    if let Some(key) = missing_key(&stack).await? {
        return Err(Failure::usage(format!(
            "SECRETS_KMS_KEY is not set, and the app secret has the key {key}: imported secrets would get another key. \
             Take the variables from a function of this stack"
        )));
    }
    let result = if args.dry_run {
        dry_run(&stack, file, args, ImportReport::new(output, total, None)).await
    } else {
        match Operator::identify(&stack, output).await {
            Ok(operator) => {
                let stack = stack.acting_as(&operator.acted_by);
                import(&stack, file, args, ImportReport::new(output, total, Some(operator))).await
            }
            Err(failure) => Err(failure),
        }
    };
    if let Err(Failure::OutputClosed(_)) = result {
        let advice = "the output was closed, so nothing more was started: run the same command again to continue";
        return Err(Failure::OutputClosed(advice.to_owned()));
    }
    result
}

async fn import(
    stack: &Stack,
    file: ImportFile,
    args: &ImportArgs,
    mut report: ImportReport<'_>,
) -> Result<Exit, Failure> {
    let ledger = ImportLedger::open(&args.file)?;
    let accounts = tasks_by_account(stack, file, &ledger, &mut report)?;
    let (report, stop) = run::run(stack, &accounts, ledger, report, args.concurrency.into()).await?;
    let findings = report.findings;
    match (report.close()?, stop) {
        (0, None) => Ok(Exit::with_findings(findings)),
        (left, None) => {
            let lines = counted(usize::try_from(left).unwrap_or(usize::MAX), "line");
            Err(Failure::Unreachable(format!("{lines} could not be finished: run the same command again")))
        }
        (_, Some(reason)) => Err(Failure::Unreachable(format!("{reason} Run the same command again for the rest"))),
    }
}

/// Reports what an import would do.
async fn dry_run(
    stack: &Stack,
    file: ImportFile,
    args: &ImportArgs,
    mut report: ImportReport<'_>,
) -> Result<Exit, Failure> {
    let ledger = ImportLedger::read_only(&args.file)?;
    for tasks in tasks_by_account(stack, file, &ledger, &mut report)? {
        // The newest of the account comes first.
        let newest = tasks.first().map(|task| task.record.created_at);
        let mut planned = 0;
        for task in tasks {
            let is_marked = |own: &Integration| own.status == Status::NeedsReauthorization;
            let refused = ledger.entry(&task.record).is_some_and(|entry| entry.has_refused(&task.record));
            let outcome = match inspect(stack, &task.record).await? {
                ExistingRecord::Conflict(why) => ImportOutcome::Conflict(why.to_owned()),
                ExistingRecord::Own(own, _) if is_marked(&own) && refused => ImportOutcome::RefusedBefore,
                ExistingRecord::Own(own, Position::Newest) if is_marked(&own) => ImportOutcome::Imported,
                ExistingRecord::Own(..) => ImportOutcome::AlreadyThere,
                ExistingRecord::Absent(position, connected) => no_room(connected + planned).unwrap_or_else(|| {
                    planned += 1;
                    let is_newest = position == Position::Newest && newest == Some(task.record.created_at);
                    if is_newest { ImportOutcome::Imported } else { ImportOutcome::ImportedOlder }
                }),
            };
            report.outcome(&task, &outcome)?;
        }
    }
    let findings = report.findings;
    report.close()?;
    Ok(Exit::with_findings(findings))
}

/// Reads the file; reports what is malformed or was finished before, and groups the rest by account, the newest of each
/// first. Of two created in the same second, the later line follows, which places it above.
fn tasks_by_account(
    stack: &Stack,
    mut file: ImportFile,
    ledger: &ImportLedger,
    report: &mut ImportReport<'_>,
) -> Result<Vec<Vec<Task>>, Failure> {
    let mut accounts = Vec::<Vec<Task>>::new();
    let mut index = HashMap::new();
    while let Some(ParsedLine { number, record }) = file.next(stack.clock.now())? {
        let record = match record {
            Ok(record) => record,
            Err(reason) => {
                report.malformed(number, &reason)?;
                continue;
            }
        };
        if ledger.entry(&record).is_some_and(|entry| entry.stage == Stage::Finished) {
            report.skipped();
            continue;
        }
        let at = *index.entry(record.account_id.clone()).or_insert(accounts.len());
        if at == accounts.len() {
            accounts.push(Vec::new());
        }
        accounts[at].push(Task { number, record });
    }
    for tasks in &mut accounts {
        tasks.sort_by_key(|task| (-task.record.created_at, task.number));
    }
    Ok(accounts)
}

/// Warns if others can read the refresh tokens of a file.
fn warn_if_exposed(file: &Path, output: &Output) -> Result<(), Failure> {
    let metadata = fs::metadata(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    if metadata.permissions().mode() & 0o044 != 0 {
        let file = file.display();
        output.warn(&format!("{file} holds refresh tokens and others can read it: `chmod 600 {file}`"));
    }
    Ok(())
}

impl ImportFile {
    fn next(&mut self, now: i64) -> Result<Option<ParsedLine>, Failure> {
        let Some(JsonlLine { number, text }) = self.lines.next()? else { return Ok(None) };
        let parsed = text.map_err(str::to_owned).and_then(|text| ImportRecord::parse(&text, now));
        Ok(Some(ParsedLine { number, record: parsed.and_then(|record| self.unique(number, record)) }))
    }

    fn unique(&mut self, number: u64, record: ImportRecord) -> Result<ImportRecord, String> {
        let key = (record.account_id.clone(), record.integration_id.clone());
        match self.seen.entry(key) {
            Entry::Occupied(first) => Err(format!("duplicate: this integration is on line {} already", first.get())),
            Entry::Vacant(new) => {
                new.insert(number);
                Ok(record)
            }
        }
    }
}
