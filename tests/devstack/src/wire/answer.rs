//! An emulator's answer.

use serde_json::Value;

/// An HTTP answer. `Content-Length` is added unless a header says otherwise, so a wrong one can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers in the order in which they go out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An empty answer.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A JSON answer, typed as HubSpot does.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).header("content-type", "application/json;charset=utf-8").body(body.to_string())
    }

    /// An HTML answer.
    #[must_use]
    pub fn html(status: u16, body: &str) -> Self {
        Self::new(status).header("content-type", "text/html; charset=utf-8").body(body)
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::new(status).header("location", to)
    }

    /// The answer of this status that says it is gzip and is not: a client that unpacks it unasked fails.
    #[must_use]
    pub fn declared_gzip(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status).header("content-type", "application/json").header("content-encoding", "gzip").body(body)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// The head; `chunked` and `length` frame a body that is sent by other means.
    pub(crate) fn head(&self, framing: &Framing, close: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = self.has("content-length") || self.has("transfer-encoding") || self.status == 204;
        match framing {
            _ if framed => {}
            Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Framing::Length(length) => head.push_str(&format!("content-length: {length}\r\n")),
        }
        if close && !self.has("connection") {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Head and body as they belong on the wire. `body_too` is false for an answer to HEAD.
    pub(crate) fn bytes(&self, close: bool, body_too: bool) -> Vec<u8> {
        let mut bytes = self.head(&Framing::Length(self.body.len()), close);
        if body_too && self.status != 204 && self.status != 304 {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// How the body's end is marked.
pub(crate) enum Framing {
    /// By `Transfer-Encoding: chunked`.
    Chunked,
    /// By `Content-Length`.
    Length(usize),
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        207 => "Multi-Status",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        415 => "Unsupported Media Type",
        423 => "Locked",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
