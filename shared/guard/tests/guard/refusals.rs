//! Repairs and refusals.

use super::*;
use guard::hubs::Hub;

#[test]
fn what_ordinary_clients_repair_is_repaired_and_nothing_else() {
    for (endpoint, sent) in [
        ("/crm/v3/owners/", "/crm/v3/owners/"),
        ("  /crm/v3/owners \n", "/crm/v3/owners"),
        ("HTTPS://API.HubApi.com/crm", "/crm"),
        ("http://api.hubapi.com/crm", "/crm"),
        ("https://api.hubapi.com:443/crm", "/crm"),
        ("http://api.hubapi.com:80/crm", "/crm"),
        ("https://api.hubapi.com/crm#part?x=1", "/crm"),
        ("/crm#//evil.com/\\", "/crm"),
        ("https://api.hubapi.com/", "/"),
        ("https://api.hubapi.com//webhooks/v3/1/settings", "/webhooks/v3/1/settings"),
        ("https://api-eu1.hubspot.com//crm?a=//", "/crm?a=//"),
        ("/a b\"<>^`{|}'ü", "/a%20b%22%3C%3E%5E%60%7B%7C%7D'%C3%BC"),
        ("/a?b c\"<>^`{|}'ü", "/a?b%20c%22%3C%3E%5E%60%7B%7C%7D%27%C3%BC"),
        ("/a?q=100%&r=%zz&s=%4&t=%41%", "/a?q=100%25&r=%25zz&s=%254&t=%41%25"),
        ("/crm/{{contact.name}}", "/crm/%7B%7Bcontact.name%7D%7D"),
        ("/a?", "/a?"),
        ("/a??b?c/../d//e", "/a??b?c/../d//e"),
        ("/a/.../b./.c/..d", "/a/.../b./.c/..d"),
        ("/a%3Bb:c@d!$&'()*+,=~", "/a%3Bb:c@d!$&'()*+,=~"),
        ("/contacts/https%3A%2F%2Fexample.com/x", "/contacts/https%3A%2F%2Fexample.com/x"),
        ("/a/100%25", "/a/100%25"),
        // A fullwidth `％` begins no escape to anybody.
        ("/a％2e％5c", "/a%EF%BC%852e%EF%BC%855c"),
        ("/crm/v3/objects/contacts/oauth", "/crm/v3/objects/contacts/oauth"),
        ("/oauthx/v1", "/oauthx/v1"),
    ] {
        let target = target(" get ", endpoint).unwrap_or_else(|error| panic!("{endpoint} gave {error}"));

        assert_eq!(target.url().as_str(), format!("{ORIGIN}{sent}"), "{endpoint}");
        assert_eq!(target.ignored(), [""; 0], "{endpoint}");
    }
}

#[test]
fn every_listed_host_means_the_one_origin_wherever_that_is() {
    let local = Url::parse("http://127.0.0.1:4711").unwrap();
    for host in [
        "api.hubapi.com",
        "api-eu1.hubapi.com",
        "api-na1.hubapi.com",
        "api-na2.hubapi.com",
        "api-na3.hubapi.com",
        "api-ap1.hubapi.com",
        "api.hubspot.com",
        "api-eu1.hubspot.com",
        "API-NA1.HubSpot.com",
        "api-na2.hubspot.com",
        "api-na3.hubspot.com",
        "api-ap1.hubspot.com",
    ] {
        let target = Target::parse(&local, "GET", &format!("https://{host}/crm/v3/owners?a=1"), &[]).unwrap();

        assert_eq!(target.url().as_str(), "http://127.0.0.1:4711/crm/v3/owners?a=1");
        let hub = host.to_ascii_lowercase().split_once('.').unwrap().0.strip_prefix("api-").and_then(Hub::parse);
        assert_eq!((target.hub_hint(), hub.is_some()), (hub, host.contains('-')), "{host}");
    }
    assert_eq!(refusal("http://127.0.0.1:4711/crm"), "endpoint_not_allowed");
}

