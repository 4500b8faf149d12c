//! Bodies and headers as no API should answer, and the token wherever HubSpot may echo it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use devstack::hubspot::{Fault, Match};
use devstack::wire::Answer as Answered;
use serde_json::{Value, json};

use super::{access_token, connected, only_request, to};
use crate::world::{Answer, World};

/// The output of `printf '{"total":1}' | gzip -n`.
const GZIP: [u8; 31] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0x56, 0x2a, 0xc9, 0x2f, 0x49, 0xcc, 0x51, 0xb2,
    0x32, 0xac, 0x05, 0x00, 0x33, 0x28, 0xcb, 0x15, 0x0b, 0x00, 0x00, 0x00,
];

async fn answer_to_a_read(world: &World, fault: Fault) -> Answer {
    world.stack.hubspot.clear_scripts();
    world.stack.hubspot.script_always(Match::api(), fault);
    world.execute(&to("GET", "/crm/v3/objects/contacts")).await
}

async fn answered(world: &World, answered: Answered) -> Answer {
    answer_to_a_read(world, Fault::Answer(answered)).await
}

/// HubSpot's answer without its headers.
fn said(answer: &Answer) -> Value {
    let mut hubspot = answer.body["hubspot"].clone();
    hubspot.as_object_mut().unwrap().remove("headers");
    hubspot
}

fn raw(text: &str) -> Fault {
    Fault::Raw(text.as_bytes().to_vec())
}

#[tokio::test]
async fn statuses_without_a_body_have_none_whatever_their_headers_say() {
    let world = connected().await;
    let cases = [
        ("204 No Content\r\ncontent-length: 5\r\n\r\nhello", json!({"status": 204})),
        ("204 No Content\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", json!({"status": 204})),
        ("304 Not Modified\r\ncontent-length: 5\r\netag: \"1\"\r\n\r\n", json!({"status": 304})),
        ("200 OK\r\ncontent-length: 0\r\n\r\n", json!({"status": 200})),
        ("205 Reset Content\r\ncontent-length: 0\r\n\r\n", json!({"status": 205})),
        ("200 OK\r\n\r\n", json!({"status": 200})),
        ("524 \r\ncontent-length: 2\r\n\r\nno", json!({"status": 524, "body_text": "no"})),
        ("999 Odd\r\ncontent-length: 2\r\n\r\nno", json!({"status": 999, "body_text": "no"})),
        // The last one: it pauses the portal.
        ("477 Moving\r\ncontent-length: 2\r\n\r\nno", json!({"status": 477, "body_text": "no"})),
    ];

    for (text, expected) in cases {
        let answer = answer_to_a_read(&world, raw(&format!("HTTP/1.1 {text}"))).await;

        assert_eq!(said(&answer), expected, "{text}: {}", answer.text);
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let world = connected().await;
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
    let last = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";

    let answer = answer_to_a_read(&world, raw(&format!("{interim}{last}"))).await;

    assert_eq!(said(&answer), json!({"status": 201, "body": {}}), "{}", answer.text);
    assert_eq!(answer.body["hubspot"]["headers"], json!({"content-type": "application/json"}));
}

#[tokio::test]
async fn a_compressed_body_that_nobody_asked_for_is_handed_on_as_it_is() {
    let world = connected().await;
    let body = Answered::new(200).header("content-type", "application/json").body(GZIP);

    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        world.stack.hubspot.forget_requests();
        let answer = answered(&world, body.clone().header("content-encoding", encoding)).await;

        assert_eq!(said(&answer), json!({"status": 200, "body_base64": STANDARD.encode(GZIP)}), "{encoding}");
        assert_eq!(only_request(&world).header("accept-encoding"), None);
    }
}

#[tokio::test]
async fn bodies_that_are_no_text_or_no_json_come_back_unharmed() {
    let world = connected().await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let json: [&[u8]; 3] = [b"\xef\xbb\xbf{}", b"{\"a\":\"\x01\"}", deep.as_bytes()];
    let all = (0..=255).collect::<Vec<u8>>();
    let latin = b"caf\xe9";

    for body in json {
        let answer = answered(&world, Answered::new(200).header("content-type", "application/json").body(body)).await;
        let text = answer.body["hubspot"]["body_text"].as_str().map(str::as_bytes);
        let same = text == Some(body) || answer.text.contains(&format!("\"body\":{}", String::from_utf8_lossy(body)));
        assert!(same, "{:.200}", answer.text);
    }
    for body in [all.as_slice(), latin] {
        let answer = answered(&world, Answered::html(200, "").body(body)).await;
        assert_eq!(said(&answer), json!({"status": 200, "body_base64": STANDARD.encode(body)}));
    }
}

#[tokio::test]
async fn large_and_many_headers_are_handed_on_or_end_as_a_lost_answer() {
    let world = connected().await;
    let large = |size: usize| Answered::json(200, &json!({})).header("x-hubspot-large", &"x".repeat(size));
    let many = |count: usize| {
        (0..count).fold(Answered::json(200, &json!({})), |answer, at| answer.header(&format!("x-hubspot-{at}"), "y"))
    };

    for (given, headers) in [(large(8_000), 2), (large(100_000), 2), (many(80), 81)] {
        let answer = answered(&world, given).await;
        assert_eq!(answer.body["hubspot"]["headers"].as_object().unwrap().len(), headers);
        assert_eq!(answer.body["outcome"], "answered");
    }
    for given in [large(2_000_000), many(5_000)] {
        let answer = answered(&world, given).await;
        assert_eq!((answer.code(), &answer.body["outcome"]), ("hubspot_unreachable", &json!("unknown")));
    }
}

