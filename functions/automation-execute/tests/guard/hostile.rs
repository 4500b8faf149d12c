//! Inputs of people who want the token to go elsewhere: our own generators, random ones, and foreign collections.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// What must hold of every target that the guard lets pass; written without the guard's own functions.
fn assert_safe(target: &Target, endpoint: &str) {
    let sent = target.url().as_str();
    let path_and_query = sent.strip_prefix(ORIGIN).unwrap_or_else(|| panic!("{endpoint:?} left the origin: {sent}"));
    assert!(path_and_query.starts_with('/') && !path_and_query.starts_with("//"), "{endpoint:?} gave {sent}");
    assert!(sent.bytes().all(|b| b.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&b)), "{endpoint:?} gave {sent}");
    let again = Url::parse(sent).unwrap();
    assert_eq!((again.as_str(), again.host_str(), again.port()), (sent, Some("api.hubapi.com"), None));
    assert!(again.username().is_empty() && again.password().is_none() && again.fragment().is_none());

    let mut path = again.path().to_owned();
    for _ in 0..12 {
        let plain = path.to_lowercase();
        assert!(!plain.contains(['\\', '\r', '\n', '\0']), "{endpoint:?} gave {sent}");
        for segment in plain.split('/') {
            let segment = segment.split(';').next().unwrap();
            assert!(![".", "..", "external-install"].contains(&segment), "{endpoint:?} gave {sent}");
        }
        let first = plain.split('/').find(|segment| !segment.is_empty());
        assert_ne!(first, Some("oauth"), "{endpoint:?} gave {sent}");
        path = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
    for part in again.query().unwrap_or_default().split(['&', ';']) {
        let key = part.split('=').next().unwrap();
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().to_lowercase();
        assert!(
            !["hapikey", "access_token", "client_secret", "refresh_token"].contains(&key.as_str()),
            "{endpoint:?} gave {sent}"
        );
    }
}

/// Tries `endpoint`, and says whether it passed.
fn passes(endpoint: &str) -> bool {
    let result = target("GET", endpoint);
    if let Ok(target) = &result {
        assert_safe(target, endpoint);
    }
    result.is_ok()
}

