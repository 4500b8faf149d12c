//! `app-secret`: sets and rotates the app's credentials at HubSpot. They come from the terminal, which does not show
//! them, or from stdin, and go to Secrets Manager only.
//!
//! A rotation stores the new secret beside the old one; then HubSpot's side changes; then the old one is dropped. The
//! functions read the secret again when HubSpot refuses it, and then try the previous one, so nothing is deployed.

mod finish;

use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use shared::store::WriteResult;
use shared::token_error::TokenErrorKind;
use shared::tokens::AppCredentials;

use crate::exit::{Exit, Failure};
use crate::operator::Operator;
use crate::output::Output;
use crate::prompt::{self, Confirm, confirm};
use crate::stack::{Stack, StackArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AppSecretCommand {
    /// Set client id and client secret: typed at the terminal, or from stdin as
    /// {"client_id": "…", "client_secret": "…"}
    Set(Confirm),
    /// Store a new client secret beside the old one: typed at the terminal, or from stdin as plain text
    Rotate(RotateArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct RotateArgs {
    /// Drop the old secret once no function has used it for an hour
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    confirm: Confirm,
}

/// The result of a command.
#[derive(Serialize)]
struct AppSecretResult<'a> {
    outcome: &'a str,
    /// `null` if HubSpot does not say.
    hubspot_accepts: Option<bool>,
    next: &'a str,
    #[serde(flatten)]
    operator: &'a Operator,
}

/// The result of checking the current client secret with HubSpot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CredentialCheck {
    Accepted,
    Refused,
    /// It did not answer, or not clearly.
    Unknown,
}

impl CredentialCheck {
    /// The field of the result.
    fn hubspot_accepts(self) -> Option<bool> {
        match self {
            Self::Accepted => Some(true),
            Self::Refused => Some(false),
            Self::Unknown => None,
        }
    }
}

pub(crate) async fn run(
    command: &AppSecretCommand,
    stack_args: &StackArgs,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    match command {
        AppSecretCommand::Set(confirm) => set(&stack, confirm, output).await,
        AppSecretCommand::Rotate(RotateArgs { finish: true, confirm }) => finish::run(&stack, confirm, output).await,
        AppSecretCommand::Rotate(RotateArgs { finish: false, confirm }) => rotate(&stack, confirm, output).await,
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
    let operator = Operator::identify(stack, output).await?;
    let old = stored.as_ref().and_then(|text| AppCredentials::parse(text).ok());
    if old.as_ref().is_some_and(|old| old.client_id != new.client_id) {
        confirm(
            "The client id differs from the stored one. Refresh tokens belong to the app that they were issued to: all \
             integrations would have to be reconnected. Continue?",
            yes,
        )?;
    }
    let check = check(stack, &new).await;
    if check == CredentialCheck::Refused && old.is_some() {
        confirm("HubSpot refuses these credentials; the stored ones are kept unless you confirm. Replace them?", yes)?;
    }
    put(stack, &new, stored.as_ref()).await?;
    let next = match check {
        CredentialCheck::Refused => "HubSpot refuses them: check both at HubSpot, then set them again",
        CredentialCheck::Unknown => "HubSpot did not answer: `hubspotctl doctor` tries them again",
        CredentialCheck::Accepted => "nothing: the functions read them by themselves",
    };
    let hubspot_accepts = check.hubspot_accepts();
    let result = AppSecretResult { outcome: "set", hubspot_accepts, next, operator: &operator };
    output.result("app_secret", &result, || vec![format!("The app's credentials are set. Next: {next}.")])?;
    Ok(Exit::with_findings(usize::from(check == CredentialCheck::Refused)))
}

async fn rotate(stack: &Stack, yes: &Confirm, output: &mut Output) -> Result<Exit, Failure> {
    let (stored, old) = stored(stack).await?;
    let new = if prompt::is_terminal() {
        prompt::typed_secret("New client secret (is not shown): ")?
    } else {
        prompt::piped_secret()?
    };
    if new.expose_secret().trim_start().starts_with('{') {
        return Err(Failure::usage("stdin: expected the new client secret alone, not JSON"));
    }
    let mut rotated = credentials(&old.client_id, new)?;
    let operator = Operator::identify(stack, output).await?;
    let check = check(stack, &rotated).await;
    let outcome = if rotated.same_as(&old) {
        "already_rotated"
    } else {
        approve_rotation(&old, check, yes)?;
        rotated.previous_client_secret = Some(old.client_secret);
        put(stack, &rotated, Some(&stored)).await?;
        "rotated"
    };
    let next = match check {
        CredentialCheck::Accepted => {
            "an hour after the last use of the old secret, `hubspotctl app-secret rotate --finish`"
        }
        CredentialCheck::Refused | CredentialCheck::Unknown => {
            "make the new secret the app's at HubSpot, and an hour later `hubspotctl app-secret rotate --finish`; to go \
             back, `hubspotctl app-secret set` with the old one"
        }
    };
    let hubspot_accepts = check.hubspot_accepts();
    let result = AppSecretResult { outcome, hubspot_accepts, next, operator: &operator };
    output.result("app_secret", &result, || {
        let done = match outcome {
            "rotated" => "The new client secret is stored beside the old one: functions use whichever HubSpot accepts.",
            _ => "This is the current client secret already.",
        };
        vec![done.to_owned(), format!("Next: {next}.")]
    })?;
    Ok(Exit::Success)
}

/// Refuses a second rotation, and asks if HubSpot does not accept the new secret.
fn approve_rotation(old: &AppCredentials, check: CredentialCheck, yes: &Confirm) -> Result<(), Failure> {
    if old.previous_client_secret.is_some() {
        return Err(Failure::usage(
            "a rotation is in progress. Finish it with `hubspotctl app-secret rotate --finish`; or, if its new secret \
             is wrong, store the right one alone with `hubspotctl app-secret set`",
        ));
    }
    let why = match check {
        CredentialCheck::Accepted => return Ok(()),
        CredentialCheck::Refused => "HubSpot does not accept the new secret (yet).",
        CredentialCheck::Unknown => "HubSpot does not say whether it accepts the new secret.",
    };
    let question = "The functions keep using the old one until it does. Store the new one beside it?";
    confirm(&format!("{why} {question}"), yes)
}

/// The stored secret, as text and parsed.
async fn stored(stack: &Stack) -> Result<(SecretString, AppCredentials), Failure> {
    let text = stack.store.app_secret().await?;
    let text = text.ok_or_else(|| Failure::usage("no credentials are stored yet: run `hubspotctl app-secret set`"))?;
    let parsed = AppCredentials::parse(&text).map_err(|wrong| {
        Failure::usage(format!("the stored secret is not valid ({wrong}): run `hubspotctl app-secret set`"))
    })?;
    Ok((text, parsed))
}

/// Valid credentials, or what is wrong with them.
fn credentials(client_id: &str, client_secret: SecretString) -> Result<AppCredentials, Failure> {
    let new = AppCredentials { client_id: client_id.to_owned(), client_secret, previous_client_secret: None };
    AppCredentials::parse(&new.merged_json(None)).map_err(Failure::usage)
}

async fn put(stack: &Stack, new: &AppCredentials, stored: Option<&SecretString>) -> Result<(), Failure> {
    match stack.store.put_app_secret(&new.merged_json(stored)).await? {
        WriteResult::Applied => Ok(()),
        WriteResult::ConditionFailed => {
            let name = stack.store.app_secret_id();
            Err(Failure::usage(format!("the secret {name} does not exist: the template creates it, deploy first")))
        }
    }
}

/// Asks HubSpot whether it accepts the current client secret.
async fn check(stack: &Stack, app: &AppCredentials) -> CredentialCheck {
    match stack.hubspot.verify_credentials(&app.client_id, &app.client_secret).await {
        Ok(()) => CredentialCheck::Accepted,
        Err(error) if error.kind == TokenErrorKind::InvalidClient => CredentialCheck::Refused,
        Err(_) => CredentialCheck::Unknown,
    }
}
