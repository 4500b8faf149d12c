//! One line of an import: an integration of the previous system.

use std::fmt;

use guard::fields::Fields;
use secrecy::{ExposeSecret, SecretString};
use shared::crypto::sha256_hex;
use shared::error::{Error, RequestOutcome};
use shared::hubspot::Grant;
use shared::integration::{AccountId, Integration, IntegrationId, Key, Pointer, TokenState};
use shared::tokens::Tokens;

/// Places imported instances below every connect, in their original order.
const BELOW_CONNECTS: i64 = 10_000_000_000;
/// The schedule looks at an imported integration after this time, in seconds, should the import die before.
const VERIFIED_WITHIN: i64 = 600;
/// Larger times are in milliseconds: in seconds this is the year 5138.
const LATEST_IN_SECONDS: i64 = 100_000_000_000;
/// The longest refresh token.
const LONGEST_TOKEN: usize = 4096;

const KNOWN: &str = "line: unknown field; the fields are account_id, integration_id, created_at, refresh_token, scopes, \
                     hub_id and connected_by";

/// An integration to import.
pub(crate) struct ImportRecord {
    pub(crate) account_id: AccountId,
    pub(crate) integration_id: IntegrationId,
    pub(crate) created_at: i64,
    pub(crate) scopes: Option<Vec<String>>,
    refresh_token: SecretString,
    hub_id: Option<u64>,
    connected_by: Option<String>,
}

impl ImportRecord {
    /// Parses a whole line; the error names the field and what is expected, never a value.
    pub(crate) fn parse(text: &str, now: i64) -> Result<Self, String> {
        Self::fields(text, now).map_err(|error| error.detail(RequestOutcome::NotSent))
    }

    fn fields(text: &str, now: i64) -> Result<Self, Error> {
        let mut fields = Fields::parse("line", text)?;
        let account_id = required(fields.take_string("account_id")?, "account_id")?;
        let integration_id = required(fields.take_string("integration_id")?, "integration_id")?;
        let created_at = fields.take_as::<i64>("created_at", "a whole number, epoch seconds,")?;
        let refresh_token = required(fields.take_string("refresh_token")?, "refresh_token")?;
        let hub_id = fields.take_as::<u64>("hub_id", "a whole number")?;
        let scopes = fields.take_as::<Vec<String>>("scopes", "a list of strings")?;
        let connected_by = fields.take_string("connected_by")?;
        // The name of an unknown field may be anything, a misplaced token included.
        fields.finish().map_err(|_| wrong(KNOWN))?;
        let created_at = required(created_at, "created_at")?;
        if created_at > LATEST_IN_SECONDS && created_at / 1000 <= now {
            return Err(wrong("created_at: this looks like milliseconds; expected epoch seconds"));
        }
        if created_at <= 0 || created_at > now {
            return Err(wrong("created_at: expected epoch seconds, not in the future"));
        }
        let fits = |b: u8| b.is_ascii_graphic();
        if !(1..=LONGEST_TOKEN).contains(&refresh_token.len()) || !refresh_token.bytes().all(fits) {
            return Err(wrong("refresh_token: expected printable characters without blanks"));
        }
        Ok(Self {
            account_id: AccountId::try_from(account_id)?,
            integration_id: IntegrationId::try_from(integration_id)?,
            created_at,
            scopes,
            refresh_token: refresh_token.into(),
            hub_id,
            connected_by,
        })
    }

    /// The refresh token of the previous system.
    pub(super) fn refresh_token(&self) -> &SecretString {
        &self.refresh_token
    }

    /// Identifies the refresh token in the ledger without revealing it.
    pub(super) fn digest(&self) -> String {
        sha256_hex(format!("{} {} {}", self.account_id, self.integration_id, self.refresh_token.expose_secret()))
    }

    /// The sequence of its record unless another has it.
    pub(super) fn sequence(&self) -> i64 {
        self.created_at - BELOW_CONNECTS
    }

