//! `app-secret rotate --finish`.

use jiff::{Timestamp, Unit};
use serde::Serialize;

use super::{AppSecretResult, CredentialCheck, check, put, stored};
use crate::exit::{Exit, Failure};
use crate::operator::Operator;
use crate::output::Output;
use crate::prompt::{Confirm, confirm};
use crate::stack::Stack;

/// A secret that no function has used for this long is no longer used, in seconds.
const QUIET: i64 = 3_600;

/// The command that reads the metric of the old secret's use, which the tool has no client for.
#[derive(Serialize)]
struct MetricQuery {
    command: String,
}

pub(super) async fn run(stack: &Stack, yes: &Confirm, output: &mut Output) -> Result<Exit, Failure> {
    let (text, mut app) = stored(stack).await?;
    let operator = Operator::identify(stack, output).await?;
    let result =
        |outcome, hubspot_accepts, next| AppSecretResult { outcome, hubspot_accepts, next, operator: &operator };
    if app.previous_client_secret.is_none() {
        let line = "No rotation is in progress: there is no previous secret.".to_owned();
        output.result("app_secret", &result("already_finished", None, "nothing"), || vec![line])?;
        return Ok(Exit::Success);
    }
    match check(stack, &app).await {
        CredentialCheck::Accepted => {}
        CredentialCheck::Refused => {
            let next = "make the new secret the app's at HubSpot (until then the functions use the old one), or go back \
                        with `hubspotctl app-secret set` and the old one";
            output.result("app_secret", &result("not_finished", Some(false), next), || {
                vec![format!("HubSpot refuses the new secret. Nothing was changed. Next: {next}.")]
            })?;
            return Ok(Exit::Findings);
        }
        CredentialCheck::Unknown => {
            return Err(Failure::Unreachable(
                "HubSpot does not say whether it accepts the new secret. Nothing was changed, and the functions use \
                 whichever it accepts: try again later"
                    .to_owned(),
            ));
        }
    }
    let query = MetricQuery { command: metric(stack)? };
    output.result("metric_query", &query, || {
        let explanation = "This counts the uses of the old secret in the last hour; expect no data, or 0:";
        [explanation].into_iter().chain(query.command.lines()).map(str::to_owned).collect()
    })?;
    output.flush()?;
    confirm("Has no function used the old secret for an hour?", yes)?;
    app.previous_client_secret = None;
    put(stack, &app, Some(&text)).await?;
    let line = "The old secret is dropped: the rotation is finished.".to_owned();
    output.result("app_secret", &result("finished", Some(true), "nothing"), || vec![line])?;
    Ok(Exit::Success)
}

fn metric(stack: &Stack) -> Result<String, Failure> {
    let now = stack.clock.now();
    let minute = |at: i64| {
        let at = Timestamp::from_second(at).and_then(|at| at.round(Unit::Minute));
        at.map_err(|_| Failure::usage("the clock is wrong"))
    };
    Ok(format!(
        "  aws cloudwatch get-metric-statistics --namespace hubspot-automations --metric-name previous_app_secret_used \\\n    \
         --dimensions Name=stack,Value={} --start-time {} --end-time {} --period {QUIET} --statistics Sum",
        stack.settings.state.secret_prefix,
        minute(now - QUIET)?,
        minute(now + 60)?,
    ))
}
