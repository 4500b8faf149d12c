//! Inputs of people who want the token to go elsewhere: our own generators and foreign collections.

use super::*;
use attacks::properties::{is_safe, may_be_sent};
use attacks::tally::Tally;

/// Judges what the guard makes of an endpoint.
fn judged(method: &str, endpoint: &str) -> Result<(), String> {
    target(method, endpoint).map_or(Ok(()), |target| is_safe(&target))
}

/// Puts one hostile text wherever a customer could write it.
fn attack(tally: &mut Tally, text: &str) {
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
        tally.input(&endpoint, || judged("GET", &endpoint));
    }
    tally.input(&text, || judged(text, "/crm"));
    let (name, value) = text.split_once(':').unwrap_or((text, text));
    for request in [
        json!({"method": "POST", "endpoint": "/crm", "query": [[text, text]],
            "headers": [[name, value], [text, "x"], ["accept", text]], "body_text": text}),
        json!({"method": "POST", "endpoint": "/crm", "headers": {"content-type": text}, "body_text": text}),
        json!({"method": "PUT", "endpoint": "/crm", "query": {text: [text, text]},
            "headers": {"content-type": "application/x-www-form-urlencoded"}, "body_text": text}),
        json!({"method": text, "endpoint": text, "query": text, "headers": {text: text}, "body_base64": text}),
    ] {
        tally.input(&request, || call(&request).map_or(Ok(()), |call| may_be_sent(&call)));
    }
}

const PREFIXES: [&str; 13] = [
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

const AUTHORITIES: [&str; 18] = [
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

const SLASHES: [&str; 10] = ["/", "//", "\\", "%2f", "%5c", "%252f", ";/", "/;x/", "?/", "#/"];

const NAMES: [&str; 14] = [
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

#[test]
fn every_mixture_of_prefix_authority_slash_and_name_stays_on_the_origin() {
    let mut tally = Tally::new("hostile endpoints: mixtures");
    let mut passed = 0;
    for prefix in PREFIXES {
        for authority in AUTHORITIES {
            for slash in SLASHES {
                for name in NAMES {
                    for tail in ["/v1/token", "%2fv1?hapikey=x"] {
                        let endpoint = format!("{prefix}{authority}{slash}{name}{tail}");
                        tally.input(&endpoint, || judged("GET", &endpoint));
                        passed += u32::from(target("GET", &endpoint).is_ok());
                    }
                }
            }
        }
    }
    assert!(passed > 0, "a guard that lets nothing pass proves nothing");
    tally.finish(50_000);
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn character(&mut self, end: usize) -> String {
        char::from_u32(u32::try_from(self.below(end)).unwrap()).unwrap_or('\0').to_string()
    }
}

/// An endpoint in which a few places were spoilt, by hostile pieces or by encoding the characters there.
fn spoilt(numbers: &mut Numbers) -> String {
    let endpoints = [
        "/crm/v3/objects/contacts/jane%40example.com?idProperty=email&properties=phone,email",
        "https://api.hubapi.com/crm/v4/objects/call/1/associations/default/deal/2",
        "https://api.hubapi.com:443/contacts/v1/lists/all/contacts/all?vidOffset=10&hapikey=x",
        "https://user:x@api-eu1.hubapi.com/engagements/v1/engagements?access_token=x;a=1",
        "/oauth/2026-03/token",
        "/appinstalls/v3/external-install",
    ];
    let mut endpoint: Vec<char> = numbers.of(&endpoints).chars().collect();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(endpoint.len());
        let with: String = match numbers.below(8) {
            0 => format!("%{:02x}", u32::from(endpoint[at]) & 0xff),
            1 => format!("%25{:02X}", u32::from(endpoint[at]) & 0xff),
            2 => numbers.of(&SLASHES).to_owned(),
            3 => format!("{}{}", numbers.of(&SLASHES), numbers.of(&NAMES)),
            4 => format!("@{}", numbers.of(&AUTHORITIES)),
            5 => numbers.character(0x11_0000),
            6 => numbers.character(0x100),
            _ => String::new(),
        };
        let end = (at + numbers.below(3)).min(endpoint.len());
        endpoint.splice(at..end, with.chars());
        endpoint.push(' '); // never empty, and dropped by the guard
    }
    endpoint.into_iter().collect()
}

#[test]
fn endpoints_spoilt_at_random_stay_on_the_origin() {
    let mut tally = Tally::new("hostile endpoints: spoilt at random");
    let mut numbers = Numbers(4);
    for _ in 0..50_000 * rounds() {
        let endpoint = spoilt(&mut numbers);
        tally.input(&endpoint, || judged("POST", &endpoint));
    }
    tally.finish(50_000);
}

#[test]
fn hostile_texts_in_every_field_never_get_through() {
    let mut tally = Tally::new("hostile texts of our own, in every field");
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
        attack(&mut tally, text);
    }
    tally.finish(700);
}

#[test]
fn foreign_attack_inputs_never_get_through() {
    let mut tally = Tally::new("foreign attack inputs, in every field");
    let texts = foreign::all_texts();
    for text in &texts {
        attack(&mut tally, text);
    }
    tally.finish(if texts.is_empty() { 0 } else { 50_000 });
}
