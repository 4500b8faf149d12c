//! HubSpot on loopback: consent page, token endpoints and as much of the CRM as telephony automations call.
//!
//! It enforces what HubSpot enforces (client, redirect URI, PKCE, single-use codes, expiry, scopes, limits), records
//! every request byte for byte, and misbehaves on demand.

mod api;
mod call;
mod consent;
mod elsewhere;
mod fault;
mod grants;
mod journal;
mod kind;
mod location;
mod marketplace;
mod objects;
mod portal;
mod problem;
mod published;
mod reported;
mod routes;
mod serve;
mod state;
mod steer;
mod store;
#[cfg(test)]
mod tests;
mod token;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::faults::{Plan, RandomFaults};
use crate::interrupt::Interruptions;
use crate::loopback::{self, Task};
use crate::wire::{self, At, Gate};
pub use fault::{Fault, Match};
pub use grants::{Issued, Rotation, Sharing, TokenFields};
pub use journal::RecordedRequest;
pub use location::PortalLocation;
pub use portal::RateLimit;
pub use reported::{REPORTED, ReportedFault};
use state::App;

/// The portal that is there from the start.
pub const PORTAL: u64 = 44_110_011;

/// How the emulator starts. All of it can be changed later but the clock.
#[derive(Clone, Debug)]
pub struct HubSpotOptions {
    /// The app's client id.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: String,
    /// The redirect URIs that the app has registered. None: any https one, and http on this machine.
    pub redirect_uris: Vec<String>,
    /// How refresh tokens change.
    pub rotation: Rotation,
    /// The authorizations that share a refresh token.
    pub sharing: Sharing,
    /// Seconds that access tokens live.
    pub expires_in: i64,
    /// Seconds that codes live.
    pub code_seconds: i64,
    /// True if a verifier is not compared with the challenge; HubSpot does not document that it is.
    pub ignores_pkce: bool,
    /// The limits of every portal. None: no limit.
    pub rate_limit: Option<RateLimit>,
    /// The portals.
    pub portals: Vec<u64>,
    /// The clock by which everything expires.
    pub clock: Clock,
}

impl Default for HubSpotOptions {
    fn default() -> Self {
        Self {
            client_id: "7b1f0c52-4c1e-4f0a-9d0c-5f6f7a3f8d11".to_owned(),
            client_secret: "c0ffee00-1234-4abc-8def-0123456789ab".to_owned(),
            redirect_uris: Vec::new(),
            rotation: Rotation::Keep,
            sharing: Sharing::None,
            expires_in: 1800,
            code_seconds: 60,
            ignores_pkce: false,
            rate_limit: None,
            portals: vec![PORTAL],
            clock: Clock::default(),
        }
    }
}

/// HubSpot on loopback. Clones share it; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct HubSpot {
    url: String,
    hub_url: String,
    shared: Arc<Inner>,
    _servers: Arc<[Task; 2]>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<ServerState>,
    /// Counts the requests, for those who wait for some.
    seen: watch::Sender<usize>,
    connections: AtomicUsize,
}

#[derive(Debug)]
struct ServerState {
    interruptions: Interruptions,
    app: App,
    journal: Vec<RecordedRequest>,
    /// The requests that only opened a connection.
    openings: Vec<RecordedRequest>,
    /// The requests that took effect, and the status that came of each.
    acted: Vec<(RecordedRequest, u16)>,
    plan: Plan<Match, RecordedRequest, Fault>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubSpot {
    /// Starts one.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn start(options: HubSpotOptions) -> Self {
        let (common, url) = listen().await;
        let (hubs, hub_url) = listen().await;
        let state = ServerState {
            interruptions: Interruptions::default(),
            app: App::new(options, hub_url.clone()),
            journal: Vec::new(),
            openings: Vec::new(),
            acted: Vec::new(),
            plan: Plan::default(),
        };
        let shared =
            Arc::new(Inner { state: Mutex::new(state), seen: watch::Sender::new(0), connections: AtomicUsize::new(0) });
        let servers = [common, hubs].map(|listener| {
            let served = shared.clone();
            let accepting = wire::accept(listener, move |socket, _| serve::connection(socket, served.clone()));
            Task(tokio::spawn(accepting))
        });
        Self { url, hub_url, shared, _servers: Arc::new(servers) }
    }

