//! The POSTs that only read, by the whole shapes that HubSpot documents.
//!
//! Invariant: never true for a request that may write, since one that reads is repeated after a lost answer. A name
//! alone says nothing: `POST /crm/v3/objects/search` creates a record of an object named "search".

/// `@` means a version, `{}` one name that is not encoded.
const SHAPES: [&str; 45] = [
    "/automation/@/flows/batch/read",
    "/automation/@/workflow-id-mappings/batch/read",
    "/cms/@/blogs/authors/batch/read",
    "/cms/@/blogs/posts/batch/read",
    "/cms/@/blogs/tags/batch/read",
    "/cms/@/hubdb/tables/{}/rows/batch/read",
    "/cms/@/hubdb/tables/{}/rows/draft/batch/read",
    "/cms/@/pages/landing-pages/batch/read",
    "/cms/@/pages/landing-pages/folders/batch/read",
    "/cms/@/pages/site-pages/batch/read",
    "/cms/blogs/@/authors/batch/read",
    "/cms/blogs/@/posts/batch/read",
    "/cms/blogs/@/tags/batch/read",
    "/cms/hubdb/@/tables/{}/rows/batch/read",
    "/cms/hubdb/@/tables/{}/rows/draft/batch/read",
    "/cms/pages/@/landing-pages/batch/read",
    "/cms/pages/@/landing-pages/folders/batch/read",
    "/cms/pages/@/site-pages/batch/read",
    // One query language without mutations.
    "/collector/graphql",
    "/communication-preferences/@/statuses/batch/read",
    "/conversations/@/conversations/actors/batch/read",
    "/conversations/conversations/@/actors/batch/read",
    "/crm-object-schemas/@/schemas/batch/read",
    "/crm/@/associations/{}/{}/batch/read",
    "/crm/@/lists/records/memberships/batch/read",
    "/crm/@/lists/search",
    "/crm/@/objects/{}/batch/read",
    "/crm/@/objects/{}/search",
    "/crm/@/properties/{}/batch/read",
    "/crm/associations/@/{}/{}/batch/read",
    "/crm/extensions/calling/@/connection-statuses/batch/read",
    "/crm/lists/@/records/memberships/batch/read",
    "/crm/lists/@/search",
    "/crm/objects/@/deals/splits/batch/read",
    "/crm/objects/@/{}/batch/read",
    "/crm/objects/@/{}/search",
    "/crm/properties/@/{}/batch/read",
    "/deal-splits/@/batch/read",
    "/marketing/@/campaigns/batch/read",
    "/marketing/campaigns/@/batch/read",
    "/media-bridge/@/{}/properties/{}/batch/read",
    "/settings/@/currencies/exchange-rates/batch/read",
    "/settings/currencies/@/exchange-rates/batch/read",
    "/webhooks-journal/journal-local/@/batch/read",
    "/webhooks-journal/journal/@/batch/read",
];

/// The ends of all shapes.
const ENDS: [&str; 3] = ["/search", "/batch/read", "/graphql"];

/// Returns true if a POST to this path only reads.
pub(crate) fn post_reads(path: &str) -> bool {
    // Every execution asks, some twice: only shapes with the same first segment and end are compared.
    let Some(end) = ENDS.iter().find(|end| path.ends_with(**end)) else { return false };
    let Some((first, _)) = path.strip_prefix('/').and_then(|rest| rest.split_once('/')) else { return false };
    let starts = |shape: &str| shape[1..].strip_prefix(first).is_some_and(|rest| rest.starts_with('/'));
    SHAPES.iter().any(|shape| starts(shape) && shape.ends_with(end) && has_shape(path, shape))
}

fn has_shape(path: &str, shape: &str) -> bool {
    let mut segments = path.split('/');
    let fits = shape.split('/').all(|expected| {
        segments.next().is_some_and(|segment| match expected {
            "@" => is_version(segment),
            "{}" => !segment.is_empty() && !segment.contains('%'),
            literal => segment == literal,
        })
    });
    fits && segments.next().is_none()
}

/// `v3`, `2026-03`, `2026-09-beta`.
pub(crate) fn is_version(segment: &str) -> bool {
    let segment = segment.strip_suffix("-beta").unwrap_or(segment);
    match segment.as_bytes() {
        [b'v', digit] => digit.is_ascii_digit(),
        [year @ .., b'-', tens, ones] => year.len() == 4 && year.iter().chain([tens, ones]).all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_found_by_its_first_segment_and_its_end() {
        for shape in SHAPES {
            let path = shape.replace('@', "v3").replace("{}", "name");

            assert!(post_reads(&path), "{path}");
            assert!(!post_reads(&format!("/{path}")), "{path}");
            assert!(!post_reads(path.replacen('/', "/x", 1).as_str()), "{path}");
        }
    }
}
