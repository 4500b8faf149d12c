//! The secrets, what their versions are called, and what a reader sees of a recent write.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock;

/// How many versions a secret can have.
const MOST_VERSIONS: usize = 100;
/// In milliseconds. Secrets Manager removes no version younger than that.
const DAY: i64 = 24 * 3600 * 1000;

/// A secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Its ARN, another one each time that the name is created.
    pub arn: String,
    /// The key that it is encrypted with; none is the account's default key.
    pub kms_key_id: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its tags, as given.
    pub tags: Value,
    /// When it was created, in milliseconds since the epoch.
    pub created_at: i64,
    /// When it will be gone, for one that is marked deleted.
    pub deletion_at: Option<i64>,
    /// Its versions, oldest first, unlabelled ones included.
    pub versions: Vec<Version>,
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The `ClientRequestToken` that wrote it.
    pub id: String,
    /// Its value.
    pub value: SecretValue,
    /// Its staging labels.
    pub labels: Vec<String>,
    /// When it was written, in milliseconds since the epoch.
    pub created_at: i64,
}

/// The value of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretValue {
    /// `SecretString`.
    Text(String),
    /// `SecretBinary`, in base64.
    Binary(String),
}

impl SecretValue {
    /// The text, parsed.
    ///
    /// # Panics
    /// It is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let (Self::Text(text) | Self::Binary(text)) = self;
        serde_json::from_str(text).expect("the secret is JSON")
    }
}

impl Secret {
    /// The version with this label.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.labels.iter().any(|own| own == label))
    }

    /// The version with this id.
    #[must_use]
    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version labelled `AWSCURRENT`.
    #[must_use]
    pub fn current(&self) -> Option<&Version> {
        self.labelled("AWSCURRENT")
    }

    pub(super) fn stages(&self) -> Value {
        let labelled = self.versions.iter().filter(|version| !version.labels.is_empty());
        labelled.map(|version| (version.id.clone(), json!(version.labels))).collect::<serde_json::Map<_, _>>().into()
    }

    /// Moves a label to a version. What loses AWSCURRENT gets AWSPREVIOUS, and its previous owner loses that.
    pub(super) fn label(&mut self, id: &str, label: &str) {
        let former = self.labelled(label).map(|version| version.id.clone());
        if former.as_deref() == Some(id) {
            return;
        }
        for version in &mut self.versions {
            version.labels.retain(|own| own != label);
            if version.id == id {
                version.labels.push(label.to_owned());
                version.labels.sort_unstable();
            }
        }
        if let (Some(former), "AWSCURRENT") = (former, label) {
            self.label(&former, "AWSPREVIOUS");
        }
    }

    /// Takes a label from a version.
    pub(super) fn unlabel(&mut self, id: &str, label: &str) {
        let versions = self.versions.iter_mut().filter(|version| version.id == id);
        versions.for_each(|version| version.labels.retain(|own| own != label));
    }

    /// Room for one more version: the oldest unlabelled ones go, but none that is younger than a day.
    pub(super) fn make_room(&mut self, now: i64) -> bool {
        while self.versions.len() >= MOST_VERSIONS {
            let spare = |version: &Version| version.labels.is_empty() && version.created_at < now - DAY;
            let Some(index) = self.versions.iter().position(spare) else { return false };
            self.versions.remove(index);
        }
        true
    }
}

/// All secrets, each with the past that a lag still shows.
#[derive(Debug)]
pub(super) struct Vault {
    pub(super) clock: Clock,
    pub(super) lag: Duration,
    secrets: BTreeMap<String, Vec<Snapshot>>,
    /// The day on which each version was last read, in milliseconds since the epoch.
    accesses: HashMap<String, i64>,
}

/// A state of one secret; none when it does not exist.
#[derive(Debug)]
struct Snapshot {
    /// In milliseconds since the epoch, by the vault's clock.
    visible_at: i64,
    state: Option<Arc<Secret>>,
}

impl Vault {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, lag: Duration::ZERO, secrets: BTreeMap::new(), accesses: HashMap::new() }
    }

    /// The secret as it truly is.
    pub(super) fn latest(&self, name: &str) -> Option<Arc<Secret>> {
        self.secrets.get(name)?.last()?.state.clone()
    }

    /// The secret as readers see it now.
    pub(super) fn visible(&self, name: &str) -> Option<Arc<Secret>> {
        let now = self.clock.now_millis();
        self.secrets.get(name)?.iter().rev().find(|snapshot| snapshot.visible_at <= now)?.state.clone()
    }

    /// All that readers see now.
    pub(super) fn all_visible(&self) -> Vec<Arc<Secret>> {
        self.secrets.keys().filter_map(|name| self.visible(name)).collect()
    }

    pub(super) fn all(&self) -> Vec<Secret> {
        self.secrets.keys().filter_map(|name| self.latest(name)).map(|secret| Secret::clone(&secret)).collect()
    }

    /// AWS keeps the day of the last read, not the time.
    pub(super) fn note_access(&mut self, version: &str) {
        let now = self.clock.now_millis();
        self.accesses.insert(version.to_owned(), now - now.rem_euclid(DAY));
    }

    pub(super) fn last_access(&self, version: &str) -> Option<i64> {
        self.accesses.get(version).copied()
    }

    /// The name that an id (a name, an ARN, an ARN without its random end) identifies.
    pub(super) fn name(&self, id: &str) -> String {
        let Some((_, resource)) = id.strip_prefix("arn:").and_then(|arn| arn.split_once(":secret:")) else {
            return id.to_owned();
        };
        let states = || self.secrets.values().flatten().filter_map(|snapshot| snapshot.state.as_deref());
        if let Some(secret) = states().find(|secret| secret.arn == id) {
            return secret.name.clone();
        }
        // An ARN that ends like a whole one is not completed: a name that ends so is not found without its suffix.
        let ends_like_a_whole_one = resource
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if ends_like_a_whole_one { id.to_owned() } else { resource.to_owned() }
    }

    pub(super) fn write(&mut self, name: &str, state: Option<Secret>) {
        let now = self.clock.now_millis();
        let visible_at = now.saturating_add(i64::try_from(self.lag.as_millis()).unwrap_or(i64::MAX));
        let history = self.secrets.entry(name.to_owned()).or_default();
        history.push(Snapshot { visible_at, state: state.map(Arc::new) });
        let seen = history.iter().rposition(|snapshot| snapshot.visible_at <= now).unwrap_or_default();
        history.drain(..seen);
    }

    pub(super) fn settle(&mut self) {
        for history in self.secrets.values_mut() {
            if let Some(last) = history.pop() {
                *history = vec![Snapshot { visible_at: 0, ..last }];
            }
        }
    }
}
