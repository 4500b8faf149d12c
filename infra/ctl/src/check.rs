//! `check`: which stored automations will run. Nothing is sent, and nothing is written.

mod judge;
mod known_accounts;
mod summary;

use std::path::PathBuf;

use guard::request::AutomationRequest;
use guard::scopes::RequestedScopes;
use serde::Serialize;
use shared::error::Error;
use url::Url;

use self::judge::{CheckResult, judge};
use self::known_accounts::KnownAccounts;
use self::summary::CheckSummary;
use crate::exit::{Exit, Failure};
use crate::jsonl::JsonlReader;
use crate::output::{Format, Output};
use crate::stack::{StackArgs, reader};

/// Lines that are read before the integrations of their accounts are queried together.
const BATCH: usize = 1024;
/// The size at which a batch ends, in bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

const ABOUT_LINES: &str = "\
Each line is a body of POST /v1/automation-requests: account_id, automation_id, integration_id where the automation \
names one, and the request as it is stored.

Verdicts: `runs`; `missing_scopes` (HubSpot will refuse it; `remedy` names what helps); `developer_key` (HubSpot \
accepts only the developer key of an app); or the code of the refusal: integration_superseded, integration_not_found, \
not_connected, reauthorization_required, endpoint_not_allowed, invalid_request, request_too_large.";

#[derive(clap::Args, Debug)]
#[command(after_long_help = ABOUT_LINES)]
pub(crate) struct CheckArgs {
    /// The stored automations, one JSON object per line
    file: PathBuf,
    /// Check against a file for `import` instead of the table of integrations
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// The number of accounts in the summary, the worst first
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    worst: usize,
}

/// The verdict on a line of the file.
#[derive(Serialize)]
struct LineVerdict<'a> {
    line: u64,
    #[serde(flatten)]
    result: &'a CheckResult,
}

/// A line of the file, parsed as the function parses it.
struct ParsedAutomation {
    number: u64,
    request: Result<AutomationRequest, Box<CheckResult>>,
}

pub(crate) async fn run(args: &CheckArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut settings = reader(stack_args)?;
    let origin = settings.hubspot().api_url;
    let (required, optional) = (settings.list("HUBSPOT_SCOPES"), settings.list("HUBSPOT_OPTIONAL_SCOPES"));
    settings.finish(()).map_err(|invalid| Failure::usage(invalid.to_string()))?;
    let requested = RequestedScopes { required: &required, optional: &optional };
    let mut lines = JsonlReader::open(&args.file)?;
    let mut accounts = KnownAccounts::open(args.import.as_deref(), stack_args).await?;
    let mut summary = CheckSummary::default();
    loop {
        let batch = batch(&mut lines, &origin)?;
        if batch.is_empty() {
            break;
        }
        let requests = batch.iter().filter_map(|parsed| parsed.request.as_ref().ok());
        accounts.load(requests.map(|request| &request.account_id)).await?;
        for ParsedAutomation { number, request } in batch {
            let result = match request {
                Ok(request) => judge(&request, accounts.of(&request.account_id), requested),
                Err(refused) => *refused,
            };
            summary.count(number, &result);
            if output.format() == Format::Json {
                output.result("automation", &LineVerdict { line: number, result: &result }, Vec::new)?;
            }
        }
    }
    output.result("check_summary", &summary.view(args.worst), || summary.lines(args.worst))?;
    Ok(Exit::with_findings(summary.findings()))
}

/// Reads the next lines.
fn batch(lines: &mut JsonlReader, origin: &Url) -> Result<Vec<ParsedAutomation>, Failure> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH
        && bytes < BATCH_BYTES
        && let Some(line) = lines.next()?
    {
        let request = match line.text {
            Ok(text) => {
                bytes += text.len();
                AutomationRequest::parse(&text, origin)
                    .map_err(|error| Box::new(CheckResult::refused(&error.into(), &text)))
            }
            Err(wrong) => Err(Box::new(CheckResult::refused(&Error::InvalidRequest(wrong.to_owned()), ""))),
        };
        batch.push(ParsedAutomation { number: line.number, request });
    }
    Ok(batch)
}