/// Puts one hostile text wherever a customer could write it.
fn attack(text: &str) {
    for endpoint in [
        text.to_owned(),
        format!("/{text}"),
        format!("/crm/v3/{text}/x"),
        format!("/crm/v3/objects/contacts/{text}"),
        format!("/crm?{text}"),
        format!("/crm?q={text}&{text}=1"),
        format!("/crm#{text}"),
        format!("https://{text}"),
        format!("https://{text}/crm"),
        format!("https://api.hubapi.com{text}"),
        format!("https://api.hubapi.com/{text}"),
        format!("https://{text}@api.hubapi.com/crm"),
        format!("https://api.hubapi.com@{text}/crm"),
        format!("https://{text}api.hubapi.com/crm"),
        format!("{text}://api.hubapi.com/crm"),
        format!("{text}https://api.hubapi.com/crm"),
    ] {
        passes(&endpoint);
    }
    if let Ok(target) = target(text, "/crm") {
        assert!(["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&target.method().as_str()), "{text:?}");
    }
    let (name, value) = text.split_once(':').unwrap_or((text, text));
    let request = json!({"method": "POST", "endpoint": "/crm", "query": [[text, text]], "headers": [[name, value], [text, "x"], ["accept", text]],
        "body_text": text});
    for request in [
        request,
        json!({"method": text, "endpoint": text, "query": text, "headers": {text: text}, "body_base64": text}),
    ] {
        let Ok(call) = call(&request) else { continue };
        assert_safe(call.target(), text);
        for (name, value) in call.headers() {
            assert!(
                ["accept", "accept-language", "content-type", "if-match", "if-none-match", "if-modified-since"]
                    .contains(name)
            );
            assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
        }
    }
}

#[test]
fn fifty_thousand_hostile_endpoints_never_leave_the_origin() {
    let authorities = [
        "api.hubapi.com",
        "evil.com",
        "api.hubapi.com@evil.com",
        "evil.com@api.hubapi.com",
        "api.hubapi.com.evil.com",
        "api.hubapi.com:443@evil.com",
        "a@b@evil.com",
        "evil.com\\@api.hubapi.com",
        "api.hubapi.com\\.evil.com",
        "api.hubapi.com:444",
        "[::1]",
        "127.1",
        "evil.com#@api.hubapi.com",
        "evil.com?@api.hubapi.com",
        "api.hubapi.com%40evil.com",
        "api.hubapi.com。evil.com",
        "api.hubapi.com\t.evil.com",
        "",
    ];
    let prefixes = [
        "https://",
        "http://",
        "//",
        "/",
        "\\\\",
        "https:/",
        "https:",
        "HTTPS:///",
        "https:\\/",
        "https://x:y@",
        "\t//",
        "ftp://",
        "http://https://",
    ];
    let slashes = ["/", "//", "\\", "%2f", "%5c", "%252f", ";/", "/;x/", "?/", "#/"];
    let dots = [
        "..",
        ".",
        "%2e%2e",
        ".%2e",
        "%252e%252e",
        "．．",
        "..%00",
        "..;",
        "..%3b",
        "%c0%ae%c0%ae",
        "oauth",
        "%6fauth",
        "external-install",
        "crm",
    ];
    let mut tried = 0;
    let mut passed = 0;
    for prefix in prefixes {
        for authority in authorities {
            for slash in slashes {
                for dot in dots {
                    for tail in ["/v1/token", "%2fv1?hapikey=x"] {
                        tried += 1;
                        passed += u32::from(passes(&format!("{prefix}{authority}{slash}{dot}{tail}")));
                    }
                }
            }
        }
    }
    assert!(tried >= 50_000, "{tried}");
    assert!(passed > 0, "a guard that lets nothing pass proves nothing");
}

#[test]
fn hostile_texts_in_every_field_never_get_through() {
    for text in [
        "\\@evil.com",
        "@evil.com",
        ".evil.com",
        ":80",
        ":443@evil.com",
        "//evil.com",
        "/\\evil.com",
        "%09//evil.com",
        "\r\nHost: evil.com",
        "%0d%0aX: y",
        "\u{202e}",
        "\u{feff}/crm",
        "🦀",
        "ﬁ",
        "\u{2024}\u{2024}/",
        "\u{ff0e}\u{ff0e}\u{ff0f}",
        "..\u{2215}",
        "%u002e%u002e/",
        "%%32%65%%32%65/",
        "..%c1%9c",
        "%ef%bc%8f",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 0\r\n\r\nGET /",
        "Authorization: Bearer x",
        "authorization\0: x",
        "Accept: a\r\nAuthorization: x",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "①②⑦.⓪.⓪.①",
        "localhost",
        "http://169.254.169.254/latest",
        "gopher://x",
        "data:text/html,x",
        "javascript:alert(1)",
        "null",
        "",
        " ",
        "\0",
    ] {
        attack(text);
    }
}

/// All texts of a collection: lines, and in JSON every string in any depth.
fn texts(file: &Path) -> Vec<String> {
    fn strings(value: Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text),
            Value::Array(list) => list.into_iter().for_each(|value| strings(value, into)),
            Value::Object(fields) => fields.into_iter().for_each(|(_, value)| strings(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let content = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let mut all: Vec<String> = content.lines().map(str::to_owned).collect();
    if file.extension().is_some_and(|extension| extension == "json") {
        all.clear();
        strings(serde_json::from_str(&content).unwrap(), &mut all);
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn foreign_attack_inputs_never_get_through() {
    let Some(folder) = std::env::var_os("ATTACK_INPUTS") else { return };
    let mut folders = vec![PathBuf::from(folder)];
    let mut tried = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for text in texts(&path) {
                attack(&text);
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000, "{tried} texts are no collection");
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_endpoint_leaves_the_origin(endpoint in pieces()) {
        passes(&endpoint);
    }

    #[test]
    fn what_was_accepted_once_is_accepted_again_unchanged(endpoint in pieces(), query in prop::collection::vec((".{0,8}", ".{0,8}"), 0..3)) {
        if let Ok(first) = Target::parse(&origin(), "PUT", &endpoint, &query) {
            assert_safe(&first, &endpoint);
            let second = target("PUT", first.url().as_str()).unwrap();
            prop_assert_eq!(first.url().as_str(), second.url().as_str());
            prop_assert!(second.ignored().is_empty());
        }
    }

    #[test]
    fn a_value_of_the_query_field_arrives_as_it_was(name in "[^\\[\\]\\s+]{1,12}", value in any::<String>()) {
        let result = Target::parse(&origin(), "GET", "/crm?x=%41", &[(name.clone(), value.clone())]).unwrap();
        prop_assume!(result.ignored().is_empty());
        let pairs: Vec<_> = result.url().query_pairs().skip(1).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(pairs, [(name, value)]);
    }
}

proptest! {
    // Each case tries its text in some twenty places.
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused_and_never_a_panic(body in any::<String>(), text in any::<String>()) {
        let _ = AutomationRequest::parse(&body, &origin());
        attack(&text);
    }
}
