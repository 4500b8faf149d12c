//! Misbehaviour on demand.

use std::time::Duration;

use super::journal::RecordedRequest;
use crate::wire::Answer;

/// A condition on requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    area: Area,
    method: Option<String>,
    prefix: String,
    target: Option<String>,
    body: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Area {
    #[default]
    All,
    Token,
    Api,
}

impl Match {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests whose path begins so.
    #[must_use]
    pub fn path(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// Requests for tokens, by code or by refresh token.
    #[must_use]
    pub fn token() -> Self {
        Self { area: Area::Token, ..Self::default() }
    }

    /// Requests for tokens by refresh token.
    #[must_use]
    pub fn refresh() -> Self {
        Self::token().body("grant_type=refresh_token")
    }

    /// Requests for tokens by code.
    #[must_use]
    pub fn exchange() -> Self {
        Self::token().body("grant_type=authorization_code")
    }

    /// Requests of the API, which are all but those of OAuth.
    #[must_use]
    pub fn api() -> Self {
        Self { area: Area::Api, ..Self::default() }
    }

    /// Of these only those with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Of these only those whose target, query included, contains this text.
    #[must_use]
    pub fn target(mut self, text: &str) -> Self {
        self.target = Some(text.to_owned());
        self
    }

    /// Of these only those whose body contains this text.
    #[must_use]
    pub fn body(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self
    }

    /// Returns true if the head of a request says enough.
    pub(super) const fn is_by_head(&self) -> bool {
        self.body.is_none()
    }

    pub(super) fn fits(&self, request: &RecordedRequest) -> bool {
        self.fits_head(request) && self.body.as_deref().is_none_or(|text| request.text().contains(text))
    }

    pub(super) fn fits_head(&self, request: &RecordedRequest) -> bool {
        let area = match self.area {
            Area::All => true,
            Area::Token => request.is_token(),
            Area::Api => !request.is_oauth(),
        };
        let method = self.method.as_deref().is_none_or(|method| method == request.method);
        let target = self.target.as_deref().is_none_or(|text| request.target.contains(text));
        area && method && target && request.path().starts_with(&self.prefix)
    }
}

/// A fault of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it passes, so that a later one of the queue meets a later request.
    Pass,
    /// This answer, and nothing else happens.
    Answer(Answer),
    /// It takes effect, and then this answer comes.
    AnswerAfterEffect(Answer),
    /// Answers with everything that came, as JSON: target, headers and body, the token included.
    Echo,
    /// The connection closes when the head has come, the body unread. Not for a [`Match`] by body.
    CloseUnread,
    /// This answer comes when the head has come, the body unread, and nothing else happens. Not for a [`Match`] by
    /// body.
    AnswerUnread(Answer),
    /// The connection closes without an answer, before any effect.
    Close,
    /// The same by a reset.
    Reset,
    /// It takes effect, and the connection closes without an answer.
    CloseAfterEffect,
    /// It takes effect, and the connection closes after so many bytes of the answer, head included.
    Cut(usize),
    /// It takes effect, and the connection closes after the head and so many bytes of the body.
    CutBody(usize),
    /// It takes effect, and nothing comes after the head and so many bytes of the body, until the client goes away.
    StallBody(usize),
    /// It waits before it takes effect.
    Stall(Duration),
    /// It takes effect at once, and the answer waits.
    StallAnswer(Duration),
    /// It takes effect, and the body comes in pieces with pauses between them.
    Slow {
        /// Bytes in a piece.
        piece: usize,
        /// Before each piece.
        pause: Duration,
    },
    /// It takes effect, and the body never ends.
    Endless,
    /// It takes effect, and the body has so many bytes.
    Long(usize),
    /// It takes effect; `Content-Length` differs from the body's length by so much. The connection then closes.
    WrongLength(i64),
    /// These bytes instead of an answer; then the connection closes.
    Raw(Vec<u8>),
}

impl Fault {
    /// Returns true if it happens when the head of a request has come, the body unread.
    pub(super) const fn leaves_body_unread(&self) -> bool {
        matches!(self, Self::CloseUnread | Self::AnswerUnread(_))
    }

    /// An answer of this status with a body in HubSpot's shape, before any effect.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let category = if status == 429 { "RATE_LIMITS" } else { "INTERNAL_ERROR" };
        Self::Answer(super::problem::problem(status, category, "As a test asked for."))
    }

    /// HubSpot's 429 for `TEN_SECONDLY_ROLLING`, `SECONDLY` or `DAILY`.
    #[must_use]
    pub fn rate_limited(policy: &str) -> Self {
        Self::Answer(super::problem::rate_limited(policy))
    }

    /// The same with a header, if it is an answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(answer) | Self::AnswerAfterEffect(answer) = &mut self {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}
