//! Questions to the operator. They go to stderr: stdout is for results.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use secrecy::SecretString;

use crate::exit::Failure;
use crate::terminal::printable;

/// The largest secret that is read from stdin, in bytes.
const LARGEST_SECRET: u64 = 65_536;

/// The option that skips the confirmation prompt.
#[derive(clap::Args, Debug)]
pub(crate) struct Confirm {
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
}

/// Continues only if the operator confirms.
pub(crate) fn confirm(question: &str, confirm: &Confirm) -> Result<(), Failure> {
    if confirm.yes {
        return Ok(());
    }
    if !is_terminal() {
        return Err(Failure::usage(format!("{question} Not a terminal: pass --yes to confirm")));
    }
    let answer = line(&format!("{question} [y/N] "), "pass --yes")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was done")),
    }
}

/// A line from the terminal; `hint` says what to do without a terminal.
pub(crate) fn line(question: &str, hint: &str) -> Result<String, Failure> {
    if !is_terminal() {
        return Err(Failure::usage(format!("not a terminal: {hint}")));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{}", printable(question)).and_then(|()| stderr.flush()).map_err(|_| Failure::Output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|_| Failure::usage("no answer"))?;
    Ok(answer)
}

/// If stdin is a terminal, secrets are typed; if not, they are piped.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A secret from the terminal, which does not show it.
pub(crate) fn typed_secret(question: &str) -> Result<SecretString, Failure> {
    let typed = rpassword::prompt_password(printable(question));
    typed.map(SecretString::from).map_err(|_| Failure::usage("the terminal cannot be read"))
}

/// All of stdin, without a trailing line end.
pub(crate) fn piped_secret() -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LARGEST_SECRET).read_to_string(&mut text);
    read.map_err(|_| Failure::usage("stdin cannot be read or is not UTF-8"))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}
