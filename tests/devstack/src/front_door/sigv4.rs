//! Signature Version 4, by AWS's own signer.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::http::request::Parts;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::iam::key_of;
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

/// AWS refuses signatures that are older or younger, in seconds.
const TOLERANCE: u64 = 300;

impl AccessKey {
    /// The headers that sign a request to `host` at `now` (epoch seconds).
    ///
    /// # Panics
    /// It is no request.
    #[must_use]
    pub fn sign(&self, method: &str, host: &str, path: &str, body: &[u8], now: i64) -> Vec<(&'static str, String)> {
        let signed = self.signed(method, &format!("http://{host}{path}"), &[], body, now);
        signed.expect("a request can be signed")
    }

    /// The headers that a signature over further headers consists of.
    fn signed(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        now: i64,
    ) -> Option<Vec<(&'static str, String)>> {
        let identity = Credentials::new(&self.id, &self.secret, None, None, "local").into();
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(now).ok()?);
        let parameters = SigningParams::builder().identity(&identity).region(REGION).name("execute-api").time(time);
        let parameters = parameters.settings(SigningSettings::default()).build().ok()?.into();
        let request = SignableRequest::new(method, uri, headers.iter().copied(), SignableBody::Bytes(body)).ok()?;
        let (headers, _) = sign(request, &parameters).ok()?.into_parts().0.into_parts();
        Some(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}

/// Whose signature a request carries; none if it is unsigned, by an unknown key, too old or wrong.
pub(super) fn verify<'a>(keys: &'a [AccessKey], parts: &Parts, body: &[u8], now: i64) -> Option<&'a AccessKey> {
    let header = |name: &str| parts.headers.get(name)?.to_str().ok();
    let authorization = header("authorization")?;
    let key = keys.iter().find(|key| key.id == key_of(authorization))?;
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", header("x-amz-date")?).ok()?;
    let at = TimeZone::UTC.to_timestamp(date).ok()?.as_second();
    // The signer adds the date itself.
    let names = authorization.split_once("SignedHeaders=")?.1.split(',').next()?.split(';');
    let names = names.filter(|name| *name != "x-amz-date");
    let headers = names.map(|name| Some((name, header(name)?))).collect::<Option<Vec<_>>>()?;
    let uri = format!("http://{}{}", header("host")?, parts.uri.path_and_query()?);
    let signed = key.signed(parts.method.as_str(), &uri, &headers, body, at)?;
    let good = signed.iter().any(|(name, value)| *name == "authorization" && value == authorization);
    (good && now.abs_diff(at) <= TOLERANCE).then_some(key)
}
