//! The properties of the guard under proptest: what the fuzz targets try, where they cannot be built.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::*;
use attacks::tally::Tally;

/// So many cases, unless `PROPTEST_CASES` says another number.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

/// Tries a property on so many inputs of a strategy; of those that fail the smallest is shown.
fn check(
    what: &'static str,
    cases: u32,
    inputs: impl Strategy<Value = Vec<u8>>,
    property: fn(&[u8]) -> Result<(), String>,
) {
    let mut tally = Tally::new(what);
    let config = config(cases);
    let tried = config.cases;
    match TestRunner::new(config).run(&inputs, |input| property(&input).map_err(TestCaseError::fail)) {
        Ok(()) => (0..tried).for_each(|_| tally.found(&(), Ok(()))),
        Err(TestError::Fail(reason, input)) => {
            tally.found(&String::from_utf8_lossy(&input), Err(format!("{reason}, the bytes are {input:?}")));
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    tally.finish(1);
}

/// Pieces of which hostile and harmless endpoints are made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        ".",
        "..",
        "%2e",
        "%2F",
        "%5c",
        "%25",
        "%",
        "%0",
        ";",
        "%3b",
        "?",
        "&",
        "=",
        "#",
        "@",
        ":",
        ":443",
        "https://",
        "http:",
        "api.hubapi.com",
        "evil.com",
        "crm",
        "oauth",
        "external-install",
        "hapikey",
        "access_token",
        "%68",
        "ü",
        "｡",
        "\u{ff0f}",
        "\u{2028}",
        " ",
        "\t",
        "\r\n",
        "\0",
        "+",
        "[]",
        "{x}",
        "'",
        "|",
        "^",
    ]);
    let any = prop_oneof![8 => piece.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from), 1 => "[a-z0-9%./]{1,6}"];
    (
        prop::sample::select(vec!["", "/", "/crm/", "https://api.hubapi.com/", "https://"]),
        prop::collection::vec(any, 0..12),
    )
        .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}

/// Texts of pieces, and some of any characters, with bytes 0xFF between them.
fn texts(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![3 => pieces(), 1 => any::<String>()];
    prop::collection::vec(text, 0..=most).prop_map(|texts| {
        let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        texts.join(&0xff)
    })
}

/// A query or a form, of parts that are credentials or look like some.
fn form() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "hapikey",
        "access_token",
        "%68api%6B%65y",
        "%2568apikey",
        "refresh_token",
        "client_",
        "secret",
        "assertion",
        "private-app",
        "-legacy",
        "authorization",
        "HAPIKEY",
        "a",
        "=",
        "&",
        ";",
        "[",
        "]",
        "[]",
        "%5b",
        "+",
        "%20",
        "%00",
        "\u{200b}",
        "%e2%80%8b",
        "ｈ",
        "ſ",
        "%",
        "%2",
        "%25",
        "\"",
        "&&",
        "=1&",
        "&amp;",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// The body of an automation request, now and then with a byte that does not belong there.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let content_type = prop::sample::select(vec![
        "application/x-www-form-urlencoded",
        "Application/X-WWW-form-urlencoded; charset=utf-8",
        "application/json",
        "application/x-www-form-urlencoded, a/b",
        "",
    ]);
    let field = prop::sample::select(vec!["body", "body_text", "body_base64"]);
    let name = prop::sample::select(vec!["accept", "Authorization", "IF-MATCH", "Host", "x\r\ny"]);
    let spoilt = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (pieces(), (name, any::<String>()), content_type, (any::<String>(), pieces()), (field, form()), spoilt).prop_map(
        |(endpoint, (name, value), content_type, (key, text), (field, body), spoilt)| {
            let request = json!({"method": "post", "endpoint": endpoint, "query": [[key, text]],
                "headers": [[name, value], ["content-type", content_type]], field: String::from_utf8_lossy(&body)});
            let mut body = json!({"account_id": "acc_1", "request": request}).to_string().into_bytes();
            if let Some((at, with)) = spoilt {
                let at = at.index(body.len());
                body[at] = with;
            }
            body
        },
    )
}

#[test]
fn no_endpoint_leaves_the_origin() {
    check("property: endpoint", 8_000, texts(6), properties::endpoint);
}

#[test]
fn no_request_carries_what_it_may_not() {
    check("property: request", 5_000, prop_oneof![body(), texts(8)], properties::request);
}

#[test]
fn credentials_go_from_a_query_or_form_and_nothing_else_does() {
    check("property: credentials", 8_000, form(), properties::credentials);
}

#[test]
fn any_bytes_are_parsed_or_refused_and_never_a_panic() {
    check("property: any bytes", 2_000, prop::collection::vec(any::<u8>(), 0..200), |bytes| {
        properties::endpoint(bytes)?;
        properties::request(bytes)?;
        properties::credentials(bytes)
    });
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn a_value_of_the_query_field_arrives_as_it_was(name in "[^\\[\\]\\s+]{1,12}", value in any::<String>()) {
        let result = Target::parse(&origin(), "GET", "/crm?x=%41", &[(name.clone(), value.clone())]).unwrap();
        prop_assume!(result.ignored().is_empty());
        let pairs: Vec<_> =
            result.url().query_pairs().skip(1).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(pairs, [(name, value)]);
    }
}
