//! Changes at HubSpot without the app: people, settings, time, data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use shared::clock::Clock;

use super::grants::{Issued, Rotation, Sharing, TokenFields};
use super::journal::pairs;
use super::kind::Kind;
use super::location::PortalLocation;
use super::portal::{Portal, RateLimit};
use super::{HubSpot, consent};

impl HubSpot {
    /// The app's client id.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.shared.state().app.client_id.clone()
    }

    /// The app's client secret.
    #[must_use]
    pub fn client_secret(&self) -> String {
        self.shared.state().app.client_secret.clone()
    }

    /// Gives the app another client secret; the old one counts no more.
    pub fn rotate_client_secret(&self, secret: &str) {
        let app = &mut self.shared.state().app;
        secret.clone_into(&mut app.client_secret);
        app.further_client_secrets.clear();
    }

    /// Gives the app one more client secret: both count until [`Self::rotate_client_secret`].
    pub fn add_client_secret(&self, secret: &str) {
        self.shared.state().app.further_client_secrets.push(secret.to_owned());
    }

    /// Changes how refresh tokens change.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.shared.state().app.rotation = rotation;
    }

    /// Changes which authorizations share a refresh token.
    pub fn set_sharing(&self, sharing: Sharing) {
        self.shared.state().app.sharing = sharing;
    }

    /// Changes how many seconds later access tokens live.
    pub fn set_expires_in(&self, seconds: i64) {
        self.shared.state().app.expires_in = seconds;
    }

    /// Sets or lifts the limits of every portal.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.shared.state().app.rate_limit = limit;
    }

    /// Changes which fields token answers have.
    pub fn set_token_fields(&self, fields: TokenFields) {
        self.shared.state().app.token_fields = fields;
    }

    /// Grants a scope under other names from now on, as HubSpot does where it makes a scope granular.
    pub fn rename_scope(&self, coarse: &str, successors: &[&str]) {
        let successors = successors.iter().map(|scope| (*scope).to_owned()).collect();
        self.shared.state().app.renamed_scopes.insert(coarse.to_owned(), successors);
    }

    /// Grants all scopes under their own names again.
    pub fn restore_scope_names(&self) {
        self.shared.state().app.renamed_scopes.clear();
    }

    /// The clock by which everything expires here.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.state().app.clock.clone()
    }

    /// Moves the emulator's clock, and whatever shares it, forward.
    pub fn advance(&self, by: Duration) {
        self.clock().advance(by);
    }

    /// Lets all access tokens expire now, whatever was promised.
    pub fn expire_access_tokens(&self) {
        let mut state = self.shared.state();
        let now = state.app.now();
        state.app.grants.access.values_mut().for_each(|token| token.expires_at = token.expires_at.min(now));
    }

    /// Adds a portal, whose subscription can grant everything.
    pub fn add_portal(&self, hub_id: u64) {
        self.shared.state().app.portals.entry(hub_id).or_insert_with(|| Portal::new(hub_id));
    }

    /// Changes what a portal's subscription can grant in later authorizations; none is everything.
    pub fn set_portal_scopes(&self, hub_id: u64, scopes: Option<&[&str]>) {
        let scopes = scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect());
        self.portal(hub_id, |portal| portal.scopes = scopes);
    }

    /// Changes where a portal lives. Grants that it has are affected, later ones are good at the common host.
    pub fn set_location(&self, hub_id: u64, location: PortalLocation) {
        location.apply(&mut self.shared.state().app, hub_id);
    }

    /// Closes a portal for good: its tokens end, refreshing says `BAD_HUB`.
    pub fn remove_portal(&self, hub_id: u64) {
        self.portal(hub_id, |portal| portal.exists = false);
    }

    /// Uninstalls the app in a portal: refresh and access tokens of it end.
    pub fn uninstall(&self, hub_id: u64) {
        self.shared.state().app.uninstall(hub_id);
    }

    /// Kills a portal's refresh tokens; its access tokens live on.
    pub fn revoke_refresh_tokens(&self, hub_id: u64) {
        self.shared.state().app.revoke_refresh_tokens(hub_id);
    }

    /// Changes what the grants of a portal allow, of access tokens already issued too.
    pub fn set_granted_scopes(&self, hub_id: u64, scopes: &[&str]) {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let mut state = self.shared.state();
        for grant in state.app.grants.of_portal(hub_id) {
            state.app.grants.grants[grant].scopes.clone_from(&scopes);
            let own = state.app.grants.access.values_mut().filter(|token| token.grant == grant);
            own.for_each(|token| token.scopes.clone_from(&scopes));
        }
    }

    /// The portal and the authorization of an access token, and its validity.
    #[must_use]
    pub fn token(&self, access_token: &str) -> Option<(u64, usize)> {
        let state = self.shared.state();
        let grant = state.app.grants.access.get(access_token)?.grant;
        Some((state.app.grants.grants[grant].hub_id, grant))
    }

    /// Returns true if HubSpot would accept a refresh token now. Showing it is no use of it.
    #[must_use]
    pub fn accepts(&self, refresh_token: &str) -> bool {
        let state = self.shared.state();
        state.app.grants.accepts(refresh_token, state.app.rotation, state.app.now())
    }

    /// When access tokens of a portal were issued, per authorization, in milliseconds since the epoch, earliest first.
    #[must_use]
    pub fn issues(&self, hub_id: u64) -> Vec<(usize, Vec<i64>)> {
        let state = self.shared.state();
        let grants = &state.app.grants;
        let of = |grant: usize| {
            let own = grants.access.values().filter(|token| token.grant == grant);
            let mut issued: Vec<i64> = own.map(|token| token.issued_at).collect();
            issued.sort_unstable();
            (grant, issued)
        };
        grants.of_portal(hub_id).into_iter().map(of).collect()
    }

    /// How often a spent refresh token was shown under [`Rotation::Strict`], each time a lost grant.
    #[must_use]
    pub fn refresh_token_reuses(&self) -> usize {
        self.shared.state().app.grants.reuses
    }

    /// Tokens of a fresh authorization, without the steps of a browser.
    pub fn authorize(&self, hub_id: u64, scopes: &[&str]) -> Issued {
        self.add_portal(hub_id);
        self.shared.state().app.authorize(hub_id, scopes.iter().map(|scope| (*scope).to_owned()).collect())
    }

    /// Accepts on the consent page, for this portal, as a person would; where the browser is sent.
    ///
    /// # Errors
    /// The text of the page on which HubSpot says what is wrong instead.
    pub fn accept(&self, authorize_url: &str, hub_id: u64) -> Result<String, String> {
        self.decide(authorize_url, &[("decision", "accept"), ("hub_id", &hub_id.to_string())])
    }

    /// Declines on the consent page; where the browser is sent.
    ///
    /// # Errors
    /// The text of the page on which HubSpot says what is wrong instead.
    pub fn decline(&self, authorize_url: &str) -> Result<String, String> {
        self.decide(authorize_url, &[("decision", "decline")])
    }

    fn decide(&self, authorize_url: &str, decision: &[(&str, &str)]) -> Result<String, String> {
        let query = authorize_url.split_once('?').map_or("", |(_, query)| query);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs(query.as_bytes())).extend_pairs(decision);
        let answer = consent::decision(&mut self.shared.state().app, &form.finish());
        let location = answer.headers.iter().find(|(name, _)| name == "location").map(|(_, to)| to.clone());
        location.ok_or_else(|| String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Creates an object (`"contacts"`, `"deals"`…) in a portal; its id.
    ///
    /// # Panics
    /// There is no such kind of object or no such portal.
    pub fn create_object(&self, hub_id: u64, kind: &str, properties: &[(&str, &str)]) -> u64 {
        let kind = Kind::find(kind).expect("the kind is known");
        let properties: BTreeMap<_, _> =
            properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let now = self.clock().now_millis();
        self.portal(hub_id, |portal| portal.store.insert(kind, properties, now).id)
    }

    /// All objects of a kind in a portal, with all their properties.
    ///
    /// # Panics
    /// There is no such kind of object or no such portal.
    #[must_use]
    pub fn objects(&self, hub_id: u64, kind: &str) -> Vec<Value> {
        let kind = Kind::find(kind).expect("the kind is known");
        self.portal(hub_id, |portal| portal.store.all(kind).map(|object| object.written(kind)).collect())
    }

    /// The ids of the objects of a kind that an object is associated with.
    ///
    /// # Panics
    /// There is no such kind of object or no such portal.
    #[must_use]
    pub fn associated(&self, hub_id: u64, from: (&str, u64), to: &str) -> Vec<u64> {
        let (kind, to) = (Kind::find(from.0).expect("the kind is known"), Kind::find(to).expect("the kind is known"));
        self.portal(hub_id, |portal| portal.store.linked((kind, from.1), to))
    }

    fn portal<T>(&self, hub_id: u64, act: impl FnOnce(&mut Portal) -> T) -> T {
        act(self.shared.state().app.portals.get_mut(&hub_id).expect("the portal exists"))
    }
}
