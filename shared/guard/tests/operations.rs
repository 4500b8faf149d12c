//! All published operations through the guard and the check, against HubSpot's own files.

#![expect(clippy::panic, clippy::print_stdout, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use guard::refusal::Refusal;
use guard::scopes::{Explanation, Remedy, RequestedScopes, Verdict};
use guard::target::Target;
use http::Method;
use url::Url;

/// Method, path with example values, scopes.
fn operations() -> Vec<(Method, String, &'static str)> {
    let rows = include_str!("../operations/operations.tsv").lines();
    rows.map(|row| {
        let [method, path, scopes] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let example = |segment: &'static str| match segment.strip_prefix('{') {
            None => segment,
            Some(name) if name.to_ascii_lowercase().contains("objecttype") => "contacts",
            Some(_) => "7",
        };
        let path = path.split('/').map(example).collect::<Vec<_>>().join("/");
        (Method::from_bytes(method.as_bytes()).unwrap_or_else(|_| panic!("{row}")), path, scopes)
    })
    .collect()
}

fn granted(scopes: &str) -> Vec<String> {
    scopes.split(' ').chain(["oauth"]).map(str::to_owned).collect()
}

#[test]
fn nearly_all_published_operations_have_a_verdict() {
    let operations = operations();
    let mut unknown: BTreeMap<String, u32> = BTreeMap::new();
    for (method, path, _) in &operations {
        if Explanation::of(method, path).verdict(&granted("oauth")) == Verdict::Unknown {
            let area: Vec<&str> = path.split('/').take(4).collect();
            *unknown.entry(area.join("/")).or_default() += 1;
        }
    }
    let known = operations.len() - unknown.values().sum::<u32>() as usize;

    assert_eq!(operations.len(), 3_802);
    println!("{known} of {} operations have a verdict", operations.len());
    assert!(known * 100 >= operations.len() * 88, "{known} of {}: {unknown:?}", operations.len());
}

#[test]
fn one_scope_set_means_what_hubspots_files_say() {
    let mut others = Vec::new();
    for (method, path, scopes) in operations() {
        if scopes == "-" || scopes == "*" || scopes.contains('|') {
            continue;
        }
        let explanation = Explanation::of(&method, &path);
        let verdicts = [explanation.verdict(&granted(scopes)), explanation.verdict(&granted("oauth"))];
        let expected = if scopes == "oauth" { Verdict::Covered } else { Verdict::Missing };
        if verdicts != [Verdict::Covered, expected] {
            others.push(format!("{method} {path} {scopes}: {verdicts:?}"));
        }
    }
    // One file of one object type describes a path that belongs to all object types.
    let generic = "GET /crm/objects/2026-09/contacts/7/associations/contacts crm.objects.partner-services.read: \
        [Unknown, Unknown]";
    assert_eq!(others, [generic], "{} differ", others.len());
}

#[test]
fn operations_without_oauth_need_a_developer_key() {
    let developer = operations().into_iter().filter(|(_, _, scopes)| *scopes == "-");
    let (mut found, mut all) = (0, 0);
    for (method, path, _) in developer {
        all += 1;
        found += u32::from(Explanation::of(&method, &path).developer_key);
    }
    assert_eq!((found, all), (212, 212));
    let webhooks = Explanation::of(&Method::GET, "/app-webhooks/2026-09/7/settings");
    let requested = RequestedScopes { required: &[], optional: &[] };
    assert_eq!(
        (webhooks.verdict(&granted("oauth")), webhooks.remedy(&granted("oauth"), requested)),
        (Verdict::Missing, None)
    );
}

#[test]
fn the_guard_refuses_sixteen_published_operations() {
    let origin = Url::parse("https://api.hubapi.com").unwrap();
    let refused: Vec<_> = operations()
        .into_iter()
        .filter_map(|(method, path, _)| {
            Some((path.clone(), Target::parse(&origin, method.as_str(), &path, &[]).err()?))
        })
        .collect();

    for (path, refusal) in &refused {
        assert!(matches!(refusal, Refusal::EndpointNotAllowed(_)), "{path}: {refusal}");
        assert!(path.starts_with("/oauth/") || path.ends_with("/external-install"), "{path}");
    }
    assert_eq!(refused.len(), 16);
}

