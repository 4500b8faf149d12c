//! Our JSON around HubSpot's, within what Lambda returns.

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use guard::scopes::Remedy;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::error::RequestOutcome;
use shared::integration::IntegrationId;

use crate::reply::Reply;

/// The most bytes of an answer as Lambda serialises it: its limit is 6 MB.
pub(super) const LARGEST_ANSWER: usize = 6_000_000;

/// Our JSON around HubSpot's.
#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    pub(super) execution_id: &'a str,
    pub(super) integration_id: &'a IntegrationId,
    pub(super) outcome: RequestOutcome,
    pub(super) retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_seconds: Option<u64>,
    pub(super) attempts: u32,
    pub(super) duration_ms: i64,
    pub(super) ignored_credentials: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_ignored: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing_scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) granted_scopes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<Remedy>,
    pub(super) hubspot: HubspotAnswer<'a>,
}

#[derive(Serialize)]
pub(super) struct HubspotAnswer<'a> {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<&'a str, String>,
    #[serde(flatten)]
    pub(super) body: Option<ReplyBody<'a>>,
}

#[derive(Serialize)]
pub(super) enum ReplyBody<'a> {
    #[serde(rename = "body")]
    Json(&'a RawValue),
    #[serde(rename = "body_text")]
    Text(&'a str),
    #[serde(rename = "body_base64")]
    Base64(String),
    #[serde(rename = "body_omitted")]
    Omitted(&'static str),
}

impl ReplyBody<'_> {
    pub(super) const TOO_LARGE: Self = Self::Omitted("too_large");
}

impl Envelope<'_> {
    /// The whole answer, unless it is too large for Lambda.
    pub(super) fn text(&self) -> Option<String> {
        let mut json = BoundedJson { text: Vec::new(), serialised: 2 };
        serde_json::to_writer(&mut json, self).ok()?;
        String::from_utf8(json.text).ok()
    }

    pub(super) fn text_without_body(&mut self) -> String {
        self.hubspot.body = Some(ReplyBody::TOO_LARGE);
        self.text().unwrap_or_default()
    }
}

/// The body of HubSpot's answer, as JSON, text or base64; `None` for an empty body.
pub(super) fn reply_body<'a>(reply: &Reply, body: &'a [u8]) -> Option<ReplyBody<'a>> {
    if body.is_empty() {
        return None;
    }
    let Ok(text) = std::str::from_utf8(body) else { return Some(ReplyBody::Base64(STANDARD.encode(body))) };
    let kind = reply.content_type();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) if is_json => Some(ReplyBody::Json(json)),
        _ => Some(ReplyBody::Text(text)),
    }
}

/// JSON that stops being written as soon as it gets too large for Lambda: written whole, a body of control characters
/// would take six times its memory first.
struct BoundedJson {
    text: Vec<u8>,
    serialised: usize,
}

impl io::Write for BoundedJson {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.serialised += serialised_len(bytes);
        if self.serialised > LARGEST_ANSWER {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of a text within the JSON string that Lambda makes of it.
fn serialised_len(text: &[u8]) -> usize {
    let escaped = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.iter().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_what_lambda_serialises() {
        for text in ["", "plain", "\"quoted\" \\ and \n\t\r\u{1}\u{8}\u{c}", "ünïcode"] {
            assert!(serialised_len(text.as_bytes()) + 2 >= serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
        assert_eq!(serialised_len(b"a\"\n\x01"), 11);
    }

    #[test]
    fn a_body_is_json_only_where_it_says_so_and_is() {
        let reply = |kind: &str| Reply {
            status: 200,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            body: Vec::new(),
            omitted: false,
            received_at: 0,
        };

        assert!(matches!(
            reply_body(&reply("application/json;charset=utf-8"), b"{\"n\":1.0e2}"),
            Some(ReplyBody::Json(_))
        ));
        assert!(matches!(reply_body(&reply("application/json"), b"{"), Some(ReplyBody::Text("{"))));
        assert!(matches!(reply_body(&reply("text/html"), b"{}"), Some(ReplyBody::Text("{}"))));
        assert!(matches!(reply_body(&reply("application/json"), b"\xff"), Some(ReplyBody::Base64(_))));
        assert!(reply_body(&reply("application/json"), b"").is_none());
    }

    #[test]
    fn a_text_is_taken_up_to_lambdas_limit_and_not_a_byte_beyond() {
        let mut limited = BoundedJson { text: Vec::new(), serialised: LARGEST_ANSWER - 3 };

        assert_eq!(
            io::Write::write(&mut limited, b"ab\n").map_err(|error| error.kind()),
            Err(io::ErrorKind::FileTooLarge)
        );
        let mut limited = BoundedJson { text: Vec::new(), serialised: LARGEST_ANSWER - 3 };
        assert_eq!(io::Write::write(&mut limited, b"abc").unwrap(), 3);
        assert_eq!(limited.text, b"abc");
        assert!(io::Write::write(&mut limited, b"d").is_err());
    }
}
