//! Where a request goes: parsed from what a customer wrote, repaired as ordinary clients do, else refused.
//!
//! Invariant: a [`Target`] is on the one configured origin. The host that a customer wrote is compared with a list
//! and then forgotten; only path and query enter the URL that is sent, and what was validated is sent unchanged.

use std::fmt;

use crate::refusal::Refusal;
use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::credentials;
use crate::hubs::Hub;
use crate::reads::post_reads;

/// The domains that automations name HubSpot's API by, with a regional form `api-{hub}.…` each; all of them mean the
/// one origin.
const DOMAINS: [&str; 2] = ["hubapi.com", "hubspot.com"];

/// Longest URL, in bytes: the HTTP client takes less than 64 KiB, and HubSpot no more than this.
pub(crate) const MAX_URL_BYTES: usize = 32_768;

/// How often a path may be percent-encoded. Legitimate ones are once, by accident twice; what is still encoded after
/// so many rounds is refused unread.
const MAX_ENCODINGS: usize = 8;

/// Characters that a path may not contain raw: they are percent-encoded on the customer's behalf.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// The same for a query.
const QUERY: &AsciiSet = &PATH.add(b'\'');

/// The encoding of names and values of the field `query`. A comma stays, so that lists look as HubSpot writes them.
const PAIR: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',');

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

/// The parts of an endpoint after the host.
struct Place<'a> {
    /// Empty, or from `/` or `?` on.
    rest: &'a str,
    has_userinfo: bool,
    hub: Option<Hub>,
}

fn after_host(endpoint: &str) -> Result<Place<'_>, Refusal> {
    if endpoint.starts_with('/') && !endpoint.starts_with("//") {
        return Ok(Place { rest: endpoint, has_userinfo: false, hub: None });
    }
    let Some((scheme, rest)) = endpoint.split_once("://") else {
        return Err(invalid("a path that begins with one `/`, or a URL of HubSpot's API, is expected"));
    };
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(not_allowed("only https URLs of HubSpot's API and paths are accepted")),
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // Clients differ in which `@` ends the userinfo; the host after the last one has to be listed either way.
    let (has_userinfo, host) = authority.rsplit_once('@').map_or((false, authority), |(_, host)| (true, host));
    let host = host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    let hub = api_host(&host).ok_or_else(|| not_allowed(wrong_host(&host)))?;
    // HubSpot's own samples have a second slash after the host. Further on, an empty segment may be a lost value.
    let rest = rest.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(rest);
    Ok(Place { rest, has_userinfo, hub })
}

/// The hub of one of the API's hosts; `None` for any other host.
fn api_host(host: &str) -> Option<Option<Hub>> {
    let (name, domain) = host.split_once('.')?;
    match name.strip_prefix("api-") {
        _ if !DOMAINS.contains(&domain) => None,
        None => (name == "api").then_some(None),
        Some(hub) => Hub::parse(hub).map(Some),
    }
}

/// The problem with a host, and its remedy.
fn wrong_host(host: &str) -> &'static str {
    let domain = host.split_once('.').map_or("", |(_, domain)| domain);
    if domain == "hsforms.com" || host == "forms.hubspot.com" {
        "form submissions have a host of their own, which takes no token here; \
         send them to https://api.hsforms.com/submissions/v3/integration/submit/{portalId}/{formId} directly"
    } else if domain == "hubspot.com" && (host.starts_with("app.") || host.starts_with("app-")) {
        "this is a HubSpot page, not the API; use the API's path, such as /crm/v3/objects/contacts/{contactId}"
    } else if host.contains("hubspotusercontent") || domain.ends_with("amazonaws.com") {
        "a download link needs no authorization; open it directly, without this service"
    } else {
        "not a host and port of the HubSpot API; use a path, or https://api.hubapi.com"
    }
}

