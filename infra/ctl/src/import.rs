//! `import`: integrations that existed before this system, with their refresh tokens.

mod import_one;
mod ledger;
pub(crate) mod record;
mod report;
mod run;

use std::collections::HashMap;
use std::path::PathBuf;

use shared::integration::{AccountId, IntegrationId};

use self::import_one::{ExistingRecord, inspect};
use self::ledger::{ImportLedger, Stage};
use self::record::ImportRecord;
use self::report::Report;
use crate::exit::{Exit, Failure};
use crate::jsonl::{self, Line, Lines};
use crate::output::Output;
use crate::stack::{Stack, StackArgs};

const ABOUT_LINES: &str = "\
Each line is a JSON object:
  account_id      whose it is
  integration_id  the id that stored automations name
  created_at      when it was connected, in epoch seconds
  refresh_token   what HubSpot gave for it
  scopes, hub_id, connected_by   where they are known

Each integration keeps its id and is older than every instance connected here, whenever the import runs. Finished lines
are recorded in FILE.done and skipped by later runs: after any interruption, run the same command again. FILE itself is
never changed. Delete FILE and FILE.done after the cutover, since FILE holds tokens.";

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
    lines: Lines,
    /// The line of each id. Memory grows with the ids, not with the tokens.
    ids: HashMap<IntegrationId, (AccountId, u64)>,
}

/// A line of the file with its number.
enum ParsedLine {
    Record(u64, ImportRecord),
    Malformed(u64, String),
}

pub(crate) async fn run(args: &ImportArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let total = jsonl::count(&args.file)?;
    let file = ImportFile { lines: Lines::open(&args.file)?, ids: HashMap::new() };
    let stack = Stack::open(stack_args).await?;
    let report = Report::new(output, total);
    if args.dry_run {
        let ledger = ImportLedger::read_only(&args.file)?;
        let report = dry_run(&stack, file, &ledger, report).await?;
        return finish(report);
    }
    let ledger = ImportLedger::open(&args.file)?;
    let (report, stop) = run::run(&stack, file, ledger, report, args.concurrency.into()).await?;
    match stop {
        None => finish(report),
        Some(reason) => {
            let left = report.close()?;
            Err(Failure::Unreachable(format!("{reason} {left} lines are left: run the same command again")))
        }
    }
}

fn finish(report: Report<'_>) -> Result<Exit, Failure> {
    let findings = report.findings;
    match report.close()? {
        0 => Ok(Exit::with_findings(findings)),
        left => Err(Failure::Unreachable(format!("{left} lines could not be finished: run the same command again"))),
    }
}

/// Reports what an import would do.
async fn dry_run<'a>(
    stack: &Stack,
    mut file: ImportFile,
    ledger: &ImportLedger,
    mut report: Report<'a>,
) -> Result<Report<'a>, Failure> {
    while let Some(line) = file.next(stack.clock.now())? {
        let (number, record) = match line {
            ParsedLine::Record(number, record) => (number, record),
            ParsedLine::Malformed(number, reason) => {
                report.malformed(number, &reason)?;
                continue;
            }
        };
        if matches!(ledger.stage(&record), Some((Stage::Finished, _))) {
            report.skipped();
            continue;
        }
        match inspect(stack, &record).await? {
            ExistingRecord::Absent => report.dry_run(number, &record, "would_be_imported", None)?,
            ExistingRecord::Own(..) => report.dry_run(number, &record, "already_there", None)?,
            ExistingRecord::Conflict(why) => report.dry_run(number, &record, "conflict", Some(why))?,
        }
    }
    Ok(report)
}

impl ImportFile {
    fn next(&mut self, now: i64) -> Result<Option<ParsedLine>, Failure> {
        let Some(Line { number, text }) = self.lines.next()? else { return Ok(None) };
        let parsed = text.map_err(str::to_owned).and_then(|text| ImportRecord::parse(&text, now));
        Ok(Some(match parsed.and_then(|record| self.unique(number, record)) {
            Ok(record) => ParsedLine::Record(number, record),
            Err(reason) => ParsedLine::Malformed(number, reason),
        }))
    }

    fn unique(&mut self, number: u64, record: ImportRecord) -> Result<ImportRecord, String> {
        match self.ids.get(&record.integration_id) {
            Some((account, first)) if *account == record.account_id => {
                Err(format!("duplicate: this integration is on line {first} already"))
            }
            Some((_, first)) => Err(format!("integration_id: another account has it on line {first}")),
            None => {
                self.ids.insert(record.integration_id.clone(), (record.account_id.clone(), number));
                Ok(record)
            }
        }
    }
}
