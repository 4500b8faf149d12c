//! Where a request goes: parsed from what a customer wrote, repaired as ordinary clients do, else refused.
//!
//! Invariant: a [`Target`] is on the one configured origin. The host that a customer wrote is compared with a list
//! and then forgotten; only path and query enter the URL that is sent, and what was validated is sent unchanged.

mod host;
mod path;
mod query;

use std::fmt;

use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use self::host::{Place, after_host};
use self::path::check_path;
pub(crate) use self::query::EncodedQuery;
use self::query::build_query;
use crate::credentials;
use crate::hubs::Hub;
use crate::reads::post_reads;
use crate::refusal::Refusal;

/// Longest URL, in bytes: the HTTP client takes less than 64 KiB, and HubSpot no more than this.
pub(crate) const MAX_URL_BYTES: usize = 32_768;

/// Characters that a path may not contain raw: they are percent-encoded on the customer's behalf.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// A method and a URL of HubSpot's API, without any credential of the customer.
#[derive(Clone)]
pub struct Target {
    method: Method,
    url: Url,
    ignored_query: Vec<&'static str>,
    has_userinfo: bool,
    hub: Option<Hub>,
}

impl Target {
    /// Parses what a customer wrote; `query` holds further parameters, not yet encoded.
    ///
    /// # Errors
    /// `invalid_request` for what is malformed or ambiguous, `endpoint_not_allowed` for another host, scheme or port
    /// and for the paths that no automation may call, `request_too_large` beyond 32 KiB.
    pub fn parse(origin: &Url, method: &str, endpoint: &str, query: &[(String, String)]) -> Result<Self, Refusal> {
        let mut encoded = EncodedQuery::default();
        query.iter().try_for_each(|(name, value)| encoded.push(name, value))?;
        Self::with_query(origin, method, endpoint, &encoded)
    }

    pub(crate) fn with_query(
        origin: &Url,
        method: &str,
        endpoint: &str,
        query: &EncodedQuery,
    ) -> Result<Self, Refusal> {
        let method = parse_method(method)?;
        let endpoint = endpoint.trim();
        let endpoint = endpoint.split('#').next().unwrap_or_default();
        if endpoint.len() > MAX_URL_BYTES {
            return Err(too_large());
        }
        if endpoint.chars().any(char::is_control) {
            return Err(invalid("control characters are not allowed; leave them out"));
        }
        if endpoint.contains('\\') {
            return Err(invalid("backslashes are not allowed; write `/`"));
        }
        let Place { rest, has_userinfo, hub } = after_host(endpoint)?;
        let (path, own_query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let path = utf8_percent_encode(path, PATH).to_string();
        if path.len() > MAX_URL_BYTES {
            return Err(too_large());
        }
        check_path(&path)?;

        let (query, ignored_query) = build_query(own_query, query)?;
        let url = build_url(origin, &path, query.as_deref())?;
        Ok(Self { method, url, ignored_query, has_userinfo, hub })
    }

    /// GET, POST, PUT, PATCH or DELETE.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URL to send to, on the configured origin.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL's path, as it is sent.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The credentials that were dropped, as answers name them (`query:…`, `userinfo`).
    pub fn ignored(&self) -> Vec<String> {
        let query = self.ignored_query.iter().map(|name| format!("query:{name}"));
        query.chain(self.has_userinfo.then(|| "userinfo".to_owned())).collect()
    }

    /// The credentials that were dropped from the query; a name may occur twice.
    pub(crate) fn ignored_query(&self) -> &[&'static str] {
        &self.ignored_query
    }

    /// Returns true if the URL had userinfo, which was dropped.
    pub(crate) fn has_userinfo(&self) -> bool {
        self.has_userinfo
    }

    /// The hub whose host the customer wrote: a hint where nothing better is known, never a place to send to.
    pub fn hub_hint(&self) -> Option<Hub> {
        self.hub
    }

    /// Returns true if HubSpot only reads: GET, and the POSTs that HubSpot documents as searches and batch reads.
    pub fn is_read(&self) -> bool {
        self.method == Method::GET || (self.method == Method::POST && post_reads(self.path()))
    }

    /// Returns true if it is a search of the CRM, which has a rate limit of its own; a slash at the end changes nothing.
    pub fn is_search(&self) -> bool {
        let path = self.path().strip_suffix('/').unwrap_or(self.path());
        self.method == Method::POST && path.starts_with("/crm/") && path.ends_with("/search") && post_reads(path)
    }

    /// Returns true if sending it twice does what sending it once does: GET, PUT, DELETE, and POSTs that read.
    pub fn is_idempotent(&self) -> bool {
        self.is_read() || self.method == Method::PUT || self.method == Method::DELETE
    }
}

/// Prints no path and no query: both may hold e-mail addresses.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("method", &self.method).field("ignored", &self.ignored()).finish_non_exhaustive()
    }
}

fn parse_method(text: &str) -> Result<Method, Refusal> {
    match text.trim().to_ascii_uppercase().as_str() {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(Refusal::InvalidRequest("request.method: GET, POST, PUT, PATCH or DELETE is expected".to_owned())),
    }
}

/// Puts the URL together, and refuses it unless the HTTP client's own parser leaves every byte of it alone.
///
/// No input is known that gets this far and does not survive: this is the second line, for the day one is found.
fn build_url(origin: &Url, path: &str, query: Option<&str>) -> Result<Url, Refusal> {
    let mut text = origin.origin().ascii_serialization();
    text.push_str(path);
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    if text.len() > MAX_URL_BYTES {
        return Err(too_large());
    }
    let url = Url::parse(&text).map_err(|_| invalid("not a valid URL"))?;
    let survived =
        url.as_str() == text && url.origin() == origin.origin() && url.path() == path && url.query() == query;
    if survived { Ok(url) } else { Err(invalid("it can be read in more than one way")) }
}

fn starts_with_two_digits(text: &str) -> bool {
    matches!(text.as_bytes(), [high, low, ..] if credentials::hex(*high).is_some() && credentials::hex(*low).is_some())
}

fn invalid(detail: &str) -> Refusal {
    Refusal::InvalidRequest(format!("request.endpoint: {detail}"))
}

fn not_allowed(detail: &str) -> Refusal {
    Refusal::EndpointNotAllowed(format!("request.endpoint: {detail}"))
}

pub(crate) fn too_large() -> Refusal {
    Refusal::RequestTooLarge("request.endpoint: endpoint and query may have 32 KiB together".to_owned())
}
