//! "Did you mean": a path that is one mistake away from a published one.

use crate::reads::is_version;

/// Longer segments are ids and values, not misspelt names.
const MAX_NAME: usize = 40;

/// Returns true if it is worth a closer look: quick, since nearly no pattern is.
pub(super) fn is_close(pattern: &str, segments: &[&str]) -> bool {
    // Counting comes first, since it decides about nearly all patterns and is cheaper than splitting.
    let names = pattern.bytes().filter(|byte| *byte == b'/').count() + 1;
    if names != segments.len() && names != segments.len() + 1 {
        return false;
    }
    let (mut given, mut mistakes) = (segments.iter().peekable(), 0);
    for expected in pattern.split('/') {
        if expected == "@" && given.peek().is_none_or(|segment| !is_version(segment)) {
            continue;
        }
        let Some(segment) = given.next() else { return false };
        mistakes += usize::from(!matches!(expected, "@" | "{}") && expected != *segment);
        if mistakes > 1 {
            return false;
        }
    }
    given.next().is_none()
}

/// The path as the pattern has it, if it differs by one misspelt name or a version left out, or by its version.
///
/// `versions` are those of the pattern, separated by blanks.
pub(super) fn corrected(pattern: &str, versions: &str, segments: &[&str]) -> Option<String> {
    let expected = pattern.split('/').count();
    let leaves_version_out = expected == segments.len() + 1;
    if expected != segments.len() && !leaves_version_out {
        return None;
    }
    let newest = versions.split(' ').rfind(|version| !version.ends_with("-beta"))?;
    let (mut names, mut version) = (0, 0);
    let mut given = segments.iter();
    let mut path: Vec<&str> = Vec::with_capacity(expected);
    for expected in pattern.split('/') {
        if expected == "@" && leaves_version_out {
            names += 1;
            path.push(newest);
            continue;
        }
        let segment = given.next()?;
        let right = match expected {
            "{}" => segment,
            "@" if versions.split(' ').any(|version| version == *segment) => segment,
            "@" => newest,
            literal if literal == *segment || is_near(literal, segment) => literal,
            _ => return None,
        };
        let corrected = if expected == "@" { &mut version } else { &mut names };
        *corrected += usize::from(right != *segment);
        path.push(right);
    }
    (names <= 1 && names + version > 0 && given.next().is_none()).then(|| path.join("/"))
}

/// Returns true if two names differ by one character that is missing, too many, or another one, or by case.
fn is_near(one: &str, other: &str) -> bool {
    if one.len() > MAX_NAME || other.len() > MAX_NAME {
        return false;
    }
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let (short, long) = (short.as_bytes(), long.as_bytes());
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    match long.len() - short.len() {
        0 => short[same..].get(1..) == long[same..].get(1..),
        1 => short[same..] == long[same + 1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_is_corrected_and_two_are_not() {
        let pattern = "crm/@/objects/{}/{}/associations/{}";
        let corrected = |path: &str| corrected(pattern, "2025-09 v3", &path.split('/').collect::<Vec<_>>());
        let right = Some("crm/v3/objects/contact/1/associations/deals".to_owned());

        for path in [
            "crm/v3/objects/contact/1/association/deals",
            "crm/v3/object/contact/1/associations/deals",
            "crm/v3/objects/contact/1/asociations/deals",
            "crm/v3/objects/contact/1/Associations/deals",
            "crm/v2/objects/contact/1/associations/deals",
            "crm/v4/objects/contact/1/association/deals",
            "crm/objects/contact/1/associations/deals",
            "crn/v3/objects/contact/1/associations/deals",
        ] {
            assert_eq!(corrected(path), right, "{path}");
        }
        for path in [
            "crm/v3/objects/contact/1/associations/deals",
            "crm/v3/object/contact/1/association/deals",
            "crm/v3/contact/1/associations/deals",
            "crm/v3/obj/contact/1/associations/deals",
            "crm/v3/objects/contact/1/associations",
            "crm",
        ] {
            assert_eq!(corrected(path), None, "{path}");
        }
    }
}
