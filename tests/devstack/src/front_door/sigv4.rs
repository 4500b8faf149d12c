//! Signature Version 4, as far as API Gateway's IAM authorization needs it.

use axum::http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};

use super::time::amz_date;
use crate::template::REGION;

/// A key with which requests are signed, and whose it is.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// `ASIA…`
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// Whose it is: `arn:aws:sts::…:assumed-role/NAME/SESSION`.
    pub user_arn: String,
}

const SERVICE: &str = "execute-api";
/// Everything but RFC 3986's unreserved characters and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// AWS refuses signatures that are older or younger, in seconds.
const TOLERANCE: i64 = 300;

/// The signed parts of a request.
pub(super) struct Parts<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl AccessKey {
    /// The headers that sign a request to `host` at `now` (epoch seconds).
    #[must_use]
    pub fn sign(&self, method: &str, host: &str, path: &str, body: &[u8], now: i64) -> Vec<(&'static str, String)> {
        let date = amz_date(now);
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", host), ("x-amz-date", date.as_str())] {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        let parts = Parts { method, path, query: "", headers: &headers, body };
        let scope = format!("{}/{REGION}/{SERVICE}/aws4_request", &date[..8]);
        let signed = "host;x-amz-date";
        let signature = self.signature(&parts, &date, &scope, signed).unwrap_or_default();
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}", self.id);
        vec![("x-amz-date", date), ("authorization", authorization)]
    }

    fn signature(&self, parts: &Parts<'_>, date: &str, scope: &str, signed: &str) -> Option<String> {
        let mut canonical = format!("{}\n{}\n", parts.method, utf8_percent_encode(parts.path, PATH));
        let mut query: Vec<String> =
            parts.query.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        query.iter_mut().filter(|part| !part.contains('=')).for_each(|part| part.push('='));
        query.sort_unstable();
        canonical += &format!("{}\n", query.join("&"));
        for name in signed.split(';') {
            let values: Option<Vec<&str>> =
                parts.headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
            let values: Vec<String> =
                values?.iter().map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            (!values.is_empty()).then_some(())?;
            canonical += &format!("{name}:{}\n", values.join(","));
        }
        canonical += &format!("\n{signed}\n{}", hash(parts.body));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(canonical.as_bytes()));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part.as_bytes());
        }
        Some(hex(&mac(&key, text.as_bytes())))
    }
}

/// Whose signature a request carries; none if it is unsigned, by an unknown key, too old or wrong.
pub(super) fn verify<'a>(keys: &'a [AccessKey], parts: &Parts<'_>, now: i64) -> Option<&'a AccessKey> {
    let header = parts.headers.get("authorization")?.to_str().ok()?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| header.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let (id, scope) = field("Credential")?.split_once('/')?;
    let key = keys.iter().find(|key| key.id == id)?;
    let date = parts.headers.get("x-amz-date")?.to_str().ok()?;
    let fresh = [now - TOLERANCE, now + TOLERANCE].map(amz_date);
    let in_time = fresh[0].as_str() <= date && date <= fresh[1].as_str();
    let own_scope = scope == format!("{}/{REGION}/{SERVICE}/aws4_request", date.get(..8)?);
    let signed = field("SignedHeaders")?;
    let good = in_time && own_scope && signed.split(';').any(|name| name == "host");
    (good && key.signature(parts, date, scope, signed)? == field("Signature")?).then_some(key)
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
