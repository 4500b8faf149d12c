//! `infra/docs/texts.md` lists every text that a customer meets. It is made here from the code, and holds no internal
//! name. `UPDATE_TEXTS=1 cargo test --workspace --test system texts` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use oauth_callback::OtherBrowserReason;
use shared::error::{Error, LostRequest, RequestId, RequestOutcome};

use crate::world::World;

const PAGE: &str = "infra/docs/texts.md";

const HEAD: &str = "# Texts that customers meet

Generated from the code by `tests/system/texts.rs`: do not edit it by hand.
A name in braces is replaced by a value.
";

/// Sources whose texts are the `detail` of a refusal, with what each text of a source begins with.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "The endpoint",
        "request.endpoint: ",
        concat!(
            include_str!("../../shared/guard/src/target.rs"),
            include_str!("../../shared/guard/src/target/host.rs"),
            include_str!("../../shared/guard/src/target/path.rs"),
            include_str!("../../shared/guard/src/target/query.rs"),
        ),
    ),
    (
        "The request",
        "",
        concat!(
            include_str!("../../shared/guard/src/request.rs"),
            include_str!("../../shared/guard/src/request/call.rs"),
        ),
    ),
    ("Fields", "", include_str!("../../shared/guard/src/fields.rs")),
    ("Ids", "", include_str!("../../shared/guard/src/ids.rs")),
    ("The caller", "", include_str!("../../shared/src/caller.rs")),
    ("The body", "", include_str!("../../shared/src/gateway.rs")),
    ("Connecting", "", include_str!("../../functions/oauth-callback/src/authorization.rs")),
];

/// Text of the code before a refusal's text.
const BEFORE: &[&str] = &[
    "invalid(",
    "not_allowed(",
    "InvalidRequest(",
    "EndpointNotAllowed(",
    "RequestTooLarge(",
    "Forbidden(",
    "AlreadyConnected(",
    "TooManyIntegrations(",
    "let detail =",
];

/// Functions whose texts all reach a customer.
const WHOLE: &[&str] = &["fn wrong_host", "fn shape_error"];

/// Words of the inside: what a customer can neither see nor change.
const INTERNAL: &[&str] = &[
    "secret",
    "lease",
    "table",
    "shard",
    "pointer",
    "sandbox",
    "panic",
    "lambda",
    "dynamodb",
    "kms",
    "aws",
    "arn",
    "cloudwatch",
    "sqs",
    "bearer",
    "refresh token",
    "guard",
    "oauth-callback",
    "token-refresh",
    "automation-execute",
    "hubspotctl",
];

/// Words in two cases that a customer knows.
const KNOWN_NAMES: &[&str] =
    &["HubSpot", "HubSpot's", "CloudTalk", "portalId", "formId", "contactId", "OAuth", "API's", "URLs", "KiB"];

