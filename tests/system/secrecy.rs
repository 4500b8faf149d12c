//! Nothing secret leaves: not by a log line of the real processes, not by an answer, page or problem.

pub(crate) mod life;
mod spellings;

use devstack::lambda::{LogLine, Stream};
use serde_json::Value;
use tokio::sync::OnceCell;

use life::Life;
use spellings::{Haystack, spellings};

/// Everything that the functions said during one hard life, lived once for all tests of this file.
pub(crate) async fn life() -> &'static Life {
    static LIFE: OnceCell<Life> = OnceCell::const_new();
    LIFE.get_or_init(Life::live).await
}

/// Every secret of `secrets` that is in one of the texts, in any spelling.
pub(crate) fn found<'a>(secrets: impl IntoIterator<Item = &'a String>, texts: &[(String, String)]) -> Vec<String> {
    let haystacks: Vec<(&String, Haystack)> = texts.iter().map(|(label, text)| (label, Haystack::new(text))).collect();
    let mut found = Vec::new();
    for secret in secrets {
        for spelling in spellings(secret) {
            let places = haystacks.iter().filter(|(_, haystack)| haystack.contains(&spelling));
            found.extend(places.map(|(label, _)| format!("{secret:?} as {spelling:?} in {label}")));
        }
    }
    found
}

fn printed(lines: &[LogLine]) -> Vec<(String, String)> {
    lines
        .iter()
        .map(|line| (format!("{} {:?}: {}", line.function, line.stream, line.text), line.text.clone()))
        .collect()
}

#[tokio::test]
async fn no_log_line_shows_a_secret_or_what_customers_send_in_any_spelling() {
    let life = life().await;

    let found = found(life.nowhere.union(&life.unlogged), &printed(&life.lines));

    assert!(life.nowhere.len() > 80 && life.lines.len() > 100, "{} {}", life.nowhere.len(), life.lines.len());
    let known = life.lines.iter().any(|line| line.text.contains("wf_secrecy"));
    assert!(known, "an automation's id is logged, so these are the lines");
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn no_answer_page_or_problem_shows_a_secret_in_any_spelling() {
    let life = life().await;

    let found = found(&life.nowhere, &life.answers);

    assert!(life.answers.len() > 100, "{}", life.answers.len());
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn nothing_is_printed_outside_the_log() {
    let life = life().await;

    let errors: Vec<&LogLine> = life.lines.iter().filter(|line| line.stream == Stream::Err).collect();

    assert!(errors.is_empty(), "{errors:#?}");
}

#[tokio::test]
async fn a_log_level_from_the_environment_opens_no_door() {
    let life = life().await;

    let loud = ["TRACE", "DEBUG"].map(|level| format!("\"level\":\"{level}\""));

    let found: Vec<&LogLine> =
        life.lines.iter().filter(|line| loud.iter().any(|level| line.text.contains(level))).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn the_search_itself_finds_a_secret_in_every_spelling() {
    let secret = "pl4nted/+=\"<& x".to_owned();
    let base64 = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);

    for text in [
        secret.clone(),
        secret.to_uppercase(),
        format!("a{}b", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()),
        secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        format!("%25{}", secret.bytes().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join("%25")),
        base64(&secret),
        base64(&format!("x{secret}y")),
        base64(&format!("id:{secret}")),
        Value::from(secret.clone()).to_string(),
        Value::from(Value::from(secret.clone()).to_string()).to_string(),
        secret.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect(),
        secret.replace('<', "&lt;").replace('"', "&quot;").replace("& ", "&amp; "),
    ] {
        assert!(!found([&secret], &[("here".to_owned(), text.clone())]).is_empty(), "{text}");
    }
    assert!(found([&secret], &[("here".to_owned(), "pl4nted x".to_owned())]).is_empty());
}
