//! The consent page: for people two buttons, for a test one form post.

use url::Url;

use super::grants::{Code, identifier};
use super::journal::pairs;
use super::state::App;
use crate::wire::Answer;

/// The app's request, validated.
struct ConsentRequest {
    redirect_uri: Url,
    given_redirect_uri: String,
    /// None where HubSpot makes the request itself, for an app without partner sign-in.
    state: Option<String>,
    /// Where the browser goes after an installation that began in the marketplace.
    return_url: Option<String>,
    required: Vec<String>,
    optional: Vec<String>,
    challenge: Option<String>,
}

/// The page that asks the person.
pub(super) fn page(app: &App, query: &str) -> Answer {
    match ConsentRequest::parse(app, &pairs(query.as_bytes())) {
        Ok(request) => Answer::html(200, &html(app, &request, query)).header("cache-control", "no-store"),
        Err(words) => refuse(words),
    }
}

/// The person's decision: the page's query, and `decision` (`accept` or `decline`) and `hub_id` beside it.
pub(super) fn decision(app: &mut App, form: &str) -> Answer {
    let parameters = pairs(form.as_bytes());
    let request = match ConsentRequest::parse(app, &parameters) {
        Ok(request) => request,
        Err(words) => return refuse(words),
    };
    match (one(&parameters, "decision"), one(&parameters, "hub_id").map(|hub_id| hub_id.map(str::parse))) {
        (Ok(Some("decline")), _) => {
            request.back(&[("error", "access_denied"), ("error_description", "The user denied access to the app.")])
        }
        (Ok(Some("accept")), Ok(Some(Ok(hub_id)))) => accept(app, &request, hub_id),
        (Ok(Some("accept")), Ok(None)) => match app.portals.keys().next().copied() {
            Some(hub_id) => accept(app, &request, hub_id),
            None => refuse("there is no HubSpot account"),
        },
        _ => refuse("the decision is neither accept nor decline, or the account is no number"),
    }
}

fn accept(app: &mut App, request: &ConsentRequest, hub_id: u64) -> Answer {
    let Some(portal) = app.portals.get(&hub_id).filter(|portal| portal.exists) else {
        return refuse("this HubSpot account does not exist");
    };
    if let Some(lacking) = request.required.iter().find(|scope| !portal.can_grant(scope)) {
        return refuse(&format!("this HubSpot account has no access to the scope {lacking}"));
    }
    let optional = request.optional.iter().filter(|scope| portal.can_grant(scope));
    let mut scopes: Vec<String> = Vec::new();
    for scope in request.required.iter().chain(optional) {
        let names = app.renamed_scopes.get(scope).map_or(std::slice::from_ref(scope), Vec::as_slice);
        scopes.extend(names.iter().filter(|name| !scopes.contains(name)).cloned().collect::<Vec<_>>());
    }
    let code = identifier();
    let issued = Code {
        redirect_uri: request.given_redirect_uri.clone(),
        challenge: request.challenge.clone(),
        hub_id,
        scopes,
        expires_at: app.now() + app.code_seconds * 1000,
        used: false,
    };
    app.grants.codes.insert(code.clone(), issued);
    request.back(&[("code", &code)])
}