    /// Takes its interruptions from here.
    pub fn interrupted_by(&self, interruptions: &Interruptions) {
        self.shared.state().interruptions = interruptions.clone();
    }

    /// Its origin, of the API and of the consent page alike.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The origin of every regional hub's API: one host serves as all of them.
    #[must_use]
    pub fn hub_url(&self) -> String {
        self.hub_url.clone()
    }

    /// The address of the consent page.
    #[must_use]
    pub fn authorize_url(&self) -> String {
        format!("{}/oauth/authorize", self.url)
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().journal.clone()
    }

    /// The requests that only opened a connection (`HEAD /`), in order. They are no calls: nothing else counts them,
    /// and no script or gate is for them.
    #[must_use]
    pub fn openings(&self) -> Vec<RecordedRequest> {
        self.shared.state().openings.clone()
    }

    /// Changes with every request that comes.
    #[must_use]
    pub fn arrivals(&self) -> watch::Receiver<usize> {
        self.shared.seen.subscribe()
    }

    /// Those of the API, which are all but those of OAuth.
    #[must_use]
    pub fn api_requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().journal.iter().filter(|request| !request.is_oauth()).cloned().collect()
    }

    /// Those for tokens, by code or by refresh token.
    #[must_use]
    pub fn token_requests(&self) -> Vec<RecordedRequest> {
        self.requests_that(&Match::token())
    }

    /// Those that match.
    #[must_use]
    pub fn requests_that(&self, matching: &Match) -> Vec<RecordedRequest> {
        self.shared.state().journal.iter().filter(|request| matching.fits(request)).cloned().collect()
    }

    /// How many match.
    #[must_use]
    pub fn count(&self, matching: &Match) -> usize {
        self.shared.state().journal.iter().filter(|request| matching.fits(request)).count()
    }

    /// How many of those that match took effect: the application has acted on them, whatever became of the answer.
    #[must_use]
    pub fn acted(&self, matching: &Match) -> usize {
        self.shared.state().acted.iter().filter(|(request, _)| matching.fits(request)).count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        let mut state = self.shared.state();
        state.journal.clear();
        state.acted.clear();
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many requests that match have come, counted from the start or the last
    /// [`forget_requests`](Self::forget_requests). They are recorded before they take effect.
    ///
    /// # Panics
    /// They don't come within a minute.
    pub async fn wait_for_requests(&self, matching: &Match, count: usize) {
        let mut seen = self.shared.seen.subscribe();
        let all = async {
            while self.count(matching) < count {
                let _ = seen.changed().await;
            }
        };
        wire::patiently(&format!("{count} requests"), all).await;
    }

    /// Lets the next requests that match go wrong, one fault each, in order. Of several scripts the first that
    /// matches and has faults left counts.
    pub fn script(&self, matching: Match, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().plan.fail_next(matching, faults);
    }

    /// Lets every request that matches go wrong, until the scripts are cleared.
    pub fn script_always(&self, matching: Match, fault: Fault) {
        self.shared.state().plan.fail_always(matching, fault);
    }

    /// Lets requests that no script is for meet random faults, counted by method and target, until the scripts are
    /// cleared.
    pub fn set_random_faults(&self, seed: u64, faults: RandomFaults<RecordedRequest, Fault>) {
        self.shared.state().plan.set_random(seed, faults);
    }

    /// The API's requests that took effect with success, in order, whatever was answered.
    #[must_use]
    pub fn effects(&self) -> Vec<RecordedRequest> {
        let state = self.shared.state();
        let effects = state.acted.iter().filter(|(request, status)| !request.is_oauth() && *status < 300);
        effects.map(|(request, _)| request.clone()).collect()
    }

    /// Forgets all scripts.
    pub fn clear_scripts(&self) {
        self.shared.state().plan.clear();
    }

    /// How many scripted faults did not happen yet, those of [`script_always`](Self::script_always) not counted.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.shared.state().plan.faults_left()
    }

    /// Holds every request that matches, until the gate is opened.
    #[must_use]
    pub fn hold(&self, matching: Match, at: At) -> Gate {
        self.hold_from(matching, 1, at)
    }

    /// Holds the requests that match from the `nth` next one on (1 is the next), until the gate is opened.
    #[must_use]
    pub fn hold_from(&self, matching: Match, nth: usize, at: At) -> Gate {
        self.shared.state().plan.hold(matching, nth, usize::MAX, at)
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = loopback::listen().await.expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
    (listener, url)
}
