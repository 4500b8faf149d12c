//! `import`: integrations that existed before this system, with their refresh tokens.

mod bring;
mod done;
pub(crate) mod entry;
mod report;
mod run;

use std::collections::HashMap;
use std::path::PathBuf;

use shared::integration::IntegrationId;

use self::bring::{Found, look};
use self::done::{Done, Stage};
use self::entry::Entry;
use self::report::Report;
use crate::cli::Global;
use crate::end::{End, Failure};
use crate::lines::{self, Line, Lines};
use crate::output::Output;
use crate::stack::Stack;

const ABOUT_LINES: &str = "\
Each line is a JSON object:
  account_id      whose it is
  integration_id  the id that stored automations name
  created_at      when it was connected, in epoch seconds
  refresh_token   what HubSpot gave for it
  scopes, hub_id, connected_by   where they are known

Each integration keeps its id and stands below every instance that was connected here, whenever the import runs. What
is finished is noted in FILE.done and left alone by later runs: start the same command again after any interruption.
FILE itself is never changed; it and FILE.done go when the cut-over is over, since FILE holds tokens.";

#[derive(clap::Args, Debug)]
#[command(after_long_help = ABOUT_LINES)]
pub(crate) struct Args {
    /// The integrations, one JSON object a line
    pub(crate) file: PathBuf,
    /// Says what would happen, and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// How many integrations are worked on at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

/// The integrations of a file, each looked at before anything is done about it.
struct Entries {
    lines: Lines,
    /// On which line each id stands. Memory grows by the ids, not by the tokens.
    ids: HashMap<IntegrationId, (String, u64)>,
}

/// A line of the file.
enum Read {
    Entry(u64, Entry),
    Malformed(u64, String),
}

pub(crate) async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<End, Failure> {
    let total = lines::count(&args.file)?;
    let mut entries = Entries { lines: Lines::open(&args.file)?, ids: HashMap::new() };
    let stack = Stack::open(global).await?;
    let mut report = Report::new(output, total);
    if args.dry_run {
        let done = Done::look(&args.file)?;
        would(&stack, &mut entries, &done, &mut report).await?;
    } else {
        let done = Done::open(&args.file)?;
        let stop;
        (report, stop) = run::run(&stack, entries, done, report, args.concurrency.into()).await?;
        if let Some(why) = stop {
            let left = report.close()?;
            return Err(Failure::Unreachable(format!("{why} {left} lines are left: start the same command again")));
        }
    }
    let findings = report.findings;
    match report.close()? {
        0 => Ok(End::of(findings)),
        left => Err(Failure::Unreachable(format!(
            "{left} lines could not be brought to their end for now: start the same command again"
        ))),
    }
}

/// What an import would do.
async fn would(stack: &Stack, entries: &mut Entries, done: &Done, report: &mut Report<'_>) -> Result<(), Failure> {
    while let Some(read) = entries.next(stack.clock.now())? {
        match read {
            Read::Malformed(number, reason) => report.malformed(number, &reason)?,
            Read::Entry(_, entry) if matches!(done.stage(&entry), Some((Stage::Finished, _))) => report.skipped(),
            Read::Entry(number, entry) => match look(stack, &entry).await? {
                Found::Nothing => report.would(number, &entry, "would_be_imported", None)?,
                Found::Own(..) => report.would(number, &entry, "already_there", None)?,
                Found::Other(why) => report.would(number, &entry, "conflict", Some(why))?,
            },
        }
    }
    Ok(())
}

impl Entries {
    /// The next line, parsed whole.
    fn next(&mut self, now: i64) -> Result<Option<Read>, Failure> {
        let Some(Line { number, text }) = self.lines.next()? else { return Ok(None) };
        let parsed = text.map_err(str::to_owned).and_then(|text| Entry::parse(&text, now));
        Ok(Some(match parsed.and_then(|entry| self.once(number, entry)) {
            Ok(entry) => Read::Entry(number, entry),
            Err(reason) => Read::Malformed(number, reason),
        }))
    }

    fn once(&mut self, number: u64, entry: Entry) -> Result<Entry, String> {
        let account = entry.account_id.to_string();
        match self.ids.get(&entry.integration_id) {
            Some((other, first)) if *other == account => {
                Err(format!("this integration stands on line {first} already"))
            }
            Some((_, first)) => Err(format!("integration_id: another account has it on line {first}")),
            None => {
                self.ids.insert(entry.integration_id.clone(), (account, number));
                Ok(entry)
            }
        }
    }
}