/// Refuses a path that HubSpot's servers might read differently from us, and those that no automation may call.
fn check_path(path: &str) -> Result<(), Refusal> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(invalid("a path that begins with `/` is expected after the host"));
    };
    if path.contains(';') {
        return Err(invalid("a `;` in the path is not allowed; write %3B if it belongs to a value"));
    }
    let mut inner = segments.split('/');
    inner.next_back(); // HubSpot's own client calls `/crm/v3/owners/`
    if inner.any(str::is_empty) {
        return Err(invalid("an empty path segment (`//`) is not allowed; a variable in it may have been empty"));
    }
    if path.split('%').skip(1).any(|after| !starts_with_two_digits(after)) {
        return Err(invalid("a `%` in the path needs two hexadecimal digits; write %25 for the sign itself"));
    }

    let mut text = path.to_owned();
    for _ in 0..=MAX_ENCODINGS {
        check_reading(&text)?;
        let next = percent_decode_str(&text)
            .decode_utf8()
            .map_err(|_| invalid("percent-encodings in the path have to be UTF-8"))?
            .into_owned();
        if next == text {
            return Ok(());
        }
        text = next;
    }
    Err(invalid("the path is percent-encoded too many times; once is expected"))
}

/// Checks one reading of the path: as it is sent, or after some rounds of decoding.
fn check_reading(path: &str) -> Result<(), Refusal> {
    let path: String = credentials::fold(path).collect();
    if path.chars().any(char::is_control) {
        return Err(invalid("control characters (raw or percent-encoded) are not allowed in the path; leave them out"));
    }
    if path.contains('\\') {
        return Err(invalid("backslashes (raw or percent-encoded) are not allowed in the path; leave them out"));
    }
    // Servers strip path parameters, some before they resolve dots; and a decoded `?` or `#` may end a path.
    let names = path.split('/').map(|segment| segment.split([';', '?', '#']).next().unwrap_or_default().trim());
    let mut first = true;
    for name in names {
        if matches!(name, "." | "..") {
            return Err(invalid("`.` and `..` segments are not allowed in any encoding; write the path without them"));
        }
        if (first && name == "oauth") || name == "external-install" {
            return Err(not_allowed(
                "automations cannot use OAuth and app installation; every other path of the HubSpot API is accepted",
            ));
        }
        first &= name.is_empty();
    }
    Ok(())
}

/// Names and values as they are appended to a URL. They are measured while they are taken: a name that is repeated for
/// every value of a list would otherwise grow to the product of both.
#[derive(Default)]
pub(crate) struct EncodedQuery(String);

impl EncodedQuery {
    /// Appends a parameter, or refuses it where no URL has room for it.
    pub(crate) fn push(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        if self.0.len() + name.len() + value.len() > MAX_URL_BYTES {
            return Err(too_large());
        }
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(utf8_percent_encode(name, PAIR));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, PAIR));
        if self.0.len() > MAX_URL_BYTES { Err(too_large()) } else { Ok(()) }
    }
}

/// The query to send, if there is one, and the names of the credentials that were in it.
fn build_query(own: Option<&str>, more: &EncodedQuery) -> Result<(Option<String>, Vec<&'static str>), Refusal> {
    let mut query = own.map(repaired_query);
    if !more.0.is_empty() {
        let query = query.get_or_insert_default();
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&more.0);
    }
    let Some(query) = query else { return Ok((None, Vec::new())) };
    let cleaned = credentials::clean(query.as_bytes());
    let rest = cleaned.rest.map(|rest| String::from_utf8(rest.into_owned())).transpose();
    Ok((rest.map_err(|_| invalid("the query is not UTF-8"))?, cleaned.dropped))
}

/// Percent-encodes what a query may not carry raw, a `%` that begins no encoding included.
fn repaired_query(query: &str) -> String {
    let mut parts = query.split('%');
    let mut repaired = utf8_percent_encode(parts.next().unwrap_or_default(), QUERY).to_string();
    for part in parts {
        repaired.push_str(if starts_with_two_digits(part) { "%" } else { "%25" });
        repaired.extend(utf8_percent_encode(part, QUERY));
    }
    repaired
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
