//! The state of the emulator: one app, its portals, and what was granted.

use std::collections::BTreeMap;

use shared::clock::Clock;

use super::HubSpotOptions;
use super::grants::{Grants, Issued, Rotation, Sharing, TokenFields, TokenStatus};
use super::portal::{Portal, RateLimit};

#[derive(Debug)]
pub(super) struct App {
    /// The origin of every regional hub.
    pub(super) hub_url: String,
    pub(super) clock: Clock,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Secrets that count too, while the app's is rotated.
    pub(super) further_client_secrets: Vec<String>,
    /// Empty: every URI that HubSpot would let an app register.
    pub(super) redirect_uris: Vec<String>,
    pub(super) rotation: Rotation,
    pub(super) sharing: Sharing,
    pub(super) expires_in: i64,
    pub(super) code_seconds: i64,
    pub(super) ignores_pkce: bool,
    pub(super) token_fields: TokenFields,
    /// Coarse scopes that are granted under other names.
    pub(super) renamed_scopes: BTreeMap<String, Vec<String>>,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) portals: BTreeMap<u64, Portal>,
    pub(super) grants: Grants,
}

impl App {
    pub(super) fn new(options: HubSpotOptions, hub_url: String) -> Self {
        let mut app = Self {
            hub_url,
            clock: options.clock,
            client_id: options.client_id,
            client_secret: options.client_secret,
            further_client_secrets: Vec::new(),
            redirect_uris: options.redirect_uris,
            rotation: options.rotation,
            sharing: options.sharing,
            expires_in: options.expires_in,
            code_seconds: options.code_seconds,
            ignores_pkce: options.ignores_pkce,
            token_fields: TokenFields::All,
            renamed_scopes: BTreeMap::new(),
            rate_limit: options.rate_limit,
            portals: BTreeMap::new(),
            grants: Grants::default(),
        };
        for hub_id in options.portals {
            app.portals.insert(hub_id, Portal::new(hub_id));
        }
        app
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now_millis()
    }

    /// Tokens of a fresh authorization.
    pub(super) fn authorize(&mut self, hub_id: u64, scopes: Vec<String>) -> Issued {
        let refresh_token = self.grants.authorize(hub_id, scopes, self.sharing);
        self.issue(refresh_token).expect("a grant was just made")
    }

    /// A fresh access token for a refresh token.
    pub(super) fn issue(&mut self, refresh_token: String) -> Option<Issued> {
        let (access_token, scopes, hub_id) =
            self.grants.mint_access(&refresh_token, self.expires_in, self.clock.now_millis())?;
        let user_id = self.portals.get(&hub_id).map_or(0, |portal| portal.user_id);
        Some(Issued { access_token, refresh_token, expires_in: self.expires_in, scopes, hub_id, user_id })
    }

    /// Ends everything that a portal granted: the app was uninstalled there.
    pub(super) fn uninstall(&mut self, hub_id: u64) {
        for grant in self.grants.of_portal(hub_id) {
            self.grants.revoke_grant(grant);
        }
    }

    /// Kills a portal's refresh tokens; its access tokens live on.
    pub(super) fn revoke_refresh_tokens(&mut self, hub_id: u64) {
        let grants = self.grants.of_portal(hub_id);
        let own = self.grants.refresh.values_mut().filter(|token| grants.contains(&token.grant));
        own.for_each(|token| token.state = TokenStatus::Revoked);
    }
}
