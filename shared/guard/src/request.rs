//! The bodies of `POST /v1/automation-requests` and `POST /v1/automation-checks`, parsed.
//!
//! A [`Call`] has passed the guard: it can be sent as it is, with the OAuth token added.
//! Error texts name the field and what it may be, never its value.

mod call;

use url::Url;

pub use self::call::Call;
use crate::canonical::canonical;
use crate::fields::Fields;
use crate::ids::{AccountId, IntegrationId};
use crate::refusal::Refusal;

/// Largest request body that is accepted, in bytes.
pub const MAX_REQUEST_BYTES: usize = 1_048_576;

/// One request of the workflow engine: for whom, and what to send.
#[derive(Debug)]
pub struct AutomationRequest {
    /// The customer.
    pub account_id: AccountId,
    /// The instance that the automation belongs to; absent, the newest runs it.
    pub integration_id: Option<IntegrationId>,
    /// The automation, for logs.
    pub automation_id: Option<String>,
    /// The time that the caller gives, 1,000 to 25,000 ms.
    pub deadline_ms: Option<u32>,
    /// Names this execution: the same key never makes a second write.
    pub idempotency_key: Option<String>,
    /// The call to send.
    pub call: Call,
}

impl AutomationRequest {
    /// Parses the body of `POST /v1/automation-requests`; `origin` is the configured origin of HubSpot's API.
    ///
    /// # Errors
    /// `request_too_large`, `invalid_request`, and what the guard refuses with.
    pub fn parse(body: &str, origin: &Url) -> Result<Self, Refusal> {
        let mut fields = fields_of(body)?;
        let account_id =
            fields.take_digits_or_string("account_id")?.ok_or_else(|| invalid("account_id: required, a string"))?;
        let integration_id = fields.take_string("integration_id")?.map(IntegrationId::try_from).transpose()?;
        let automation_id = fields.take_string("automation_id")?;
        if automation_id.as_ref().is_some_and(|id| id.chars().count() > 128 || id.chars().any(char::is_control)) {
            return Err(invalid("automation_id: at most 128 characters, no control characters, are expected"));
        }
        let deadline_ms = fields.take_as::<u32>("deadline_ms", "a whole number")?;
        if deadline_ms.is_some_and(|deadline| !(1_000..=25_000).contains(&deadline)) {
            return Err(invalid("deadline_ms: 1000 to 25000 is expected"));
        }
        let idempotency_key = fields.take_string("idempotency_key")?;
        let printable = |key: &String| (1..=128).contains(&key.chars().count()) && !key.chars().any(char::is_control);
        if idempotency_key.as_ref().is_some_and(|key| !printable(key)) {
            return Err(invalid("idempotency_key: 1 to 128 printable characters are expected"));
        }
        let request = fields.take("request");
        fields.finish()?;
        let account_id = AccountId::try_from(account_id)?;
        let call = Call::parse(request, origin)?;
        Ok(Self { account_id, integration_id, automation_id, deadline_ms, idempotency_key, call })
    }

    /// Bytes that differ wherever what would be sent differs: method, URL, headers and body.
    ///
    /// A JSON body counts by its value, so that white space, the order of members and escapes do not matter; numbers
    /// count as they are spelled. The integration does not count, whether it is named or not.
    pub fn identity(&self) -> Vec<u8> {
        let target = self.call.target();
        let mut parts: Vec<&[u8]> = vec![target.method().as_str().as_bytes(), target.url().as_str().as_bytes()];
        let mut headers: Vec<_> = self.call.headers().iter().collect();
        headers.sort();
        parts.extend(headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        let body = self.call.body();
        let json = body.filter(|_| self.call.is_json()).and_then(canonical);
        parts.extend(json.as_deref().or(body));
        // Each part's length before it, so that no two lists of parts look alike.
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&part.len().to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// One request to explain, without sending it.
#[derive(Debug)]
pub struct Check {
    /// The instance that the automation belongs to; absent, the newest.
    pub integration_id: Option<IntegrationId>,
    /// The call that would be sent.
    pub call: Call,
}

impl Check {
    /// Parses the body of `POST /v1/automation-checks`.
    ///
    /// # Errors
    /// The same that executing the request would end in.
    pub fn parse(body: &str, origin: &Url) -> Result<Self, Refusal> {
        let mut fields = fields_of(body)?;
        let integration_id = fields.take_string("integration_id")?.map(IntegrationId::try_from).transpose()?;
        let request = fields.take("request");
        fields.finish()?;
        Ok(Self { integration_id, call: Call::parse(request, origin)? })
    }
}

fn fields_of(body: &str) -> Result<Fields<'_>, Refusal> {
    if body.len() > MAX_REQUEST_BYTES {
        return Err(Refusal::RequestTooLarge(format!("body: at most {MAX_REQUEST_BYTES} bytes are accepted")));
    }
    Fields::parse("body", body)
}

fn invalid(detail: &str) -> Refusal {
    Refusal::InvalidRequest(detail.to_owned())
}
