//! Configuration from the environment, read once and reported whole.

use std::time::Duration;

use guard::hubs::Hub;
use url::{Host, Url};

/// Reads variables through a lookup, collecting every error.
///
/// An empty value counts as an absent one: a template hands over unused parameters that way.
pub struct Reader<L> {
    lookup: L,
    errors: Vec<String>,
}

impl Reader<fn(&str) -> Option<String>> {
    /// A reader of the process's environment.
    pub fn environment() -> Self {
        Self::new(environment)
    }
}

/// A variable of the process's environment.
pub fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    std::env::var(name).ok()
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// A reader by `lookup`.
    pub fn new(lookup: L) -> Self {
        Self { lookup, errors: Vec::new() }
    }

    /// Ends the reading: all missing and invalid names at once, or the value that was built from them.
    pub fn finish<T>(self, value: T) -> Result<T, Invalid> {
        if self.errors.is_empty() { Ok(value) } else { Err(Invalid(self.errors.join("; "))) }
    }

    /// A setting that two parts of the configuration need is reported once.
    fn report(&mut self, error: String) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// A text without a default.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.report(format!("{name} is missing"));
            String::new()
        })
    }

    /// A text, or none.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    /// A text with a default.
    pub fn text(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// A space-separated list, empty by default.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.optional(name).map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// A space-separated list without a default.
    pub fn required_list(&mut self, name: &str) -> Vec<String> {
        self.required(name).split_whitespace().map(str::to_owned).collect()
    }

    /// A whole number within a range.
    pub fn number(&mut self, name: &str, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        let Some(text) = self.optional(name) else { return default };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.report(format!("{name} must be a whole number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    /// An address: https, or http on loopback. Without a default it must be given.
    pub fn url(&mut self, name: &str, default: Option<&str>) -> Url {
        let text = match default {
            Some(default) => self.text(name, default),
            None => self.required(name),
        };
        if text.is_empty() {
            return placeholder();
        }
        match Url::parse(&text) {
            Ok(url) if is_safe(&url) => url,
            _ => {
                self.report(format!("{name} must be an https address (http on loopback only)"));
                placeholder()
            }
        }
    }

    /// An address that is scheme, host and port alone: something whose paths are ours to make.
    pub fn origin(&mut self, name: &str, default: Option<&str>) -> Url {
        let url = self.url(name, default);
        if !is_bare(&url) {
            self.report(format!("{name} must be scheme and host only"));
        }
        url
    }

    /// One origin for each regional hub, from a pattern in which `{hub}` is the hub's name.
    fn hub_origins(&mut self, name: &str, default: &str) -> HubOrigins {
        let pattern = self.text(name, default);
        let origins: Vec<(Hub, Url)> = Hub::all()
            .filter_map(|hub| Some((hub, Url::parse(&pattern.replace("{hub}", hub.as_str())).ok()?)))
            .filter(|(_, url)| is_safe(url) && is_bare(url))
            .collect();
        if origins.len() < Hub::all().count() {
            self.errors.push(format!("{name} must be scheme and host only, with {{hub}} for the hub's name"));
        }
        HubOrigins(origins)
    }

    /// Where the integrations and their tokens are.
    pub fn state(&mut self) -> StateConfig {
        StateConfig {
            integrations_table: self.required("INTEGRATIONS_TABLE"),
            secret_prefix: self.required("SECRET_PREFIX"),
            secrets_kms_key: self.optional("SECRETS_KMS_KEY"),
        }
    }

    /// Where HubSpot's API is.
    pub fn hubspot(&mut self) -> HubSpotConfig {
        HubSpotConfig {
            api_url: self.origin("HUBSPOT_API_URL", Some("https://api.hubapi.com")),
            hub_api_urls: self.hub_origins("HUBSPOT_HUB_API_URL", "https://api-{hub}.hubapi.com"),
            oauth_version: self.text("HUBSPOT_OAUTH_VERSION", "2026-03"),
            token_timeout: Duration::from_secs(self.number("TOKEN_TIMEOUT_SECONDS", 8, 1..=20).into()),
        }
    }

    /// How tokens are refreshed.
    pub fn refresh(&mut self) -> RefreshConfig {
        let token_timeout = self.number("TOKEN_TIMEOUT_SECONDS", 8, 1..=20);
        let lease = self.number("REFRESH_LEASE_SECONDS", 20, 11..=60);
        if lease < token_timeout + 10 {
            self.report("REFRESH_LEASE_SECONDS must exceed TOKEN_TIMEOUT_SECONDS by 10".to_owned());
        }
        RefreshConfig {
            lease: lease.into(),
            token_timeout: token_timeout.into(),
            idle_after: i64::from(self.number("IDLE_AFTER_HOURS", 24, 1..=8760)) * 3600,
            idle_probe: i64::from(self.number("IDLE_PROBE_HOURS", 2, 1..=168)) * 3600,
        }
    }

    /// The names of what the dashboard's authorizer puts into its token.
    pub fn claims(&self) -> Claims {
        Claims {
            account: self.text("ACCOUNT_CLAIM", "account_id"),
            role: self.text("ROLE_CLAIM", "role"),
            admin: self.text("ADMIN_ROLE", "admin"),
        }
    }
}

/// Every problem of the configuration at once, by name.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not complete: {0}")]
pub struct Invalid(String);

/// Where the integrations and their tokens are.
#[derive(Clone, Debug)]
pub struct StateConfig {
    /// `INTEGRATIONS_TABLE`.
    pub integrations_table: String,
    /// `SECRET_PREFIX`, without a slash at its end.
    pub secret_prefix: String,
    /// `SECRETS_KMS_KEY`, the key of new secrets.
    pub secrets_kms_key: Option<String>,
}

/// Where HubSpot's API is, and how long its token endpoint may take.
#[derive(Clone, Debug)]
pub struct HubSpotConfig {
    /// `HUBSPOT_API_URL`.
    pub api_url: Url,
    /// `HUBSPOT_HUB_API_URL`.
    pub hub_api_urls: HubOrigins,
    /// `HUBSPOT_OAUTH_VERSION`, the date in the token endpoint's path.
    pub oauth_version: String,
    /// `TOKEN_TIMEOUT_SECONDS`.
    pub token_timeout: Duration,
}

/// How tokens are refreshed; all in seconds.
#[derive(Clone, Copy, Debug)]
pub struct RefreshConfig {
    /// `REFRESH_LEASE_SECONDS`.
    pub lease: i64,
    /// `TOKEN_TIMEOUT_SECONDS`.
    pub token_timeout: i64,
    /// `IDLE_AFTER_HOURS`.
    pub idle_after: i64,
    /// `IDLE_PROBE_HOURS`.
    pub idle_probe: i64,
}

/// Names and values of the claims that say who is calling.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `ACCOUNT_CLAIM`.
    pub account: String,
    /// `ROLE_CLAIM`.
    pub role: String,
    /// `ADMIN_ROLE`.
    pub admin: String,
}

/// The origins of HubSpot's regional hubs: a fixed list.
#[derive(Clone, Debug)]
pub struct HubOrigins(Vec<(Hub, Url)>);

impl HubOrigins {
    /// The origin of a hub's API.
    pub fn get(&self, hub: Hub) -> Option<&Url> {
        self.0.iter().find(|(listed, _)| *listed == hub).map(|(_, origin)| origin)
    }
}

/// An address with the scheme, host and port of `origin`; nothing else of it changes.
pub fn at_origin(mut url: Url, origin: &Url) -> Url {
    // These cannot fail: both are addresses of https, or of http on loopback.
    let _ = url.set_scheme(origin.scheme());
    let _ = url.set_host(origin.host_str());
    let _ = url.set_port(origin.port());
    url
}

/// Returns true if an address has nothing but scheme, host and port.
fn is_bare(url: &Url) -> bool {
    let nothing_after = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    nothing_after && url.username().is_empty() && url.password().is_none()
}

/// Returns true if an address may carry secrets: https, or http that never leaves the machine.
fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// Replaces an address that is already reported as wrong.
fn placeholder() -> Url {
    #[expect(clippy::unwrap_used, reason = "a literal")]
    Url::parse("https://invalid.localhost").unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &'static [(&str, &str)]) -> Reader<impl Fn(&str) -> Option<String>> {
        Reader::new(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        let mut reader = reader(&[
            ("SECRET_PREFIX", ""),
            ("HUBSPOT_API_URL", "http://api.hubapi.com"),
            ("REFRESH_LEASE_SECONDS", "12"),
            ("IDLE_AFTER_HOURS", "soon"),
        ]);
        let _ = (reader.state(), reader.hubspot(), reader.refresh());

        let error = reader.finish(()).unwrap_err().to_string();

        for name in
            ["INTEGRATIONS_TABLE", "SECRET_PREFIX", "HUBSPOT_API_URL", "REFRESH_LEASE_SECONDS", "IDLE_AFTER_HOURS"]
        {
            assert!(error.contains(name), "{name} is not in {error}");
        }
    }

    #[test]
    fn a_wrong_setting_that_two_parts_need_is_reported_once() {
        let mut reader =
            reader(&[("TOKEN_TIMEOUT_SECONDS", "soon"), ("SECRET_PREFIX", "p"), ("INTEGRATIONS_TABLE", "t")]);
        let _ = (reader.hubspot(), reader.refresh());

        let error = reader.finish(()).unwrap_err().to_string();

        assert_eq!(error.matches("TOKEN_TIMEOUT_SECONDS").count(), 1, "{error}");
    }

    #[test]
    fn a_required_list_is_split_at_blanks_and_reported_if_empty() {
        let mut reader = reader(&[("SCOPES", " a  b "), ("NONE", " ")]);

        assert_eq!(reader.required_list("SCOPES"), ["a", "b"]);
        assert!(reader.required_list("NONE").is_empty());
        assert_eq!(reader.finish(()).unwrap_err().to_string(), "the configuration is not complete: NONE is missing");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for (url, good) in [
            ("https://api.hubapi.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://hub.localhost:1", true),
            ("http://[::1]:1", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(is_safe(&Url::parse(url).unwrap()), good, "{url}");
        }
    }

    #[test]
    fn an_origin_has_nothing_but_scheme_and_host() {
        for url in ["https://a.example/x", "https://u@a.example", "https://a.example?x"] {
            let mut reader = Reader::new(|_: &str| Some(url.to_owned()));
            reader.origin("PUBLIC_URL", None);

            assert!(reader.finish(()).is_err(), "{url}");
        }
    }

    #[test]
    fn every_hub_has_an_origin_of_the_pattern() {
        let hub = |name| Hub::parse(name).unwrap();
        let origins = |pattern: Option<&'static str>| {
            let mut reader = Reader::new(move |_: &str| pattern.map(str::to_owned));
            let origins = reader.hub_origins("HUBSPOT_HUB_API_URL", "https://api-{hub}.hubapi.com");
            reader.finish(origins)
        };

        let default = origins(None).unwrap();
        assert_eq!(default.get(hub("eu1")).unwrap().as_str(), "https://api-eu1.hubapi.com/");
        let one = origins(Some("http://127.0.0.1:8080")).unwrap();
        assert_eq!(one.get(hub("ap1")), one.get(hub("na1")));
        for pattern in ["http://api-{hub}.hubapi.com", "https://api-{hub}.hubapi.com/crm", "https://", "{hub}"] {
            assert!(origins(Some(pattern)).is_err(), "{pattern}");
        }
    }
}
