//! HubSpot's 488: the portal lives in another hub, and nothing was acted on.

use guard::hubs::Hub;
use serde::Deserialize;

/// The header that names the hub.
pub const HEADER: &str = "x-hubspot-correct-hublet";

/// The hub that a 488 names for the portal, if it is listed: by its header, or without one by its body.
pub fn named(status: u16, header: Option<&str>, body: &[u8]) -> Option<Hub> {
    #[derive(Deserialize)]
    struct WrongHub {
        #[serde(rename = "correctHublet")]
        hub: String,
    }
    if status != 488 {
        return None;
    }
    let named = match header {
        Some(name) => Hub::parse(name.trim()),
        None => serde_json::from_slice::<WrongHub>(body).ok().and_then(|body| Hub::parse(&body.hub)),
    };
    if named.is_none() {
        tracing::warn!(status, "HubSpot named an unknown hub");
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_488_names_a_hub_and_only_a_listed_one() {
        for (status, header, body, expected) in [
            (488, Some("eu1"), "", Some("eu1")),
            (488, Some(" eu1 "), "", Some("eu1")),
            (488, None, r#"{"status":"error","correctHublet":"ap1"}"#, Some("ap1")),
            (488, Some("na1"), r#"{"correctHublet":"eu1"}"#, Some("na1")),
            (200, Some("eu1"), r#"{"correctHublet":"eu1"}"#, None),
            (488, Some("eu1.evil.example"), r#"{"correctHublet":"eu1"}"#, None),
            (488, Some(""), r#"{"correctHublet":"eu1"}"#, None),
            (488, None, r#"{"correctHublet":["eu1"]}"#, None),
            (488, None, r#"{"correctHublet":"xx9"}"#, None),
            (488, None, "{}", None),
            (488, None, "<html>", None),
        ] {
            assert_eq!(named(status, header, body.as_bytes()).map(Hub::as_str), expected, "{header:?} {body}");
        }
    }
}