/// The string literal at the beginning of `code`, after blanks and `format!(`, with its placeholders.
fn literal(code: &str) -> Option<String> {
    let code = code.trim_start();
    let formatted = code.strip_prefix("format!(");
    let code = formatted.unwrap_or(code).trim_start().strip_prefix('"')?;
    let mut text = String::new();
    let mut chars = code.chars();
    loop {
        match chars.next()? {
            '"' if formatted.is_some() => return Some(text),
            '"' => return Some(text.replace('{', "{{").replace('}', "}}")),
            '\\' => match chars.next()? {
                '\n' => chars = chars.as_str().trim_start().chars(),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// A text whose placeholders have no name of the code's constants.
fn public(text: &str) -> String {
    let (mut public, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        public.push_str(before);
        let doubled = ["{{", "}}"].into_iter().find(|doubled| from.starts_with(doubled));
        rest = if let Some(doubled) = doubled {
            public.push_str(&doubled[1..]);
            &from[2..]
        } else {
            let (name, rest) = from[1..].split_once('}').unwrap_or((&from[1..], ""));
            let name = match name {
                "" => "value",
                name if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') => "limit",
                name => name,
            };
            write!(public, "{{{name}}}").unwrap();
            rest
        };
    }
    public.push_str(rest);
    public
}

/// The texts of a source's refusals, in their order.
fn refusals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found: Vec<(usize, String)> = Vec::new();
    for before in BEFORE {
        let at = source.match_indices(before).map(|(at, _)| at);
        found.extend(at.filter_map(|at| Some((at, literal(&source[at + before.len()..])?))));
    }
    for function in WHOLE {
        let Some(start) = source.find(function) else { continue };
        let body = source[start..].split("\n}").next().unwrap_or_default();
        let texts = body.match_indices('"').filter_map(|(at, _)| {
            let from = body[..at].trim_end().strip_suffix("format!(").map_or(at, str::len);
            Some((start + at, literal(&body[from..])?))
        });
        // Quotes that end a text begin none with a sentence in it.
        found.extend(texts.filter(|(_, text)| text.contains("; ") || text.ends_with("expected")));
    }
    found.sort();
    found.dedup_by(|one, other| one.0 == other.0);
    // A frame only holds another text.
    let is_frame = |text: &str| ["request.endpoint: {detail}", "{place}: {}"].contains(&text);
    found.into_iter().map(|(_, text)| text).filter(|text| !is_frame(text)).map(|text| public(&text)).collect()
}

/// Every error, each with every outcome that its detail may depend on.
fn problems() -> BTreeSet<(u64, String, String, String)> {
    let mut rows = BTreeSet::new();
    for outcome in [RequestOutcome::NotSent, RequestOutcome::Unknown] {
        let mut all = vec![
            Error::Unauthenticated,
            Error::NotFound,
            Error::IntegrationNotFound,
            Error::NotConnected,
            Error::IntegrationSuperseded,
            Error::ReauthorizationRequired,
            Error::ExecutionInProgress { retry_after: 5 },
            Error::IdempotencyConflict,
            Error::RateLimited { retry_after: 5 },
            Error::internal("the cause"),
            Error::unavailable(5, "the cause"),
        ];
        let listed = "listed below".to_owned();
        all.extend([
            Error::InvalidRequest(listed.clone()),
            Error::Forbidden(listed.clone()),
            Error::EndpointNotAllowed(listed.clone()),
            Error::AlreadyConnected(listed.clone()),
            Error::TooManyIntegrations(listed.clone()),
            Error::RequestTooLarge(listed),
        ]);
        for request in [LostRequest::NotSent, LostRequest::SafeToRetry, LostRequest::CheckFirst] {
            all.push(Error::HubspotUnreachable(request));
            all.push(Error::HubspotTimeout(request));
        }
        for error in all {
            let problem = serde_json::to_value(error.problem(RequestId::Request(""), outcome)).unwrap();
            let text = |name: &str| problem[name].as_str().unwrap().to_owned();
            rows.insert((problem["status"].as_u64().unwrap(), text("code"), text("title"), text("detail")));
        }
    }
    rows
}

/// The texts of a result page, without its markup.
fn visible(html: &str) -> Vec<String> {
    let body = html.split("<main>").nth(1).unwrap_or_default();
    let pieces = body.split(['<', '>']).skip(2).step_by(2);
    pieces.map(str::trim).filter(|piece| !piece.is_empty()).map(|piece| piece.replace("&#39;", "'")).collect()
}

async fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Problems\n\n| status | `code` | `title` | `detail` |\n| --- | --- | --- | --- |\n");
    for (status, code, title, detail) in problems() {
        writeln!(page, "| {status} | `{code}` | {title} | {detail} |").unwrap();
    }
    page.push_str("\n## Details of refusals\n");
    for (heading, beginning, source) in REFUSALS {
        let texts = refusals(source);
        assert!(!texts.is_empty(), "{heading} has no text");
        write!(page, "\n### {heading}\n\n```text\n").unwrap();
        for text in texts {
            let beginning = if text.starts_with("request.") { "" } else { beginning };
            writeln!(page, "{beginning}{text}").unwrap();
        }
        page.push_str("```\n");
    }
    page.push_str("\n## Result pages of connecting\n");
    let world = World::start().await;
    let api = include_str!("../../infra/openapi.yaml");
    let outcomes = api.split("    CallbackOutcome:").nth(1).and_then(|rest| rest.split("enum: [").nth(1));
    let outcomes = outcomes.and_then(|rest| rest.split(']').next()).unwrap().split(", ");
    let with_reason = |reason: OtherBrowserReason| format!("other-browser?reason={}", reason.as_str());
    for outcome in outcomes.map(str::to_owned).chain(OtherBrowserReason::ALL.map(with_reason)) {
        let answer = world.stack.call("GET", &format!("/oauth/hubspot/result/{outcome}"), &[], "").await;
        assert_eq!(answer.status, 200, "{outcome}");
        write!(page, "\n### {outcome}\n\n```text\n{}\n```\n", visible(&answer.text()).join("\n")).unwrap();
    }
    page
}

#[tokio::test]
async fn the_list_of_texts_is_that_of_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);

    let made = page().await;

    if std::env::var_os("UPDATE_TEXTS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == made, "{PAGE} is not up to date: UPDATE_TEXTS=1 cargo test --workspace --test system texts");
}

#[test]
fn no_text_has_an_internal_name() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE)).unwrap();
    let texts = page.strip_prefix(HEAD).unwrap();
    let api = include_str!("../../infra/openapi.yaml");
    let split = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '\'');
    let words: Vec<&str> = texts.split(split).filter(|word| !word.is_empty()).collect();

    let lower = format!(" {} ", words.join(" ").to_lowercase());
    let internal: Vec<_> = INTERNAL.iter().filter(|word| lower.contains(&format!(" {word} "))).collect();
    assert!(internal.is_empty(), "{internal:?}");
    // A name in snake case is one of the public API; one in two cases is HubSpot's or the company's.
    let is_scope = |word: &str| texts.contains(&format!("\n{word}\n")) || texts.contains(&format!(".{word}"));
    let unknown: BTreeSet<_> = words
        .iter()
        .filter(|word| {
            let two_cases = word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase);
            (word.contains('_') && !api.contains(**word) && !is_scope(word))
                || (two_cases && !KNOWN_NAMES.contains(word))
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
