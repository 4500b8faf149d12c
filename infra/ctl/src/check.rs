//! `check`: what the functions would say to stored automations. Nothing is sent, and nothing is written.

mod accounts;
mod judge;
mod summary;

use std::path::PathBuf;

use guard::request::AutomationRequest;
use guard::scopes::Asked;
use serde::Serialize;
use shared::error::Error;
use url::Url;

use self::accounts::Accounts;
use self::judge::{Judged, judge};
use self::summary::Summary;
use crate::cli::Global;
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::output::Output;
use crate::stack::reader;

/// So many lines are read before the integrations of their accounts are asked for, all at a time …
const BATCH: usize = 1024;
/// … and no more than so many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

const ABOUT_LINES: &str = "\
Each line is a body of POST /v1/automation-requests: account_id, automation_id, integration_id where the automation
names one, and the request as it is stored.

Verdicts: `runs`; `missing_scopes` (HubSpot will refuse it: `remedy` says what helps); and where the function refuses,
its code: integration_superseded, integration_not_found, not_connected, reauthorization_required,
endpoint_not_allowed, invalid_request, request_too_large.";

#[derive(clap::Args, Debug)]
#[command(after_long_help = ABOUT_LINES)]
pub(crate) struct Args {
    /// The stored automations, one JSON object a line
    file: PathBuf,
    /// Checks against a file for `import` instead of the table of integrations
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// How many accounts the summary names, the worst first
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    worst: usize,
}

/// A line of the file and what the function says to it.
#[derive(Serialize)]
struct Told<'a> {
    line: u64,
    #[serde(flatten)]
    judged: &'a Judged,
}

/// A line of the file, parsed as the function parses it.
struct Parsed {
    number: u64,
    request: Result<AutomationRequest, Box<Judged>>,
}

pub(crate) async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<End, Failure> {
    let mut settings = reader(global)?;
    let origin = settings.hubspot().api_url;
    let (required, optional) = (settings.list("HUBSPOT_SCOPES"), settings.list("HUBSPOT_OPTIONAL_SCOPES"));
    settings.finish(()).map_err(|invalid| Failure::usage(invalid.to_string()))?;
    let asked = Asked { required: &required, optional: &optional };
    let mut lines = Lines::open(&args.file)?;
    let mut accounts = Accounts::open(args.import.as_deref(), global).await?;
    let mut summary = Summary::default();
    loop {
        let batch = batch(&mut lines, &origin)?;
        if batch.is_empty() {
            break;
        }
        let requests = batch.iter().filter_map(|parsed| parsed.request.as_ref().ok());
        accounts.learn(requests.map(|request| &request.account_id)).await?;
        for Parsed { number, request } in batch {
            let judged = match request {
                Ok(request) => judge(&request, accounts.of(&request.account_id), asked),
                Err(refused) => *refused,
            };
            summary.count(&judged);
            if output.is_json() {
                output.result(&Told { line: number, judged: &judged }, String::new)?;
            }
        }
    }
    output.result(&summary.shown(args.worst), || summary.text(args.worst))?;
    Ok(End::of(summary.findings()))
}

/// Reads the next lines.
fn batch(lines: &mut Lines, origin: &Url) -> Result<Vec<Parsed>, Failure> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH
        && bytes < BATCH_BYTES
        && let Some(line) = lines.next()?
    {
        let request = match line.text {
            Ok(text) => {
                bytes += text.len();
                AutomationRequest::parse(&text, origin).map_err(|error| Box::new(Judged::refused(&error.into(), &text)))
            }
            Err(wrong) => Err(Box::new(Judged::refused(&Error::InvalidRequest(wrong.to_owned()), ""))),
        };
        batch.push(Parsed { number: line.number, request });
    }
    Ok(batch)
}
