//! Codes, grants and tokens: what was issued, and what of it still counts.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// How refresh tokens change when they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The same comes back every time. What HubSpot does so far.
    Keep,
    /// The same goes on, and the answer to a refresh does not name it.
    Unnamed,
    /// A new one comes back every time; the old one is accepted for so many milliseconds more.
    Grace(i64),
    /// A new one comes back every time and the old one is spent. Who shows a spent one loses the whole grant.
    Strict,
}

/// The fields of token answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFields {
    /// All of them.
    All,
    /// None of the optional ones (`hub_id`, `scopes`, `token_type`…), which introspection has.
    Required,
    /// The same, and introspection knows no token.
    RequiredWithoutIntrospection,
}

/// The integrations that share a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every authorization has its own.
    None,
    /// All authorizations of a portal get the same one.
    Portal,
}

/// Tokens that were issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Authorizes API calls.
    pub access_token: String,
    /// Buys the next access token.
    pub refresh_token: String,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// The portal.
    pub hub_id: u64,
    /// The user who authorized it.
    pub user_id: u64,
}

/// A code that the consent page issues.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) hub_id: u64,
    pub(super) scopes: Vec<String>,
    pub(super) expires_at: i64,
    pub(super) used: bool,
}

#[derive(Debug)]
pub(super) struct PortalGrant {
    pub(super) hub_id: u64,
    pub(super) scopes: Vec<String>,
    /// The hub that its portal has moved to since it was granted.
    pub(super) moved_to: Option<String>,
    /// Gone altogether: uninstalled, or punished for the reuse of a spent refresh token.
    pub(super) revoked: bool,
}

#[derive(Debug)]
pub(super) struct AccessToken {
    pub(super) grant: usize,
    pub(super) scopes: Vec<String>,
    pub(super) issued_at: i64,
    pub(super) expires_at: i64,
    pub(super) revoked: bool,
}

#[derive(Debug)]
pub(super) struct RefreshToken {
    pub(super) grant: usize,
    pub(super) state: TokenStatus,
}

/// The state of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenStatus {
    Live,
    /// Another one took its place at this time.
    Replaced(i64),
    Revoked,
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) codes: HashMap<String, Code>,
    pub(super) grants: Vec<PortalGrant>,
    pub(super) access: HashMap<String, AccessToken>,
    pub(super) refresh: HashMap<String, RefreshToken>,
    /// How often a spent refresh token was shown.
    pub(super) reuses: usize,
}

impl Grants {
    /// A refresh token for a fresh authorization.
    pub(super) fn authorize(&mut self, hub_id: u64, scopes: Vec<String>, sharing: Sharing) -> String {
        let own = |grant: &PortalGrant| grant.hub_id == hub_id && !grant.revoked;
        let known = self.grants.iter().position(own).filter(|_| sharing == Sharing::Portal);
        let grant = known.unwrap_or_else(|| {
            self.grants.push(PortalGrant { hub_id, scopes: Vec::new(), moved_to: None, revoked: false });
            self.grants.len() - 1
        });
        self.grants[grant].scopes = scopes;
        self.grants[grant].moved_to = None;
        let live = self.refresh.iter().find(|(_, token)| token.grant == grant && token.state == TokenStatus::Live);
        if let Some((token, _)) = live {
            return token.clone();
        }
        self.mint_refresh(grant)
    }

    /// The refresh token that goes on after `shown` was used, or nothing when `shown` counts no more.
    pub(super) fn spend(&mut self, shown: &str, rotation: Rotation, now: i64) -> Option<String> {
        let (grant, state) = self.refresh.get(shown).map(|token| (token.grant, token.state))?;
        if self.grants[grant].revoked {
            return None;
        }
        match (state, rotation) {
            (TokenStatus::Revoked, _) => None,
            (TokenStatus::Live, Rotation::Keep | Rotation::Unnamed) => Some(shown.to_owned()),
            (TokenStatus::Live, Rotation::Grace(_) | Rotation::Strict) => {
                self.set(shown, TokenStatus::Replaced(now));
                Some(self.mint_refresh(grant))
            }
            (TokenStatus::Replaced(at), Rotation::Grace(grace)) => (now < at + grace).then(|| self.mint_refresh(grant)),
            (TokenStatus::Replaced(_), Rotation::Strict) => {
                self.reuses += 1;
                self.revoke_grant(grant);
                None
            }
            (TokenStatus::Replaced(_), Rotation::Keep | Rotation::Unnamed) => None,
        }
    }

    /// Returns true if [`spend`](Self::spend) would go on.
    pub(super) fn accepts(&self, shown: &str, rotation: Rotation, now: i64) -> bool {
        let Some(token) = self.refresh.get(shown).filter(|token| !self.grants[token.grant].revoked) else {
            return false;
        };
        match (token.state, rotation) {
            (TokenStatus::Live, _) => true,
            (TokenStatus::Replaced(at), Rotation::Grace(grace)) => now < at + grace,
            (TokenStatus::Replaced(_) | TokenStatus::Revoked, _) => false,
        }
    }

    pub(super) fn mint_access(
        &mut self,
        refresh: &str,
        expires_in: i64,
        now: i64,
    ) -> Option<(String, Vec<String>, u64)> {
        let grant = self.refresh.get(refresh)?.grant;
        let (hub_id, scopes) = (self.grants[grant].hub_id, self.grants[grant].scopes.clone());
        // Their length varies, as HubSpot's does.
        let token = format!("CK{}", random(48 + (self.access.len() % 7) * 16));
        let expires_at = now + expires_in * 1000;
        let access = AccessToken { grant, scopes: scopes.clone(), issued_at: now, expires_at, revoked: false };
        self.access.insert(token.clone(), access);
        Some((token, scopes, hub_id))
    }

    /// Ends a grant with all its tokens.
    pub(super) fn revoke_grant(&mut self, grant: usize) {
        self.grants[grant].revoked = true;
        self.access.values_mut().filter(|token| token.grant == grant).for_each(|token| token.revoked = true);
    }

    pub(super) fn of_portal(&self, hub_id: u64) -> Vec<usize> {
        let own = self.grants.iter().enumerate().filter(|(_, grant)| grant.hub_id == hub_id);
        own.map(|(index, _)| index).collect()
    }

    pub(super) fn set(&mut self, refresh: &str, state: TokenStatus) {
        if let Some(token) = self.refresh.get_mut(refresh) {
            token.state = state;
        }
    }

    fn mint_refresh(&mut self, grant: usize) -> String {
        let token = identifier();
        self.refresh.insert(token.clone(), RefreshToken { grant, state: TokenStatus::Live });
        token
    }
}

/// A code or refresh token as HubSpot's look.
pub(super) fn identifier() -> String {
    let hex: String = bytes(16).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("eu1-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn random(length: usize) -> String {
    URL_SAFE_NO_PAD.encode(bytes(length))
}

fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
    bytes
}