    /// The tokens to store. Without a grant there is no access token yet, so that the first use is a refresh.
    pub(super) fn tokens(&self, grant: Option<&Grant>, now: i64) -> Tokens {
        let scopes = grant.and_then(|grant| grant.scopes.clone()).or_else(|| self.scopes.clone());
        let rotated = grant.and_then(|grant| grant.refresh_token.clone());
        Tokens {
            account_id: self.account_id.clone(),
            integration_id: self.integration_id.clone(),
            access_token: grant.map(|grant| grant.access_token.clone()).unwrap_or_default(),
            refresh_token: rotated.unwrap_or_else(|| self.refresh_token.clone()),
            token_type: "bearer".to_owned(),
            obtained_at: if grant.is_some() { now } else { 0 },
            expires_at: grant.map_or(0, |grant| now.saturating_add(grant.expires_in)),
            scopes: scopes.unwrap_or_default(),
            hub_id: grant.and_then(|grant| grant.hub_id).or(self.hub_id),
            replaces: Vec::new(),
        }
    }

    /// The record to store. `token_expires_at` 0 means that HubSpot has not been asked yet.
    pub(super) fn integration(&self, tokens: &Tokens, pointer: Pointer, now: i64) -> Integration {
        let settled = TokenState {
            pointer,
            token_expires_at: tokens.expires_at,
            scopes: tokens.scopes.clone(),
            hub_id: tokens.hub_id,
            named_hub: None,
            refresh_at: now + VERIFIED_WITHIN,
            unverified_since: None,
        };
        let key = Key { account_id: self.account_id.clone(), sequence: self.sequence() };
        let imported = Integration::new(key, self.integration_id.clone(), self.created_at, settled);
        Integration { connected_by: self.connected_by.clone(), ..imported }
    }
}

/// Prints nothing of the token.
impl fmt::Debug for ImportRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportRecord({} {})", self.account_id, self.integration_id)
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Error> {
    value.ok_or_else(|| wrong(&format!("line.{name}: required")))
}

fn wrong(text: &str) -> Error {
    Error::InvalidRequest(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"account_id":"acc_1","integration_id":"legacy-1","created_at":1600000000,"refresh_token":"s3cret"}"#;

    #[test]
    fn an_imported_instance_is_below_every_connect_in_original_order() {
        let entry = ImportRecord::parse(GOOD, 1_700_000_000).unwrap();

        assert_eq!(entry.sequence(), -8_400_000_000);
        assert!(entry.sequence() < 1);
        assert_eq!(format!("{entry:?}"), "ImportRecord(acc_1 legacy-1)");
    }

    #[test]
    fn an_invalid_line_is_reported_by_its_field_and_never_by_a_value() {
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        for (line, expected) in [
            ("s3cret".to_owned(), "line: not valid JSON at line 1, column 1; one JSON object is expected"),
            (with(r#""account_id":"acc_1","#, ""), "line.account_id: required"),
            (with(r#","refresh_token":"s3cret""#, ""), "line.refresh_token: required"),
            (with("}", r#","account_id":"s3cret"}"#), "line: duplicate field `account_id`; give it once"),
            (with("}", r#","s3cret":1}"#), KNOWN),
            (with("acc_1", "s3cret s3cret"), "account_id: 1 to 128 characters of A-Z a-z 0-9 _ . : @ - are expected"),
            (with("legacy-1", "s.3cret"), "integration_id: 1 to 64 characters of A-Z a-z 0-9 _ - are expected"),
            (with("1600000000", "\"s3cret\""), "line.created_at: a whole number, epoch seconds, is expected"),
            (with("1600000000", "1700000001"), "created_at: expected epoch seconds, not in the future"),
            (with("1600000000", "1600000000000"), "created_at: this looks like milliseconds; expected epoch seconds"),
            (with("1600000000", "0"), "created_at: expected epoch seconds, not in the future"),
            (with("s3cret", "s3 cret"), "refresh_token: expected printable characters without blanks"),
            (with("s3cret", ""), "refresh_token: expected printable characters without blanks"),
        ] {
            assert_eq!(ImportRecord::parse(&line, 1_700_000_000).unwrap_err(), expected, "{line}");
        }
    }
}
