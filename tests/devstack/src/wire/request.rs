//! Reading requests off a socket, keeping every byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than any head or body that belongs here.
const LIMIT: usize = 64 * 1024 * 1024;

/// One connection.
pub(crate) struct Wire {
    pub(crate) socket: TcpStream,
    /// Read and not yet used.
    buffer: Vec<u8>,
    /// The bytes of the request so far.
    used: Vec<u8>,
}

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// As received, with the empty line that ends it.
    pub(crate) raw: Vec<u8>,
    pub(crate) keep_alive: bool,
    framing: BodyFraming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    Length(usize),
    Chunked,
}

/// The connection is over; `raw` is what had come of an unfinished or malformed request.
#[derive(Debug)]
pub(crate) struct ReadError {
    pub(crate) raw: Vec<u8>,
    /// True if the fault is in the bytes, and not just that they ended.
    pub(crate) malformed: bool,
}

impl Wire {
    pub(crate) const fn new(socket: TcpStream) -> Self {
        Self { socket, buffer: Vec::new(), used: Vec::new() }
    }

    /// The next request's head.
    pub(crate) async fn head(&mut self) -> Result<Head, ReadError> {
        self.used.clear();
        let end = self.end_of(b"\r\n\r\n", LIMIT).await?;
        let raw = self.exactly(end).await?;
        parse(&raw).ok_or_else(|| self.malformed())
    }

    /// The body that belongs to `head`, and the bytes of the whole request.
    pub(crate) async fn body(&mut self, head: &Head) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
        let expects = |(name, value): &(String, Vec<u8>)| {
            name.eq_ignore_ascii_case("expect") && value.eq_ignore_ascii_case(b"100-continue")
        };
        if head.headers.iter().any(expects) {
            let _ = self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let body = match head.framing {
            BodyFraming::Length(length) => self.exactly(length).await?,
            BodyFraming::Chunked => self.chunks().await?,
        };
        Ok((body, self.used.clone()))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await
    }

    /// Sends the last bytes of a connection on which more may still come: closed at once, it would be reset, and the
    /// client might never see them.
    pub(crate) async fn send_last(&mut self, bytes: &[u8]) {
        if self.send(bytes).await.is_ok() && self.socket.shutdown().await.is_ok() {
            self.until_gone().await;
        }
    }

    /// Reads whatever comes until the client goes away.
    pub(crate) async fn until_gone(&mut self) {
        let mut unwanted = [0; 4096];
        while self.socket.read(&mut unwanted).await.is_ok_and(|count| count > 0) {}
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub(crate) fn reset(self) {
        let _ = self.socket.set_zero_linger();
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        loop {
            let size = chunk_size(&self.line().await?).ok_or_else(|| self.malformed())?;
            if size == 0 {
                break;
            }
            match self.exactly(size + 2).await?.strip_suffix(b"\r\n") {
                Some(data) if body.len() + data.len() <= LIMIT => body.extend_from_slice(data),
                _ => return Err(self.malformed()),
            }
        }
        // Trailers, and the empty line after them.
        while self.line().await? != b"\r\n" {}
        Ok(body)
    }

    async fn line(&mut self) -> Result<Vec<u8>, ReadError> {
        let end = self.end_of(b"\r\n", 8192).await?;
        self.exactly(end).await
    }

    /// Where these bytes end, which have to come soon.
    async fn end_of(&mut self, wanted: &[u8], limit: usize) -> Result<usize, ReadError> {
        loop {
            if let Some(at) = find(&self.buffer, wanted) {
                return Ok(at + wanted.len());
            }
            if self.buffer.len() > limit {
                return Err(self.malformed());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        if length > LIMIT {
            return Err(self.malformed());
        }
        while self.buffer.len() < length {
            self.more().await?;
        }
        let bytes: Vec<u8> = self.buffer.drain(..length).collect();
        self.used.extend_from_slice(&bytes);
        Ok(bytes)
    }

    /// Reads on; the end of the stream is the end of the connection.
    async fn more(&mut self) -> Result<(), ReadError> {
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(count) if count > 0 => Ok(()),
            _ => Err(ReadError { malformed: false, ..self.malformed() }),
        }
    }

    fn malformed(&self) -> ReadError {
        ReadError { raw: [self.used.as_slice(), &self.buffer].concat(), malformed: true }
    }
}

/// Strict wherever two readers could differ about the end of a request: nothing is repaired.
fn parse(raw: &[u8]) -> Option<Head> {
    let text = raw.strip_suffix(b"\r\n\r\n")?;
    let mut lines = split(text);
    let mut parts = lines.next()?.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let keep_alive = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return None,
    };
    if parts.next().is_some() || !is_token(method) || target.is_empty() || target.iter().any(u8::is_ascii_control) {
        return None;
    }
    let headers: Vec<_> = lines.map(header).collect::<Option<_>>()?;
    let framing = framing(&headers)?;
    let closes = |(name, value): &(String, Vec<u8>)| {
        name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case(b"close")
    };
    Some(Head {
        method: String::from_utf8_lossy(method).into_owned(),
        target: String::from_utf8_lossy(target).into_owned(),
        keep_alive: keep_alive && !headers.iter().any(closes),
        framing,
        headers,
        raw: raw.to_vec(),
    })
}

fn header(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let harmless = !value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
    (is_token(name) && harmless).then(|| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

fn framing(headers: &[(String, Vec<u8>)]) -> Option<BodyFraming> {
    let all = |wanted: &str| -> Vec<&[u8]> {
        headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_slice())
            .collect()
    };
    match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Some(BodyFraming::Length(0)),
        ([length], []) if length.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(length).ok()?.parse().ok().map(BodyFraming::Length)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Some(BodyFraming::Chunked),
        _ => None,
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| matches!(byte, b';' | b'\r')).next()?;
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (plain && size <= LIMIT).then_some(size)
}

fn is_token(bytes: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(allowed)
}

/// The lines between CRLFs.
fn split(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let (line, rest) = match find(text, b"\r\n") {
            Some(at) => (&text[..at], &text[at + 2..]),
            None => {
                done = true;
                (text, &text[text.len()..])
            }
        };
        text = rest;
        Some(line)
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_its_bytes_its_order_and_the_case_of_its_names() {
        let raw = b"POST /a%2Fb?x=%3D HTTP/1.1\r\nHost: h\r\nX-One:  two \r\nx-one: \xff\r\nContent-Length: 3\r\n\r\n";

        let head = parse(raw).unwrap();

        assert_eq!((head.method.as_str(), head.target.as_str()), ("POST", "/a%2Fb?x=%3D"));
        assert_eq!(head.headers[1], ("X-One".to_owned(), b"two".to_vec()));
        assert_eq!(head.headers[2], ("x-one".to_owned(), vec![0xff]));
        assert_eq!((head.framing, head.raw.as_slice()), (BodyFraming::Length(3), raw.as_slice()));
    }

    #[test]
    fn a_head_about_whose_end_two_readers_could_differ_is_malformed() {
        let heads = [
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
        ];

        for head in heads {
            assert!(parse(head.as_bytes()).is_none(), "{head:?}");
        }
    }
}
