//! The hosts that automations may name, and what comes after them.

use super::{invalid, not_allowed};
use crate::hubs::Hub;
use crate::refusal::Refusal;

/// The domains that automations name HubSpot's API by, with a regional form `api-{hub}.…` each; all of them mean the
/// one origin.
const DOMAINS: [&str; 2] = ["hubapi.com", "hubspot.com"];

/// The parts of an endpoint after the host.
pub(super) struct Place<'a> {
    /// Empty, or from `/` or `?` on.
    pub(super) rest: &'a str,
    pub(super) has_userinfo: bool,
    pub(super) hub: Option<Hub>,
}

/// Compares the host of an endpoint with the list, and drops it.
pub(super) fn after_host(endpoint: &str) -> Result<Place<'_>, Refusal> {
    if endpoint.starts_with('/') && !endpoint.starts_with("//") {
        return Ok(Place { rest: endpoint, has_userinfo: false, hub: None });
    }
    let Some((scheme, rest)) = endpoint.split_once("://") else {
        return Err(invalid("a path that begins with one `/`, or a URL of HubSpot's API, is expected"));
    };
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(not_allowed("only https URLs of HubSpot's API and paths are accepted")),
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // Clients differ in which `@` ends the userinfo; the host after the last one has to be listed either way.
    let (has_userinfo, host) = authority.rsplit_once('@').map_or((false, authority), |(_, host)| (true, host));
    let host = host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    let hub = api_host(&host).ok_or_else(|| not_allowed(wrong_host(&host)))?;
    // HubSpot's own samples have a second slash after the host. Further on, an empty segment may be a lost value.
    let rest = rest.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(rest);
    Ok(Place { rest, has_userinfo, hub })
}

/// The hub of one of the API's hosts; `None` for any other host.
fn api_host(host: &str) -> Option<Option<Hub>> {
    let (name, domain) = host.split_once('.')?;
    match name.strip_prefix("api-") {
        _ if !DOMAINS.contains(&domain) => None,
        None => (name == "api").then_some(None),
        Some(hub) => Hub::parse(hub).map(Some),
    }
}

/// The problem with a host, and its remedy.
fn wrong_host(host: &str) -> &'static str {
    let domain = host.split_once('.').map_or("", |(_, domain)| domain);
    if domain == "hsforms.com" || host == "forms.hubspot.com" {
        "form submissions have a host of their own, which takes no token here; \
         send them to https://api.hsforms.com/submissions/v3/integration/submit/{portalId}/{formId} directly"
    } else if domain == "hubspot.com" && (host.starts_with("app.") || host.starts_with("app-")) {
        "this is a HubSpot page, not the API; use the API's path, such as /crm/v3/objects/contacts/{contactId}"
    } else if host.contains("hubspotusercontent") || domain.ends_with("amazonaws.com") {
        "a download link needs no authorization; open it directly, without this service"
    } else {
        "not a host and port of the HubSpot API; use a path, or https://api.hubapi.com"
    }
}