#[tokio::test]
async fn a_header_that_is_no_text_or_comes_twice_does_no_harm() {
    let world = connected().await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-hubspot-a: caf\xe9\r\nx-hubspot-b: 1\r\nx-hubspot-b: 2\r\n";
    let bytes = [head.as_slice(), b"retry-after: soon\r\netag:\r\n\r\n{}"].concat();

    let answer = answer_to_a_read(&world, Fault::Raw(bytes)).await;

    let headers = &answer.body["hubspot"]["headers"];
    assert_eq!(said(&answer), json!({"status": 200, "body_text": "{}"}));
    assert_eq!((&headers["x-hubspot-a"], &headers["etag"]), (&json!("caf\u{fffd}"), &json!("")));
    assert!(["1", "2"].iter().any(|one| headers["x-hubspot-b"] == **one));
}

/// The spellings in which the token may come back.
fn spellings(token: &str) -> Vec<String> {
    let every = |encode: fn(u8) -> String| token.bytes().map(encode).collect::<String>();
    let percent: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let mut spellings = vec![
        token.to_owned(),
        format!("Bearer {token}"),
        percent.to_lowercase().replace(&token.to_lowercase(), token),
        every(|byte| format!("%{byte:02x}")),
        every(|byte| format!("%{byte:02X}")),
        every(|byte| format!("%25{byte:02X}")),
        every(|byte| format!("\\u{byte:04x}")),
        every(|byte| format!("\\u{byte:04X}")),
        every(|byte| format!("&#{byte};")),
        every(|byte| format!("&#x{byte:X};")),
        token.replace('-', "\\u002d").replace('=', "\\u003d").replace('/', "\\/"),
        percent,
    ];
    for around in ["", "a", "ab", "Authorization: Bearer "] {
        spellings.push(STANDARD.encode(format!("{around}{token}{around}")));
        spellings.push(URL_SAFE.encode(format!("{around}{token}{around}")));
    }
    spellings
}

/// Returns true if a text still holds the token, or most of it, once it is decoded.
fn betrays(text: &str, spelling: &str) -> bool {
    let middle = &spelling[spelling.len() / 4..spelling.len() * 3 / 4];
    text.contains(middle) || text.contains(&Value::from(middle).to_string().trim_matches('"').to_owned())
}

#[tokio::test]
async fn the_token_is_scrubbed_in_every_spelling_and_place() {
    let world = connected().await;
    let token = access_token(&world).await;
    let names = ["content-type", "etag", "last-modified", "location", "content-disposition", "x-hubspot-a"];

    for spelling in spellings(&token) {
        let json = Answered::new(200).header("content-type", "application/json");
        let json = json.body(format!("{{\"a\":\"{spelling}\",\"{spelling}\":[\"{spelling}{spelling}\"]}}"));
        let html = Answered::html(200, &format!("<p title=\"{spelling}\">{spelling}</p>"));
        let binary = Answered::new(200).body([b"\xff".as_slice(), spelling.as_bytes(), b"\xff"].concat());
        let headers = names.iter().fold(Answered::new(200), |answer, name| answer.header(name, &spelling));
        for given in [json, html, headers] {
            let answer = answered(&world, given.clone()).await;
            assert!(!betrays(&answer.text, &spelling), "{spelling} {given:?} {}", answer.text);
            assert_eq!(answer.status, 200);
        }
        let answer = answered(&world, binary).await;
        let shown = STANDARD.decode(answer.body["hubspot"]["body_base64"].as_str().unwrap()).unwrap();
        assert!(!betrays(&String::from_utf8_lossy(&shown), &spelling), "{spelling}: {shown:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_scrubbed_stays_json() {
    let world = connected().await;
    let token = access_token(&world).await;
    let body = format!(r#"{{"a":"\\{token}\\","b":"\"{token}\"","c":"\n{token}\u0000","d":[1]}}"#);
    let given = Answered::new(200).header("content-type", "application/json").body(body);

    let answer = answered(&world, given).await;

    assert_eq!(answer.body["hubspot"]["body"]["d"], json!([1]), "{}", answer.text);
    assert!(!answer.text.contains(&token));
}

#[tokio::test]
async fn a_token_that_comes_in_pieces_or_at_the_very_end_is_scrubbed() {
    let world = connected().await;
    let token = access_token(&world).await;
    let body = format!("{}{token}", "x".repeat(5_000_000));
    let pieces: String =
        format!("you sent {token}").bytes().map(|byte| format!("1\r\n{}\r\n", char::from(byte))).collect();
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{pieces}0\r\n\r\n");

    let long = answered(&world, Answered::html(200, &body)).await;
    let split = answer_to_a_read(&world, raw(&chunked)).await;

    let text = long.body["hubspot"]["body_text"].as_str().unwrap();
    assert!(text.ends_with("xx[REDACTED]") && text.len() == 5_000_010, "{}", text.len());
    assert_eq!(split.body["hubspot"]["body_text"], "you sent [REDACTED]");
}