#[test]
fn userinfo_is_dropped_and_named_and_the_host_follows_the_last_at_sign() {
    for endpoint in [
        "https://user:pass@api.hubapi.com/crm",
        "https://@api.hubapi.com/crm",
        "https://a@b@api.hubapi.com/crm",
        "https://api.hubapi.com@api.hubapi.com:443/crm",
        "https://evil.com%2f@api.hubapi.com/crm",
        "https://evil.com:80@api.hubapi.com/crm",
    ] {
        let target = target("GET", endpoint).unwrap();

        assert_eq!(target.url().as_str(), "https://api.hubapi.com/crm", "{endpoint}");
        assert_eq!(target.ignored(), ["userinfo"], "{endpoint}");
    }
}

fn refusal(endpoint: &str) -> &'static str {
    match target("DELETE", endpoint) {
        Err(refusal) => code(&refusal),
        Ok(target) => panic!("{endpoint} was accepted as {}", target.url()),
    }
}

#[test]
fn another_host_scheme_or_port_is_not_allowed() {
    for endpoint in [
        "https://evil.com/crm",
        "https://api.hubapi.com.evil.com/crm",
        "https://evil.com/api.hubapi.com",
        "https://api.hubapi.com@evil.com/crm",
        "https://api.hubapi.com:pass@evil.com/crm",
        "https://app.hubspot.com/crm",
        "https://api.hubapi.com:8443/crm",
        "https://api.hubapi.com:80/crm",
        "http://api.hubapi.com:443/crm",
        "https://api.hubapi.com:/crm",
        "https://api.hubapi.com:0443/crm",
        "https://api.hubapi.com:443:443/crm",
        "https://api.hubapi.com./crm",
        "https://api.hubapi.com%2eevil.com/crm",
        "https://api.hubapi.com%00/crm",
        "https://api.hubapi.com .evil.com/crm",
        "https:// api.hubapi.com/crm",
        "https://apı.hubapi.com/crm",
        "https://api。hubapi。com/crm",
        "https://ａｐｉ.hubapi.com/crm",
        "https://api-eu2.hubapi.com/crm",
        "https://api-.hubapi.com/crm",
        "https://api-eu1.evil.com/crm",
        "https://apieu1.hubapi.com/crm",
        "https://eu1.hubapi.com/crm",
        "https://api-eu1.api.hubapi.com/crm",
        "https://[::1]/crm",
        "https://127.0.0.1/crm",
        "https://evil.com/@api.hubapi.com/crm",
        "https://evil.com?@api.hubapi.com/crm",
        "https:///crm",
        "https://",
        "https://evil.com#@api.hubapi.com/crm",
        "https:///api.hubapi.com/crm",
        "ftp://api.hubapi.com/crm",
        "file:///etc/passwd",
        "javascript://api.hubapi.com/%0aalert(1)",
        "xhttps://api.hubapi.com/crm",
        "hxxp://x/https://api.hubapi.com/crm",
        "https://https://api.hubapi.com/crm",
    ] {
        assert_eq!(refusal(endpoint), "endpoint_not_allowed", "{endpoint}");
    }
}

#[test]
fn a_malformed_or_ambiguous_endpoint_is_invalid() {
    for endpoint in [
        "",
        " ",
        "#",
        "?a=1",
        "crm/v3/owners",
        "api.hubapi.com/crm",
        "//evil.com/crm",
        "///crm",
        "https:evil.com",
        "https:/api.hubapi.com/crm",
        "https:\\\\api.hubapi.com/crm",
        "https:/\\evil.com",
        "/\\evil.com",
        "/a\\b",
        "/a?b=\\",
        "https://api.hubapi.com\\@evil.com/crm",
        "https://evil.com\\@api.hubapi.com/crm",
        "https://api.hubapi.com",
        "https://api.hubapi.com?a=1",
        "/a//b",
        "/a/b//",
        "//",
        "https://api.hubapi.com///crm",
        "https://api.hubapi.com//crm//x",
        "/a;b",
        "/a;x=1/b",
        "/a/..;/b",
        "/a/../b",
        "/..",
        "/.",
        "/a/./b",
        "/a/.",
        "/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e",
        "/a%2f..%2fb",
        "/a%2F%2E%2E",
        "/%252e%252e/b",
        "/%25252e./b",
        "/..%252fb",
        "/a/..%3bx/b",
        "/a/%2e%2e%253Bx",
        "/a/..%3Fx",
        "/a/..%23x",
        "/a/%20../b",
        "/．．/b",
        "/%EF%BC%8E%EF%BC%8E/b",
        "/%5c",
        "/%255C",
        "/a%25255cb",
        "/a%00",
        "/a%0d%0aHost:x",
        "/%250a",
        "/%7f",
        "/%C2%85",
        "/\u{85}x",
        "/a\tb",
        "/a\r\nHost: evil",
        "/a\0b",
        "/a?b\nc",
        "/a%",
        "/a%2",
        "/a%zz",
        "/%c0%ae%c0%ae/b",
        "/%ff",
        "/%25ff",
        "/%e0%80%ae/b",
        "/%252525252525252525252e",
    ] {
        assert_eq!(refusal(endpoint), "invalid_request", "{endpoint:?}");
    }
}