impl ConsentRequest {
    fn parse(app: &App, parameters: &[(String, String)]) -> Result<Self, &'static str> {
        let one = |name| one(parameters, name);
        if one("client_id")? != Some(app.client_id.as_str()) {
            return Err("no app has this client_id");
        }
        if one("response_type")?.is_some_and(|kind| kind != "code") {
            return Err("response_type must be code");
        }
        let given = one("redirect_uri")?.ok_or("redirect_uri is missing")?;
        let registered = app.redirect_uris.is_empty() || app.redirect_uris.iter().any(|uri| uri == given);
        let redirect_uri = Url::parse(given).ok().filter(|uri| registered && may_be_registered(uri));
        let challenge = match (one("code_challenge")?, one("code_challenge_method")?) {
            (None, None) => None,
            (Some(challenge), Some("S256")) if challenge.len() == 43 => Some(challenge.to_owned()),
            _ => return Err("code_challenge must be one of the method S256"),
        };
        let words = |text: Option<&str>| -> Vec<String> {
            text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let state = one("state")?.filter(|state| !state.is_empty()).map(str::to_owned);
        let return_url = one("return_url")?.map(str::to_owned);
        if state.is_none() && return_url.is_none() {
            // HubSpot would let an app do without; ours never may.
            return Err("state is missing");
        }
        let required = words(one("scope")?);
        if required.is_empty() {
            return Err("scope is missing");
        }
        Ok(Self {
            redirect_uri: redirect_uri.ok_or("the app has not registered this redirect_uri")?,
            given_redirect_uri: given.to_owned(),
            state,
            return_url,
            required,
            optional: words(one("optional_scope")?),
            challenge,
        })
    }

    fn back(&self, parameters: &[(&str, &str)]) -> Answer {
        let mut to = self.redirect_uri.clone();
        let step = self.state.as_ref().and(self.return_url.as_ref()).map(|_| ("step", "finalize"));
        let state = self.state.as_deref().map(|state| ("state", state));
        let return_url = self.return_url.as_deref().map(|url| ("returnUrl", url));
        let all = step.into_iter().chain(parameters.iter().copied()).chain(state).chain(return_url);
        to.query_pairs_mut().extend_pairs(all);
        Answer::redirect(302, to.as_str()).header("cache-control", "no-store")
    }
}

/// HubSpot takes https, and http for this machine only.
fn may_be_registered(uri: &Url) -> bool {
    let host = uri.host_str().unwrap_or_default();
    let here = host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]";
    uri.scheme() == "https" || (uri.scheme() == "http" && here)
}

/// A parameter that may be given once.
fn one<'a>(parameters: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, &'static str> {
    let mut given = parameters.iter().filter(|(own, _)| own == name);
    match (given.next(), given.next()) {
        (Some(_), Some(_)) => Err("a parameter is given twice"),
        (first, _) => Ok(first.map(|(_, value)| value.as_str())),
    }
}

/// HubSpot shows what is wrong itself, and sends nobody back.
fn refuse(words: &str) -> Answer {
    let page = format!(
        "<!doctype html><title>Authorization failed</title><h1>Authorization failed</h1><p>{}</p>",
        escape(words)
    );
    Answer::html(400, &page)
}

/// The style of the emulated pages.
pub(super) const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui;max-width:34rem;margin:3rem auto;padding:0 1rem}\
button{font:inherit;padding:.5rem 1.5rem;margin-right:1rem}";

fn html(app: &App, request: &ConsentRequest, query: &str) -> String {
    let hidden: String = pairs(query.as_bytes())
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value)))
        .collect();
    let portals: String = app
        .portals
        .values()
        .filter(|portal| portal.exists)
        .map(|portal| format!("<option value=\"{0}\">{1} ({0})</option>\n", portal.hub_id, escape(&portal.domain)))
        .collect();
    let list =
        |scopes: &[String]| -> String { scopes.iter().map(|scope| format!("<li>{}</li>\n", escape(scope))).collect() };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>Connect an app to HubSpot (emulated)</title>\n\
         <style>{STYLE}</style>\n\
         <main>\n<h1>Connect CloudTalk to HubSpot</h1>\n<p>This page emulates HubSpot's. CloudTalk asks for:</p>\n\
         <ul>\n{}</ul>\n<p>and, where the account has it:</p>\n<ul>\n{}</ul>\n\
         <form method=\"post\" action=\"/oauth/authorize/decision\">\n{hidden}\
         <p><label>HubSpot account <select name=\"hub_id\">\n{portals}</select></label></p>\n\
         <button name=\"decision\" value=\"accept\">Accept</button>\n\
         <button name=\"decision\" value=\"decline\">Decline</button>\n</form>\n</main>\n</html>\n",
        list(&request.required),
        list(&request.optional),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
