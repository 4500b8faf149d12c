//! `app-secret`: the app's credentials at HubSpot, put and rotated. They come from the terminal, which does not show
//! them, or from stdin, and go to Secrets Manager and nowhere else.
//!
//! A rotation: the new secret and the old one side by side, then HubSpot's change, then the new one alone. The functions
//! read the secret again when HubSpot refuses what they have, and then try the previous one, so nothing is deployed.

mod finish;

use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use shared::hubspot::Refusal;
use shared::store::WriteResult;
use shared::tokens::AppCredentials;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt::{self, Confirm, confirm};
use crate::stack::{Stack, StackArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AppSecretCommand {
    /// Puts client id and client secret: typed at the terminal, or from stdin as
    /// {"client_id": "…", "client_secret": "…"}
    Set(Confirm),
    /// Puts a new client secret beside the old one: typed at the terminal, or from stdin as it is
    Rotate(RotateArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct RotateArgs {
    /// Drops the old one, when no function has used it for an hour
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    yes: Confirm,
}

/// What a command did.
#[derive(Serialize)]
struct AppSecretResult<'a> {
    outcome: &'a str,
    /// Whether HubSpot knows the current client secret; none if HubSpot does not say.
    hubspot_knows: Option<bool>,
    next: &'a str,
}

pub(crate) async fn run(
    command: &AppSecretCommand,
    stack_args: &StackArgs,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    match command {
        AppSecretCommand::Set(yes) => set(&stack, yes, output).await,
        AppSecretCommand::Rotate(RotateArgs { finish: true, yes }) => finish::run(&stack, yes, output).await,
        AppSecretCommand::Rotate(RotateArgs { finish: false, .. }) => rotate(&stack, output).await,
    }
}

async fn set(stack: &Stack, yes: &Confirm, output: &mut Output) -> Result<Exit, Failure> {
    let stored = stack.store.app_secret().await?;
    let new = if prompt::is_terminal() {
        let id = prompt::line("Client id: ", "pass JSON on stdin")?;
        credentials(id.trim(), prompt::typed_secret("Client secret (is not shown): ")?)?
    } else {
        let text = prompt::piped_secret()?;
        AppCredentials::parse(&text).map_err(|wrong| Failure::usage(format!("stdin: {wrong}")))?
    };
    let old = stored.as_ref().and_then(|text| AppCredentials::parse(text).ok());
    if old.is_some_and(|old| old.client_id != new.client_id) {
        confirm(
            "The client id differs from the stored one. Refresh tokens are good for the app only that they were issued \
             to: all integrations would have to be reconnected. Go on?",
            yes,
        )?;
    }
    put(stack, &new, stored.as_ref()).await?;
    let knows = knows(stack, &new).await;
    let next = match knows {
        Some(false) => "HubSpot refuses them: check both at HubSpot, then set them again",
        Some(true) | None => "nothing: the functions find them by themselves",
    };
    output.result(&AppSecretResult { outcome: "set", hubspot_knows: knows, next }, || {
        format!("The app's credentials are set. Next: {next}.")
    })?;
    Ok(Exit::with_findings(usize::from(knows == Some(false))))
}

async fn rotate(stack: &Stack, output: &mut Output) -> Result<Exit, Failure> {
    let (stored, old) = stored(stack).await?;
    let new = match prompt::is_terminal() {
        true => prompt::typed_secret("New client secret (is not shown): ")?,
        false => prompt::piped_secret()?,
    };
    if new.expose_secret().trim_start().starts_with('{') {
        return Err(Failure::usage("stdin: the new client secret alone is expected, not JSON"));
    }
    let mut rotated = credentials(&old.client_id, new)?;
    let outcome = if rotated.same_as(&old) {
        "already_rotated"
    } else if old.previous_client_secret.is_some() {
        let text = "a rotation is under way: end it with `hubspotctl app-secret rotate --finish`, then start the next";
        return Err(Failure::usage(text));
    } else {
        rotated.previous_client_secret = Some(old.client_secret);
        put(stack, &rotated, Some(&stored)).await?;
        "rotated"
    };
    let knows = knows(stack, &rotated).await;
    let next = match knows {
        Some(true) => {
            "HubSpot knows the new secret: an hour after the last use of the old one, `hubspotctl app-secret rotate --finish`"
        }
        Some(false) | None => {
            "make the new secret the app's at HubSpot, and an hour later `hubspotctl app-secret rotate --finish`"
        }
    };
    output.result(&AppSecretResult { outcome, hubspot_knows: knows, next }, || {
        let done = match outcome {
            "rotated" => "The new client secret is put, the old one beside it: functions use whichever HubSpot takes.",
            _ => "It is the current client secret already.",
        };
        format!("{done}\nNext: {next}.")
    })?;
    Ok(Exit::Success)
}

/// The stored secret and what it says.
async fn stored(stack: &Stack) -> Result<(SecretString, AppCredentials), Failure> {
    let text = stack.store.app_secret().await?;
    let text = text.ok_or_else(|| Failure::usage("there are no credentials yet: `hubspotctl app-secret set`"))?;
    let parsed = AppCredentials::parse(&text).map_err(|wrong| {
        Failure::usage(format!("the stored secret does not fit ({wrong}): `hubspotctl app-secret set`"))
    })?;
    Ok((text, parsed))
}

/// Credentials whose shape is right, or what is wrong with it.
fn credentials(client_id: &str, client_secret: SecretString) -> Result<AppCredentials, Failure> {
    let new = AppCredentials { client_id: client_id.to_owned(), client_secret, previous_client_secret: None };
    AppCredentials::parse(&new.merged_json(None)).map_err(Failure::usage)
}

async fn put(stack: &Stack, new: &AppCredentials, stored: Option<&SecretString>) -> Result<(), Failure> {
    match stack.store.put_app_secret(&new.merged_json(stored)).await? {
        WriteResult::Applied => Ok(()),
        WriteResult::ConditionFailed => {
            let name = stack.store.app_secret_id();
            Err(Failure::usage(format!("the secret {name} does not exist: the template makes it, deploy first")))
        }
    }
}

/// Whether HubSpot knows the current client secret; none if it does not say.
async fn knows(stack: &Stack, app: &AppCredentials) -> Option<bool> {
    match stack.hubspot.verify_credentials(&app.client_id, &app.client_secret).await {
        Ok(()) => Some(true),
        Err(Refusal::Misconfigured { .. }) => Some(false),
        Err(Refusal::Revoked | Refusal::Transient { .. } | Refusal::Lost { .. }) => None,
    }
}
