//! The id that the edge in front of HubSpot gives each request, for its support.

/// The header that carries it.
pub const HEADER: &str = "cf-ray";

/// The id, if the text may be logged.
pub fn parse(value: &str) -> Option<&str> {
    let sound =
        (1..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    sound.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_id_may_be_logged() {
        let (longest, longer) = ("a".repeat(64), "a".repeat(65));
        for (value, sound) in [
            ("8a1b2c3d4e5f6071-FRA", true),
            (&*longest, true),
            (&*longer, false),
            ("", false),
            ("a b", false),
            ("a@example.com", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(parse(value), sound.then_some(value), "{value}");
        }
    }
}