#[test]
fn alternatives_are_named_and_judged_by_what_is_known_of_them() {
    let rows = "/cms/hubdb/2026-03/tables/7/rows";
    let mail = "/marketing/emails/2026-03";
    for (method, path, scopes, expected) in [
        (Method::POST, rows, "hubdb", Verdict::Covered),
        (Method::POST, rows, "hubdb.rows.write", Verdict::Covered),
        (Method::POST, rows, "hubdb.rows.read", Verdict::Missing),
        (Method::POST, rows, "oauth", Verdict::Missing),
        (Method::GET, mail, "content", Verdict::Covered),
        (Method::GET, "/crm/objects/2026-03/products", "e-commerce", Verdict::Covered),
        (Method::GET, "/settings/users/2026-03", "oauth", Verdict::Missing),
        (Method::GET, "/crm/properties/2026-03/contacts", "crm.schemas.contacts.read", Verdict::Unknown),
        (Method::GET, "/crm/properties/2026-03/contacts", "crm.objects.deals.read", Verdict::Missing),
    ] {
        assert_eq!(Explanation::of(&method, path).verdict(&granted(scopes)), expected, "{method} {path} {scopes}");
    }
    let asked_for = [vec!["hubdb.rows.write".to_owned()], vec!["hubdb".to_owned()], vec![]];
    let remedies = asked_for.map(|required| {
        let requested = RequestedScopes { required: &required, optional: &[] };
        Explanation::of(&Method::POST, rows).remedy(&granted("oauth"), requested)
    });
    assert_eq!(remedies, [Some(Remedy::Reconnect), Some(Remedy::Reconnect), Some(Remedy::AskOperator)]);
    let required = Explanation::of(&Method::POST, rows).required.unwrap();
    assert_eq!((required.any_of, required.scopes), (vec!["hubdb", "hubdb.rows.write"], vec![]));
}

#[test]
fn the_object_type_in_the_path_decides() {
    for (method, path, scopes) in [
        (Method::GET, "/crm/objects/2026-09-beta/carts", "crm.objects.carts.read"),
        (Method::POST, "/crm/v3/objects/2-1234567", "crm.objects.custom.write"),
        (Method::GET, "/crm/v3/objects/p_cars/7", "crm.objects.custom.read"),
        (Method::POST, "/crm/v3/objects/p123_cars/search", "crm.objects.custom.read"),
        (Method::PATCH, "/crm/v3/objects/0-123/7", "crm.objects.orders.write"),
        (Method::POST, "/crm/v3/objects/subscriptions", "crm.objects.subscriptions.write"),
        (Method::POST, "/crm/objects/2026-09/0-162/batch/read", "crm.objects.services.read"),
        (Method::GET, "/crm/v3/objects/nobodys", ""),
        (Method::GET, "/crm/v3/objects/2-", ""),
    ] {
        let required = Explanation::of(&method, path).required.map(|required| required.scopes.join(" "));
        assert_eq!(required.unwrap_or_default(), scopes, "{method} {path}");
    }
}

