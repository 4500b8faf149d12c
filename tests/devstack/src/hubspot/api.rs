//! API calls: who may do what, and how often.

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::call::Call;
use super::journal::RecordedRequest;
use super::kind::Kind;
use super::portal::Portal;
use super::published::Published;
use super::state::App;
use super::{elsewhere, objects, problem};
use crate::wire::Answer;

/// The operation of a path and a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    List(&'static Kind),
    Create(&'static Kind),
    Read(&'static Kind, String),
    Update(&'static Kind, String),
    Archive(&'static Kind, String),
    Search(&'static Kind),
    BatchRead(&'static Kind),
    Associate(&'static Kind, String, &'static Kind, String),
    /// An operation of which only the scopes are emulated, all of them needed.
    ScopesOnly(&'static [&'static str]),
    /// The same, where one of several sets of scopes is enough.
    Alternatives(elsewhere::Alternatives),
    /// Any other published operation, whose scopes are those of the product's table.
    Published(Published),
}

pub(super) fn answer(app: &mut App, request: &RecordedRequest) -> Answer {
    let route = match route(request) {
        Ok(route) => route,
        Err(refusal) => return refusal,
    };
    let (hub_id, scopes) = match authenticate(app, request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let (now, limit) = (app.now(), app.rate_limit);
    let Some(portal) = app.portals.get_mut(&hub_id).filter(|portal| portal.exists) else {
        return problem::invalid_authentication("The account of this token does not exist.");
    };
    let max = limit.unwrap_or_default().per_ten_seconds.to_string();
    let counted = portal.count(limit, matches!(route, Endpoint::Search(_)), now);
    let (answer, remaining) = match counted {
        Err(policy) => (problem::rate_limited(policy), 0),
        Ok(remaining) => {
            let call = Call { request, query: request.query_pairs(), now };
            (route.refusal(&scopes).unwrap_or_else(|| perform(portal, &call, &route)), remaining)
        }
    };
    let answer = answer.header("x-hubspot-correlation-id", &problem::correlation_id());
    if counted == Err("SECONDLY") {
        // This one comes without headers.
        return answer;
    }
    answer
        .header("X-HubSpot-RateLimit-Max", &max)
        .header("X-HubSpot-RateLimit-Remaining", &remaining.to_string())
        .header("X-HubSpot-RateLimit-Interval-Milliseconds", "10000")
}

fn perform(portal: &mut Portal, call: &Call<'_>, route: &Endpoint) -> Answer {
    let outcome = match route {
        Endpoint::List(kind) => objects::list(portal, call, kind),
        Endpoint::Create(kind) => objects::create(portal, call, kind),
        Endpoint::Read(kind, id) => objects::read(portal, call, kind, id),
        Endpoint::Update(kind, id) => objects::update(portal, call, kind, id),
        Endpoint::Archive(kind, id) => Ok(objects::archive(portal, kind, id)),
        Endpoint::Search(kind) => objects::search(portal, call, kind),
        Endpoint::BatchRead(kind) => objects::batch_read(portal, call, kind),
        Endpoint::Associate(from, id, to, other) => objects::associate(portal, call.now, (from, id), (to, other)),
        Endpoint::ScopesOnly(_) | Endpoint::Alternatives(_) => Ok(Answer::json(200, &json!({ "results": [] }))),
        Endpoint::Published(_) => Ok(Answer::json(200, &json!({}))),
    };
    outcome.unwrap_or_else(|refusal| refusal)
}

impl Endpoint {
    /// HubSpot's refusal of a token whose scopes do not cover the call.
    fn refusal(&self, granted: &[String]) -> Option<Answer> {
        if let Self::Published(operation) = self {
            return operation.refusal(granted);
        }
        let required = self.scopes();
        let covers = |set: &[&str]| set.iter().all(|scope| granted.iter().any(|own| own == scope));
        let covered =
            if let Self::Alternatives(sets) = self { sets.iter().any(|set| covers(set)) } else { covers(&required) };
        (!covered).then(|| problem::missing_scopes(&required))
    }

    /// The scopes that it takes, all of them; of alternatives the first.
    fn scopes(&self) -> Vec<&'static str> {
        match self {
            Self::List(kind) | Self::Read(kind, _) | Self::Search(kind) | Self::BatchRead(kind) => kind.read.to_vec(),
            Self::Create(kind) | Self::Update(kind, _) | Self::Archive(kind, _) => kind.write.to_vec(),
            Self::Associate(from, _, to, _) if from.write == to.write => from.write.to_vec(),
            Self::Associate(from, _, to, _) => [from.write, to.write].concat(),
            Self::ScopesOnly(scopes) => scopes.to_vec(),
            Self::Alternatives(sets) => sets.first().map_or_else(Vec::new, |set| set.to_vec()),
            Self::Published(_) => Vec::new(),
        }
    }
}

/// The route, or what the web server says to a path or method that it does not know.
fn route(request: &RecordedRequest) -> Result<Endpoint, Answer> {
    let published = || Published::find(&request.method, request.path()).map(Endpoint::Published);
    modelled(request).or_else(|unknown| published().ok_or(unknown))
}

/// The route, if the emulator knows more of it than its scopes.
fn modelled(request: &RecordedRequest) -> Result<Endpoint, Answer> {
    let decoded: Vec<String> = request
        .path()
        .split('/')
        .skip(1)
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let mut segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    let method = request.method.as_str();
    let kind = |name: &str| Kind::find(name).ok_or_else(problem::no_route);
    match segments.as_slice() {
        ["crm", "v3", "objects", name, rest @ ..] | ["crm", "objects", "2026-03" | "2026-09", name, rest @ ..] => {
            of_objects(method, kind(name)?, rest)
        }
        ["crm", "v4", "objects", from, id, "associations", "default", to, other] => {
            only(method, "PUT", Endpoint::Associate(kind(from)?, (*id).to_owned(), kind(to)?, (*other).to_owned()))
        }
        ["crm", "v4", "objects", from, _, "associations", _] => {
            only(method, "GET", Endpoint::ScopesOnly(kind(from)?.read))
        }
        segments => elsewhere::scopes(method, segments).map(Endpoint::Alternatives).ok_or_else(problem::no_route),
    }
}

fn of_objects(method: &str, kind: &'static Kind, rest: &[&str]) -> Result<Endpoint, Answer> {
    match (rest, method) {
        ([], "GET") => Ok(Endpoint::List(kind)),
        ([], "POST") => Ok(Endpoint::Create(kind)),
        (["search"], _) => only(method, "POST", Endpoint::Search(kind)),
        (["batch", "read"], _) => only(method, "POST", Endpoint::BatchRead(kind)),
        (["batch", "create"], _) => only(method, "POST", Endpoint::ScopesOnly(kind.write)),
        ([id], "GET") => Ok(Endpoint::Read(kind, (*id).to_owned())),
        ([id], "PATCH") => Ok(Endpoint::Update(kind, (*id).to_owned())),
        ([id], "DELETE") => Ok(Endpoint::Archive(kind, (*id).to_owned())),
        ([] | [_], _) => Err(problem::method_not_allowed()),
        _ => Err(problem::no_route()),
    }
}

fn only(method: &str, allowed: &str, route: Endpoint) -> Result<Endpoint, Answer> {
    if method == allowed { Ok(route) } else { Err(problem::method_not_allowed()) }
}

/// The portal and the scopes of the caller's access token.
fn authenticate(app: &App, request: &RecordedRequest) -> Result<(u64, Vec<String>), Answer> {
    let invalid = problem::invalid_authentication;
    let headers = request.headers_named("authorization");
    let [header] = headers.as_slice() else {
        let words = "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find \
            more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
        return Err(invalid(words));
    };
    let token = std::str::from_utf8(header).ok().and_then(|header| header.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    let known = token.and_then(|token| app.grants.access.get(token));
    let Some(access) = known.filter(|access| !access.revoked) else {
        return Err(invalid("The access token is invalid, or it was revoked."));
    };
    if app.now() >= access.expires_at {
        let words = "The OAuth token used to make this call expired.";
        return Err(problem::problem(401, "EXPIRED_AUTHENTICATION", words));
    }
    Ok((app.grants.grants[access.grant].hub_id, access.scopes.clone()))
}