#[test]
fn token_and_installation_endpoints_are_refused_in_any_disguise() {
    for path in [
        "/oauth/2026-03/token",
        "/oauth/v1/access-tokens/x",
        "/OAuth/v1/token",
        "/oauth",
        "/oauth/",
        "/%6fauth/v1",
        "/%256Fauth/v1",
        "/oauth%2Fv1",
        "/%2Foauth/v1",
        "/%2f%2foauth%2fv1",
        "/oauth%3Bx/v1",
        "/oauth%3fx",
        "/oauth%20/v1",
        "/ｏａｕｔｈ/v1",
        "/appinstalls/v3/external-install",
        "/appinstalls/v3/External%2DInstall",
        "/appinstalls/v3/external-install/",
        "/appinstalls/2026-03/external-inſtall",
        "/appinstalls/v3%2fexternal-install",
        "/appinstalls/v3/external-install%3Bx",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            for endpoint in [path.to_owned(), format!("https://api.hubapi.com{path}?a=1"), format!("{path}#x")] {
                let error = target(method, &endpoint).err().map(|refusal| code(&refusal));
                assert_eq!(error, Some("endpoint_not_allowed"), "{method} {endpoint}");
            }
        }
    }
}

#[test]
fn an_endpoint_or_url_beyond_32_kib_is_too_large() {
    let long = format!("/{}", "a".repeat(32 * 1024));
    let query = [("a".to_owned(), "ü".repeat(8 * 1024))];

    assert_eq!(refusal(&long), "request_too_large");
    assert_eq!(code(&Target::parse(&origin(), "GET", "/crm", &query).unwrap_err()), "request_too_large");
    let most = 32_768 - ORIGIN.len();
    assert!(target("GET", &format!("/{}", "a".repeat(most - 1))).is_ok());
    assert_eq!(refusal(&format!("/{}", "a".repeat(most))), "request_too_large");
}

#[test]
fn methods_are_five_in_any_case() {
    for method in ["get", " Post", "PUT ", "pAtCh", "DELETE"] {
        assert_eq!(target(method, "/crm").unwrap().method().as_str(), method.trim().to_uppercase());
    }
    for method in
        ["", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "GET\r\nX: y", "GET /", "GЕT", "ＧＥＴ", "get,post"]
    {
        assert_eq!(code(&target(method, "/crm").unwrap_err()), "invalid_request", "{method:?}");
    }
}

