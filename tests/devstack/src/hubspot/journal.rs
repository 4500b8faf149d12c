//! The requests that the emulator got, byte for byte.

use serde_json::Value;

/// A request as it came over the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The method; empty for bytes that are no request.
    pub method: String,
    /// The target of the request line, untouched.
    pub target: String,
    /// Headers in order, names in the case in which they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, without the framing of its transfer.
    pub body: Vec<u8>,
    /// Everything, head and framing included.
    pub raw: Vec<u8>,
    /// When it came, by the emulator's clock, in milliseconds since the epoch.
    pub at: i64,
    /// The number of the connection that brought it, from 1 on.
    pub connection: u64,
    /// True if all of it came and was well-formed.
    pub complete: bool,
}

impl RecordedRequest {
    /// The target without its query, untouched.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, untouched, without its question mark; empty if absent.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The query, decoded.
    #[must_use]
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        pairs(self.query().as_bytes())
    }

    /// The body as a form, decoded.
    #[must_use]
    pub fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers_named(name).first().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All headers of this name, in whatever case.
    #[must_use]
    pub fn headers_named(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// Returns true if these bytes stand anywhere in it: request line, headers, framing or body.
    #[must_use]
    pub fn contains(&self, bytes: impl AsRef<[u8]>) -> bool {
        let wanted = bytes.as_ref();
        !wanted.is_empty() && self.raw.windows(wanted.len()).any(|window| window == wanted)
    }

    /// Returns true if it only opens a connection.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.method == "HEAD" && self.target == "/"
    }

    /// Returns true if it belongs to OAuth and not to the API.
    #[must_use]
    pub fn is_oauth(&self) -> bool {
        self.path().starts_with("/oauth/")
    }

    /// Returns true if it asks the token endpoint for tokens.
    #[must_use]
    pub fn is_token(&self) -> bool {
        self.is_oauth() && self.path().ends_with("/token")
    }
}

/// The decoded pairs of a query or a form.
pub(super) fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}
