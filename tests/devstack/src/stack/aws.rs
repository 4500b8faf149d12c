//! How this process speaks to the emulators of AWS: the real SDK, only its endpoints differ.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::template::REGION;

/// The key of a caller that is not a function. The emulators ask for a signature and check none.
pub(super) const NO_FUNCTION: &str = "ASIALOCALTESTS";

/// The credentials that a function gets, with the key by which the emulators know whose role counts.
pub(super) fn credentials(key: &str) -> [(&'static str, &str); 3] {
    [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_SESSION_TOKEN", "local")]
}

#[derive(Debug)]
struct Endpoints {
    dynamodb: String,
    secrets_manager: String,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        match (key.env(), key.service_id()) {
            ("AWS_ENDPOINT_URL", "DynamoDB") => Some(self.dynamodb.clone()),
            ("AWS_ENDPOINT_URL", "Secrets Manager") => Some(self.secrets_manager.clone()),
            _ => None,
        }
    }
}

/// A configuration by which each service's client finds its emulator.
///
/// Each has a region of its own. The SDK keeps one budget of retries for all clients of a service and a region in a
/// process: the faults of one test would use up what another one needs.
pub(crate) fn config(key: &str, dynamodb: String, secrets_manager: String) -> SdkConfig {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let region = format!("{REGION}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let [(_, id), (_, secret), (_, session)] = credentials(key);
    let credentials = Credentials::new(id, secret, Some(session.to_owned()), None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(Endpoints { dynamodb, secrets_manager })
        .http_client(shared::clients::aws_http().expect("the client builds"))
        .build()
}