#[test]
fn published_alternatives_go_before_a_row_written_by_hand() {
    let (members, groups) = ("/crm/v3/lists/7/memberships/add", "cms.membership.access_groups.write");
    for (method, path, scopes, expected) in [
        (Method::GET, "/crm/v3/owners", "automation", Verdict::Unknown),
        (Method::GET, "/crm/v3/owners", "crm.objects.owners.read", Verdict::Covered),
        (Method::GET, "/crm/v3/owners", "oauth", Verdict::Missing),
        (Method::PUT, members, "cms.membership.access_groups.write crm.lists.read", Verdict::Unknown),
        (Method::PUT, members, "crm.lists.read crm.lists.write", Verdict::Covered),
        (Method::PUT, members, "crm.lists.write", Verdict::Missing),
        (Method::POST, "/crm/v3/lists", "oauth", Verdict::Missing),
        (Method::POST, "/crm/v3/lists", "crm.lists.read", Verdict::Missing),
        (Method::POST, "/crm/v3/lists", "crm.lists.write", Verdict::Unknown),
        (Method::POST, "/crm/v3/lists", "crm.lists.read crm.lists.write", Verdict::Covered),
        (Method::DELETE, "/crm/v3/lists/7", "oauth", Verdict::Missing),
        (Method::POST, "/files/v3/files", "files", Verdict::Covered),
        (Method::POST, "/files/v3/files", "files.read", Verdict::Missing),
        (Method::POST, "/files/v3/files", "files.write", Verdict::Unknown),
        // HubSpot's files have this path in other versions only.
        (Method::POST, "/files/2026-09/files/import-from-url/async", "files", Verdict::Covered),
    ] {
        assert_eq!(Explanation::of(&method, path).verdict(&granted(scopes)), expected, "{method} {path} {scopes}");
    }
    let required = |method, path| Explanation::of(&method, path).required.unwrap();
    let files = required(Method::POST, "/files/v3/files");
    assert_eq!(files.any_of, ["files", "files.ui_hidden.write", "files.write"]);
    assert_eq!(files.docs, Some("https://developers.hubspot.com/docs/api-reference/legacy/files/guide"));
    let missing = Explanation::of(&Method::PUT, members).missing(&granted("oauth"));
    assert_eq!(missing, [groups, "crm.lists.read", "crm.lists.write"]);
}

#[test]
fn a_misspelt_path_is_unknown() {
    let all = granted("files automation crm.lists.read crm.lists.write crm.objects.owners.read");
    for (method, path, meant) in [
        (Method::GET, "/files/v3/files/serch/x/y", None),
        (Method::GET, "/files/v3/folders/7/files", None),
        (Method::GET, "/crm/v3/lists/7/membership", Some("/crm/v3/lists/7/memberships")),
        (Method::POST, "/crm/v3/lists/serch", Some("/crm/v3/lists/search")),
        (Method::DELETE, "/automation/v4/flows/7/x/y", None),
    ] {
        let explanation = Explanation::of(&method, path);
        assert_eq!(explanation.verdict(&all), Verdict::Unknown, "{method} {path}");
        assert_eq!(explanation.did_you_mean.as_deref(), meant, "{method} {path}");
    }
}

#[test]
fn an_unknown_path_gets_a_hint_at_the_published_one() {
    for (method, path, meant) in [
        (Method::GET, "/crm/v3/object/contacts", Some("/crm/v3/objects/contacts")),
        (Method::GET, "/crm/objects/contacts", Some("/crm/v3/objects/contacts")),
        (Method::GET, "/crm/owners", Some("/crm/v3/owners")),
        (
            Method::GET,
            "/crm/v3/objects/contact/7/association/deals",
            Some("/crm/v3/objects/contact/7/associations/deals"),
        ),
        (
            Method::GET,
            "/crm/v4/objects/contact/7/association/deals",
            Some("/crm/v4/objects/contact/7/associations/deals"),
        ),
        (
            Method::GET,
            "/crm/objects/contact/7/associations/deals",
            Some("/crm/objects/2026-03/contact/7/associations/deals"),
        ),
        (Method::GET, "/cms/v3/hubdb/tabels", Some("/cms/v3/hubdb/tables")),
        (Method::GET, "/crm/v3/objects/contacts", None),
        (Method::GET, "/nothing/like/it", None),
        (Method::GET, "/crm/v3/object%2Fcontacts", None),
    ] {
        let found = Explanation::of(&method, path).did_you_mean;
        assert_eq!(found.as_deref(), meant, "{method} {path}");
    }
}

#[test]
fn a_check_takes_well_under_a_millisecond() {
    let operations = operations();
    let began = Instant::now();
    let some: Vec<_> = operations.iter().step_by(19).collect();
    for (method, path, _) in &some {
        Explanation::of(method, path).verdict(&granted("oauth"));
        Explanation::of(method, &format!("{path}/x"));
    }
    let each = began.elapsed() / u32::try_from(some.len() * 2).unwrap();
    println!("{each:?} each");
    // Unoptimised and beside other tests; a release takes at most 200 µs.
    assert!(each < Duration::from_millis(10), "{each:?}");
}
