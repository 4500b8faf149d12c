//! Installations that begin in the marketplace, with and without the step in which the person signs in to the app.
//!
//! A start needs what HubSpot knows from the app's listing: `client_id`, `redirect_uri` (the install URL) and `scope`.

use url::form_urlencoded::Serializer;

use super::consent;
use super::journal::RecordedRequest;
use super::state::App;
use crate::wire::Answer;

/// `GET /marketplace/install`: the person has clicked *Install*. With `sign_in=none` the app has no partner sign-in.
pub(super) fn install(app: &App, request: &RecordedRequest) -> Answer {
    let listing: Vec<_> = request.query_pairs().into_iter().filter(|(name, _)| name != "sign_in").collect();
    let continued = address(request, &listing);
    if request.query_pairs().iter().any(|(name, value)| name == "sign_in" && value == "none") {
        return consent::page(app, &with_return_url(&listing, &continued));
    }
    let Some((_, install_url)) = listing.iter().find(|(name, _)| name == "redirect_uri") else {
        return Answer::html(400, "<h1>The app has no install URL</h1>");
    };
    let query =
        Serializer::new(String::new()).append_pair("step", "authorize").append_pair("returnUrl", &continued).finish();
    Answer::redirect(302, &format!("{install_url}?{query}"))
}

/// `GET /marketplace/authorize`: the return URL. With the app's `state` it asks for consent, without it shows the end.
pub(super) fn authorize(app: &App, request: &RecordedRequest) -> Answer {
    let (state, listing): (Vec<_>, Vec<_>) = request.query_pairs().into_iter().partition(|(name, _)| name == "state");
    if state.is_empty() {
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>Installed</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{}</style>\n\
             <main>\n<h1>The app is installed</h1>\n<p>This page emulates HubSpot's.</p>\n</main>\n</html>\n",
            consent::STYLE
        );
        return Answer::html(200, &page);
    }
    let all: Vec<_> = listing.iter().cloned().chain(state).collect();
    consent::page(app, &with_return_url(&all, &address(request, &listing)))
}

fn address(request: &RecordedRequest, listing: &[(String, String)]) -> String {
    let host = request.header("host").unwrap_or_default();
    let query = Serializer::new(String::new()).extend_pairs(listing).finish();
    format!("http://{host}/marketplace/authorize?{query}")
}

fn with_return_url(pairs: &[(String, String)], return_url: &str) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).append_pair("return_url", return_url).finish()
}