#[test]
fn reads_and_idempotent_requests_are_distinguished() {
    for (method, path, read, idempotent) in [
        ("GET", "/crm/v3/owners", true, true),
        ("POST", "/crm/v3/objects/contacts/search", true, true),
        ("POST", "/crm/objects/2026-03/contacts/search?a=1", true, true),
        ("POST", "/crm/v3/lists/search", true, true),
        ("POST", "/crm/v3/objects/contacts/batch/read", true, true),
        ("POST", "/crm/v4/associations/contact/deal/batch/read", true, true),
        ("POST", "/crm/v3/objects/contacts", false, false),
        ("POST", "/crm/v3/objects/contacts/batch/create", false, false),
        ("POST", "/crm/v3/objects/contacts?x=/search", false, false),
        ("POST", "/crm/v3/objects/search%20", false, false),
        ("POST", "/crm/v3/objects/contacts/%73earch", false, false),
        ("POST", "/crm/v3/objects/search", false, false),
        ("POST", "/crm/objects/2026-03/search", false, false),
        ("POST", "/crm/v3/objects/search/search", true, true),
        ("POST", "/crm/v3/properties/search", false, false),
        ("POST", "/crm/v3/properties/contacts/search", false, false),
        ("POST", "/crm/v3/objects/contacts/1/associations/search", false, false),
        ("POST", "/crm/v3/objects/contacts%2F1/search", false, false),
        ("POST", "/crm/v3/objects/contacts/search/", false, false),
        ("POST", "/crm/x/objects/contacts/search", false, false),
        ("POST", "/crm/v3/anything/batch/read", false, false),
        ("POST", "/crm/v3/lists/records/memberships/batch/read", true, true),
        ("POST", "/marketing/campaigns/2026-09-beta/batch/read", true, true),
        ("POST", "/collector/graphql", true, true),
        ("POST", "/collector/graphql/graphql", false, false),
        ("PUT", "/collector/graphql", false, true),
        ("POST", "/crm/v3/objects/research", false, false),
        ("POST", "/contacts/v1/contact/createOrUpdate/email/search", false, false),
        ("PUT", "/crm/v3/objects/contacts/search", false, true),
        ("DELETE", "/crm/v3/objects/contacts/1", false, true),
        ("PATCH", "/crm/v3/objects/contacts/batch/read", false, false),
    ] {
        let target = target(method, path).unwrap();

        assert_eq!((target.is_read(), target.is_idempotent()), (read, idempotent), "{method} {path}");
    }
}

#[test]
fn searches_of_the_crm_are_those_that_hubspot_documents() {
    for (method, path, search) in [
        ("POST", "/crm/v3/objects/contacts/search", true),
        ("POST", "/crm/v3/objects/contacts/search/", true),
        ("POST", "/crm/v3/objects/contacts/search?x=/", true),
        ("POST", "/crm/objects/2026-03/0-1/search", true),
        ("POST", "/crm/v3/lists/search", true),
        ("POST", "/crm/v3/objects/search/search", true),
        ("POST", "/crm/v3/objects/search", false),
        ("POST", "/crm/v3/objects/search/", false),
        ("POST", "/crm/objects/2026-03/search", false),
        ("POST", "/crm/v3/properties/search", false),
        ("POST", "/crm/v3/objects/contacts/batch/read", false),
        ("POST", "/crm/v3/objects/contacts", false),
        ("POST", "/collector/graphql", false),
        ("GET", "/crm/v3/objects/contacts/search", false),
        ("PUT", "/crm/v3/objects/contacts/search", false),
    ] {
        assert_eq!(target(method, path).unwrap().is_search(), search, "{method} {path}");
    }
}

#[test]
fn well_known_wrong_hosts_say_what_is_wrong() {
    for (endpoint, said) in [
        ("https://api.hsforms.com/submissions/v3/integration/secure/submit/1/2", "form submissions"),
        ("https://api-eu1.hsforms.com/submissions/v3/integration/submit/1/2", "form submissions"),
        ("https://forms.hubspot.com/uploads/form/v2/1/2", "form submissions"),
        ("https://app.hubspot.com/contacts/1/record/0-1/2", "a HubSpot page"),
        ("https://app-eu1.hubspot.com/contacts/1", "a HubSpot page"),
        ("https://1.fs1.hubspotusercontent-na1.net/hubfs/1/x.pdf", "a download link"),
        ("https://f.hubspotusercontent30.net/hubfs/1/x.pdf", "a download link"),
        ("https://hubspot-bucket.s3.us-east-1.amazonaws.com/x?X-Amz-Signature=s3cret", "a download link"),
        ("https://evil.com/hubspotusercontent", "not a host and port of the HubSpot API"),
    ] {
        let refusal = target("GET", endpoint).unwrap_err();

        assert_eq!(code(&refusal), "endpoint_not_allowed", "{endpoint}");
        assert!(refusal.to_string().contains(said) && !refusal.to_string().contains("s3cret"), "{endpoint}: {refusal}");
    }
}
