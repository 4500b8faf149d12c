//! The paths that are refused.

use percent_encoding::percent_decode_str;

use super::{invalid, not_allowed, starts_with_two_digits};
use crate::credentials;
use crate::refusal::Refusal;

/// How often a path may be percent-encoded. Legitimate ones are once, by accident twice; what is still encoded after
/// so many rounds is refused unread.
const MAX_ENCODINGS: usize = 8;

/// Refuses a path that HubSpot's servers might read differently from us, and those that no automation may call.
pub(super) fn check_path(path: &str) -> Result<(), Refusal> {
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
