//! What the tool asks whoever runs it. Questions go to stderr: stdout is for results.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use secrecy::SecretString;

use crate::end::Failure;

/// More than this is no secret.
const LONGEST: u64 = 65_536;

/// What has to be given where nobody can be asked, and skips the question.
#[derive(clap::Args, Debug)]
pub(crate) struct Yes {
    /// Does it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Goes on only with a yes.
pub(crate) fn confirm(question: &str, yes: &Yes) -> Result<(), Failure> {
    if yes.yes {
        return Ok(());
    }
    let answer = line(&format!("{question} [y/N] "), "--yes")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was done")),
    }
}

/// A line from the terminal; `option` is what to give where there is none.
pub(crate) fn line(question: &str, option: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("there is no terminal to ask at: give {option}")));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(|_| Failure::Output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|_| Failure::usage("no answer"))?;
    Ok(answer)
}

/// Whether secrets are typed; else they come from stdin.
pub(crate) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// A secret from the terminal, which does not show it.
pub(crate) fn typed_secret(question: &str) -> Result<SecretString, Failure> {
    let typed = rpassword::prompt_password(question);
    typed.map(SecretString::from).map_err(|_| Failure::usage("the terminal cannot be read"))
}

/// All of stdin, without a line end after it.
pub(crate) fn piped_secret() -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LONGEST).read_to_string(&mut text);
    read.map_err(|_| Failure::usage("stdin cannot be read, or is no UTF-8"))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}
