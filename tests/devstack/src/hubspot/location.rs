//! Where a portal lives, and what calls at another host get.

use super::journal::RecordedRequest;
use super::problem;
use super::state::App;
use crate::wire::Answer;

/// Where a portal lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortalLocation {
    /// Where the common host serves it.
    Common,
    /// In this hub, whose API host has to be called with the grants that are older than the move.
    Hub(&'static str),
    /// On the way to another hub: every call has to wait.
    Migrating,
}

impl PortalLocation {
    pub(super) fn apply(self, app: &mut App, hub_id: u64) {
        let moved_to = if let Self::Hub(hub) = self { Some(hub.to_owned()) } else { None };
        for grant in app.grants.of_portal(hub_id) {
            app.grants.grants[grant].moved_to.clone_from(&moved_to);
        }
        if let Some(portal) = app.portals.get_mut(&hub_id) {
            portal.is_migrating = self == Self::Migrating;
        }
    }
}

/// The answer to a call of a portal that this host does not serve.
pub(super) fn answer(app: &App, request: &RecordedRequest) -> Option<Answer> {
    let grant = &app.grants.grants[grant(app, request)?];
    if app.portals.get(&grant.hub_id)?.is_migrating {
        return Some(problem::migrating());
    }
    let is_at_hub = request.header("host").is_some_and(|host| app.hub_url.ends_with(&format!("//{host}")));
    grant.moved_to.as_deref().filter(|_| !is_at_hub).map(problem::wrong_hub)
}

/// The grant whose token a call carries.
fn grant(app: &App, request: &RecordedRequest) -> Option<usize> {
    if request.is_oauth() {
        let form = request.form();
        let token = |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let refresh = token("refresh_token").and_then(|token| app.grants.refresh.get(token)).map(|token| token.grant);
        let access = || token("token").and_then(|token| app.grants.access.get(token)).map(|token| token.grant);
        return refresh.or_else(access);
    }
    let header = request.header("authorization")?;
    let (_, token) = header.split_once(' ')?;
    app.grants.access.get(token).map(|token| token.grant)
}
