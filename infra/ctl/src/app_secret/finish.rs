//! `app-secret rotate --finish`.

use jiff::{Timestamp, Unit};
use serde_json::json;

use super::{AppSecretResult, knows, put, stored};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt::{Confirm, confirm};
use crate::stack::Stack;

/// A secret that no function has used for so many seconds is used no more.
const QUIET: i64 = 3_600;

pub(super) async fn run(stack: &Stack, yes: &Confirm, output: &mut Output) -> Result<Exit, Failure> {
    let (text, mut app) = stored(stack).await?;
    if app.previous_client_secret.is_none() {
        let done = AppSecretResult { outcome: "already_finished", hubspot_knows: None, next: "nothing" };
        output.result(&done, || "No rotation is under way: there is no previous secret.".to_owned())?;
        return Ok(Exit::Success);
    }
    match knows(stack, &app).await {
        Some(true) => {}
        Some(false) => {
            let next = "make the new secret the app's at HubSpot; until then the functions need the old one";
            let done = AppSecretResult { outcome: "not_finished", hubspot_knows: Some(false), next };
            output.result(&done, || format!("HubSpot refuses the new secret. Nothing was changed. Next: {next}."))?;
            return Ok(Exit::Findings);
        }
        None => {
            return Err(Failure::Unreachable(
                "HubSpot does not say whether it knows the new secret. Try again".to_owned(),
            ));
        }
    }
    let line = metric(stack)?;
    output.result(&json!({ "check": line }), || {
        format!(
            "This says how often functions used the old secret in the last hour; nothing, or 0, is expected:\n{line}"
        )
    })?;
    output.flush()?;
    confirm("Has no function used the old secret for an hour?", yes)?;
    app.previous_client_secret = None;
    put(stack, &app, Some(&text)).await?;
    let done = AppSecretResult { outcome: "finished", hubspot_knows: Some(true), next: "nothing" };
    output.result(&done, || "The old secret is dropped: the rotation is finished.".to_owned())?;
    Ok(Exit::Success)
}

/// The question to CloudWatch, which the tool has no client for.
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
