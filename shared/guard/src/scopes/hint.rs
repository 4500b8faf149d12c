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
/// The given version is kept if `is_suitable` accepts the path with it. `versions` are those of the pattern, separated
/// by blanks.
pub(super) fn corrected(
    pattern: &str,
    versions: &str,
    segments: &[&str],
    is_suitable: impl Fn(&[&str]) -> bool,
) -> Option<String> {
    let given = pattern.split('/').zip(segments).find(|(expected, _)| *expected == "@").map(|(_, given)| *given);
    let given = given.filter(|version| is_version(version));
    let newest = |is_numbered: bool| {
        let released = versions.split(' ').rev().filter(|version| !version.ends_with("-beta"));
        released.filter(move |version| version.starts_with('v') == is_numbered)
    };
    let candidates = given.into_iter().chain(newest(false)).chain(newest(true));
    let mut paths = candidates.filter_map(|version| with_version(pattern, version, segments));
    paths.find(|path| is_suitable(path)).map(|path| path.join("/"))
}

/// The path as the pattern has it, with this version.
fn with_version<'a>(pattern: &'a str, version: &'a str, segments: &[&'a str]) -> Option<Vec<&'a str>> {
    let expected = pattern.split('/').count();
    let leaves_version_out = expected == segments.len() + 1;
    if expected != segments.len() && !leaves_version_out {
        return None;
    }
    let (mut names, mut versions) = (0, 0);
    let mut given = segments.iter();
    let mut path: Vec<&str> = Vec::with_capacity(expected);
    for expected in pattern.split('/') {
        if expected == "@" && leaves_version_out {
            names += 1;
            path.push(version);
            continue;
        }
        let segment = given.next()?;
        let right = match expected {
            "{}" => segment,
            "@" => version,
            literal if literal == *segment || is_near(literal, segment) => literal,
            _ => return None,
        };
        let corrected = if expected == "@" { &mut versions } else { &mut names };
        *corrected += usize::from(right != *segment);
        path.push(right);
    }
    (names <= 1 && names + versions > 0 && given.next().is_none()).then_some(path)
}

/// Returns true if two names differ by one character that is missing, too many, or another one, by two neighbours that
/// are swapped, or by case.
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
        0 => match (&short[same..], &long[same..]) {
            ([_, one @ ..], [_, other @ ..]) if one == other => true,
            ([a, b, one @ ..], [c, d, other @ ..]) => (a, b, one) == (d, c, other),
            _ => false,
        },
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
        let known = |path: &[&str]| path[1] == "v3";
        let corrected = |path: &str| corrected(pattern, "2026-09-beta v3", &path.split('/').collect::<Vec<_>>(), known);
        let right = Some("crm/v3/objects/contact/1/associations/deals".to_owned());

        for path in [
            "crm/v3/objects/contact/1/association/deals",
            "crm/v3/object/contact/1/associations/deals",
            "crm/v3/objects/contact/1/asociations/deals",
            "crm/v3/objects/contact/1/associatoins/deals",
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

    #[test]
    fn the_given_version_is_kept_and_an_unsuitable_one_is_passed_over() {
        let pattern = "crm/@/objects/{}/{}/associations/{}";
        let corrected = |path: &str, known: &[&str]| {
            let segments: Vec<_> = path.split('/').collect();
            corrected(pattern, "2026-03 2026-09-beta v4", &segments, |path| known.contains(&path[1]))
        };
        let misspelt = "crm/v3/objects/contact/1/association/deals";

        let with = |version: &str| Some(format!("crm/{version}/objects/contact/1/associations/deals"));
        assert_eq!(corrected(misspelt, &["v3", "v4", "2026-03"]), with("v3"));
        assert_eq!(corrected(misspelt, &["v4"]), with("v4"));
        assert_eq!(corrected(misspelt, &["v4", "2026-03"]), with("2026-03"));
        assert_eq!(corrected(misspelt, &["2026-09-beta"]), None);
        assert_eq!(corrected("crm/objects/contact/1/associations/deals", &["2026-03"]), with("2026-03"));
    }

    #[test]
    fn names_are_near_by_one_change_or_one_swap() {
        for (one, other, near) in [
            ("tables", "tbales", true),
            ("tables", "atbles", true),
            ("tables", "tablse", true),
            ("tables", "tales", true),
            ("tables", "Tables", true),
            ("tables", "tabxes", true),
            ("tables", "tebals", false),
            ("tables", "atblse", false),
            ("tables", "tabesl", false),
            ("tables", "tab", false),
            ("", "", true),
            ("", "a", true),
        ] {
            assert_eq!((is_near(one, other), is_near(other, one)), (near, near), "{one} {other}");
        }
    }
}
