//! Installations that begin at HubSpot, in its marketplace: the one address there that a browser may be sent back to.

use guard::hubs::Hub;
use url::Url;

/// HubSpot's application; each hub has a host of its own too.
const HUBSPOT_APP: &str = "https://app.hubspot.com";
/// Longest address that is accepted, in bytes.
const LONGEST_RETURN_URL: usize = 2048;

/// A page of HubSpot's application, where an installation that began there continues.
///
/// Invariant: the address is compared as text, so that no two parsers can disagree about its host. It has no fragment,
/// no `state` of its own, and no byte that a browser would strip or rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReturnUrl(Url);

impl ReturnUrl {
    /// The address, if it is one of HubSpot's application. The origin of `authorize_url` is HubSpot's too: in the local
    /// stack it is the emulator's.
    pub(crate) fn parse(text: &str, authorize_url: &Url) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\#\"<>`{}|^'".contains(&byte);
        if text.len() > LONGEST_RETURN_URL || !text.bytes().all(plain) {
            return None;
        }
        let configured = authorize_url.origin().ascii_serialization();
        let of_hubs = Hub::all().map(|hub| format!("https://app-{hub}.hubspot.com"));
        let mut origins = [HUBSPOT_APP.to_owned(), configured].into_iter().chain(of_hubs);
        let path_or_query = |rest: &str| rest.is_empty() || rest.starts_with('/') || rest.starts_with('?');
        if !origins.any(|origin| text.strip_prefix(&origin).is_some_and(path_or_query)) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let has_state = url.query_pairs().any(|(name, _)| name == "state");
        if has_state { None } else { Some(Self(url)) }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address at which HubSpot asks for consent: this one, with our `state` added.
    pub(crate) fn with_state(&self, state: &str) -> Url {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair("state", state);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<ReturnUrl> {
        ReturnUrl::parse(text, &Url::parse("http://127.0.0.1:9999/oauth/authorize").unwrap())
    }

    #[test]
    fn a_return_url_is_a_page_of_hubspots_application() {
        for good in [
            "https://app.hubspot.com",
            "https://app.hubspot.com/",
            "https://app.hubspot.com/oauth/1/authorize?client_id=a&scope=b%20c",
            "https://app-eu1.hubspot.com/integrations-settings/1/installed",
            "https://app-na1.hubspot.com/",
            "https://app-na2.hubspot.com?x=1",
            "https://app-na3.hubspot.com/",
            "https://app-ap1.hubspot.com/",
            "http://127.0.0.1:9999/marketplace?portal=1",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
    }

    #[test]
    fn every_other_address_is_dropped() {
        for bad in [
            "",
            "/",
            "app.hubspot.com",
            "//app.hubspot.com/",
            "http://app.hubspot.com/",
            "HTTPS://app.hubspot.com/",
            "https://APP.hubspot.com/",
            "https:app.hubspot.com/",
            "https:///app.hubspot.com/",
            "https:\\\\app.hubspot.com\\",
            "https://app.hubspot.com.evil.example/",
            "https://app.hubspot.com.",
            "https://app.hubspot.com@evil.example/",
            "https://app.hubspot.com%40evil.example/",
            "https://user@app.hubspot.com/",
            "https://user:pass@app.hubspot.com/",
            "https://app.hubspot.com:443/",
            "https://app.hubspot.com:8443/",
            "https://app.hubspot.com\\@evil.example/",
            "https://app.hubspot.com\t.evil.example/",
            "https://app.hubspot.com\n/",
            " https://app.hubspot.com/",
            "https://app.hubspot.com/ x",
            "https://app.hubspot.com/#x",
            "https://app.hubspot.com#@evil.example/",
            "https://app.hubspot.com;evil.example/",
            "https://app.hubspot.com/?state=theirs",
            "https://app.hubspot.com/?%73tate=theirs",
            "https://app-xx9.hubspot.com/",
            "https://app-eu1.evil.example/",
            "https://app-.hubspot.com/",
            "https://eu1.hubspot.com/",
            "https://evil.example/?https://app.hubspot.com/",
            "https://hubspot.com/",
            "https://xn--app-.hubspot.com/",
            "https://app\u{3002}hubspot.com/",
            "https://app.hubspot.com/\u{202e}",
            "http://127.0.0.1:9998/",
            "http://127.0.0.1:99990/",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse(&format!("https://app.hubspot.com/{}", "x".repeat(2048))), None);
    }

    #[test]
    fn the_state_is_added_to_the_query_that_is_there() {
        let with_query = parse("https://app.hubspot.com/a?b=c%20d").unwrap();
        let without = parse("https://app.hubspot.com/a").unwrap();

        assert_eq!(with_query.with_state("s").as_str(), "https://app.hubspot.com/a?b=c%20d&state=s");
        assert_eq!(without.with_state("s").as_str(), "https://app.hubspot.com/a?state=s");
    }
}
