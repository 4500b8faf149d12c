//! Tokens and the app's credentials in Secrets Manager: one secret per authorization, one for the app.
//!
//! All its operations are eventually consistent. So a version is written first, the record's pointer to it second,
//! and readers ask for exactly that version.
//!
//! The name of a secret shows whose it is, so a secret is deleted by the pointer of a record without being read, and
//! never another integration's.

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::operation::list_secrets::builders::ListSecretsFluentBuilder;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{Store, WriteError, WriteResult, unavailable};
use crate::error::Error;
use crate::integration::{AccountId, IntegrationId, Pointer};
use crate::tokens::{AppCredentials, Tokens};

/// Names a version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionStage {
    /// The version that was written last.
    Current,
    /// The one before.
    Previous,
}

/// A secret of some integration, as a list shows it.
#[derive(Clone, Debug)]
pub struct SecretSummary {
    /// Its name.
    pub secret_id: String,
    /// When it was created.
    pub created_at: i64,
}

/// How long a discarded secret can be restored, in days: the least that Secrets Manager takes.
const DISCARDED_KEPT: i64 = 7;

/// The namespace of imported integrations. Invariant: it never changes, or a rerun of an import finds nothing.
const IMPORTED: Uuid = Uuid::from_u128(0x6f9d_6a1c_2d0e_4b57_9a53_8c1f_0d7e_4b21);

/// Tokens with the version that holds them.
#[derive(Clone, Debug)]
pub struct Version {
    /// Where they lie.
    pub pointer: Pointer,
    /// The stored value.
    pub tokens: Tokens,
}

impl Store {
    /// Puts the tokens of a new authorization into a new secret.
    pub async fn create_secret(&self, tokens: &Tokens) -> Result<Pointer, Error> {
        let random = Uuid::new_v4();
        let name = self.name(uuid_v8(random.as_bytes(), &owner(&tokens.account_id, &tokens.integration_id)));
        match self.create(&name, tokens).await? {
            Some(pointer) => Ok(pointer),
            None => Err(Error::internal(format!("CreateSecret: {name} is taken"))),
        }
    }

    /// Puts the tokens of an imported integration into the secret of its own that [`imported`](Self::imported) names.
    /// Where an earlier import has done so before it died, its secret is taken as it is.
    pub async fn import_secret(&self, tokens: &Tokens) -> Result<Pointer, Error> {
        let name = self.imported(&tokens.account_id, &tokens.integration_id);
        if let Some(pointer) = self.create(&name, tokens).await? {
            return Ok(pointer);
        }
        match self.version_at_stage(&name, VersionStage::Current).await? {
            Some(version) if version.tokens.integration_id == tokens.integration_id => Ok(version.pointer),
            Some(_) => Err(Error::internal(format!("secret {name} belongs to another integration"))),
            None => Err(Error::unavailable(
                5,
                format!("secret {name} is there and cannot be read: if it is scheduled for deletion, restore it first"),
            )),
        }
    }

    /// The secret of an imported integration: a rerun of the import finds it.
    pub fn imported(&self, account_id: &AccountId, integration_id: &IntegrationId) -> String {
        self.name(uuid_v5(&owner(account_id, integration_id)))
    }

    fn name(&self, uuid: Uuid) -> String {
        format!("{}/integrations/{uuid}", self.config.secret_prefix)
    }

    /// Creates a secret; none where one of this name exists. The SDK repeats a call whose answer was lost under the
    /// same token, which is success.
    async fn create(&self, name: &str, tokens: &Tokens) -> Result<Option<Pointer>, Error> {
        let created = self
            .secrets
            .create_secret()
            .name(name)
            .client_request_token(Uuid::now_v7().to_string())
            .secret_string(json(tokens)?.expose_secret())
            .set_kms_key_id(self.config.secrets_kms_key.clone())
            .send()
            .await;
        let created = match created {
            Ok(created) => created,
            Err(error) if is_taken(error.code()) => return Ok(None),
            Err(error) => return Err(unavailable("CreateSecret", &error)),
        };
        let secret_version = created.version_id.ok_or_else(|| Error::internal("CreateSecret: no version id"))?;
        Ok(Some(Pointer { secret_id: name.to_owned(), secret_version }))
    }

    /// Writes refreshed tokens as the new current version of their secret.
    ///
    /// `version` is chosen by the caller, so that the same call may be repeated until it has succeeded. The condition
    /// is that the secret exists: a reconnect or a disconnect may have deleted it meanwhile.
    pub async fn put_secret(&self, secret_id: &str, version: &str, tokens: &Tokens) -> Result<WriteResult, WriteError> {
        let text = json(tokens).map_err(WriteError::Refused)?;
        let put = self
            .secrets
            .put_secret_value()
            .secret_id(secret_id)
            .client_request_token(version)
            .secret_string(text.expose_secret())
            .send()
            .await;
        match put {
            Ok(_) => Ok(WriteResult::Applied),
            Err(error) if is_gone(error.code()) => Ok(WriteResult::ConditionFailed),
            Err(error) => Err(WriteError::of("PutSecretValue", &error)),
        }
    }

    /// The tokens of exactly this version; none if it cannot be found (yet).
    pub async fn secret_version(&self, pointer: &Pointer) -> Result<Option<Tokens>, Error> {
        let request = self.secrets.get_secret_value().version_id(&pointer.secret_version);
        Ok(self.read(&pointer.secret_id, request).await?.map(|version| version.tokens))
    }

    /// The tokens of the version with this label; none if there is no such version.
    pub async fn version_at_stage(&self, secret_id: &str, stage: VersionStage) -> Result<Option<Version>, Error> {
        let stage = match stage {
            VersionStage::Current => "AWSCURRENT",
            VersionStage::Previous => "AWSPREVIOUS",
        };
        self.read(secret_id, self.secrets.get_secret_value().version_stage(stage)).await
    }

    /// Deletes the secret of an integration for good. One that is gone already is success.
    ///
    /// A record may be corrupt and point at the secret of another integration, which may be another account's. Such a
    /// secret is left: [`Error::Internal`].
    pub async fn delete_own_secret(
        &self,
        account_id: &AccountId,
        integration_id: &IntegrationId,
        secret_id: &str,
    ) -> Result<(), Error> {
        if has_another_owner(account_id, integration_id, secret_id) {
            return Err(Error::internal(format!(
                "secret {secret_id} is named for another integration than {account_id} {integration_id} and was left"
            )));
        }
        self.delete_secret(secret_id).await
    }

    /// Deletes a secret for good, without regard to its owner. One that is gone already is success.
    pub async fn delete_secret(&self, secret_id: &str) -> Result<(), Error> {
        match self.secrets.delete_secret().secret_id(secret_id).force_delete_without_recovery(true).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(error.code()) => Ok(()),
            Err(error) => Err(unavailable("DeleteSecret", &error)),
        }
    }

    /// The secrets of integrations whose random names begin with these hex digits: a hundred of them at most.
    pub async fn list_secrets(&self, begins: &str) -> Result<Vec<SecretSummary>, Error> {
        let page = self.list(format!("{}/integrations/{begins}", self.config.secret_prefix)).send().await;
        let page = page.map_err(|error| unavailable("ListSecrets", &error))?;
        let listed =
            page.secret_list.unwrap_or_default().into_iter().filter_map(|entry| {
                Some(SecretSummary { secret_id: entry.name?, created_at: entry.created_date?.secs() })
            });
        Ok(listed.collect())
    }

    /// A page of the secrets whose names begin like this.
    pub(super) fn list(&self, begins: impl Into<String>) -> ListSecretsFluentBuilder {
        let filter = Filter::builder().key(FilterNameStringType::Name).values(begins).build();
        self.secrets.list_secrets().filters(filter).max_results(100)
    }

    /// The tokens that a secret holds now; none if it is gone.
    pub async fn current_tokens(&self, secret_id: &str) -> Result<Option<Tokens>, Error> {
        Ok(self.version_at_stage(secret_id, VersionStage::Current).await?.map(|version| version.tokens))
    }

    /// Deletes a secret that nobody is known to use. Unlike [`delete_secret`](Self::delete_secret) it can be restored
    /// for a week: if ours was the mistake, no customer has to reconnect.
    pub async fn discard_secret(&self, secret_id: &str) -> Result<(), Error> {
        match self.secrets.delete_secret().secret_id(secret_id).recovery_window_in_days(DISCARDED_KEPT).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(error.code()) => Ok(()),
            Err(error) => Err(unavailable("DeleteSecret", &error)),
        }
    }

    /// The credentials of our app at HubSpot; none while ops have not put them.
    pub async fn app_credentials(&self) -> Result<Option<AppCredentials>, Error> {
        let Some(text) = self.app_secret().await? else { return Ok(None) };
        let parsed = AppCredentials::parse(&text);
        parsed.map(Some).map_err(|wrong| Error::internal(format!("secret {}: {wrong}", self.app_secret_id())))
    }

    /// The stored app secret; `None` until ops have set it.
    pub async fn app_secret(&self) -> Result<Option<SecretString>, Error> {
        match self.secrets.get_secret_value().secret_id(self.app_secret_id()).send().await {
            Ok(answer) => Ok(Some(SecretString::from(answer.secret_string.unwrap_or_default()))),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(unavailable("GetSecretValue (app)", &error)),
        }
    }

    /// The name of the app's secret.
    pub fn app_secret_id(&self) -> String {
        format!("{}/app", self.config.secret_prefix)
    }

    async fn read(
        &self,
        secret_id: &str,
        request: aws_sdk_secretsmanager::operation::get_secret_value::builders::GetSecretValueFluentBuilder,
    ) -> Result<Option<Version>, Error> {
        let answer = match request.secret_id(secret_id).send().await {
            Ok(answer) => answer,
            Err(error) if is_gone(error.code()) => return Ok(None),
            Err(error) => return Err(unavailable("GetSecretValue", &error)),
        };
        let (Some(text), Some(secret_version)) = (answer.secret_string.map(SecretString::from), answer.version_id)
        else {
            return Err(Error::internal(format!("secret {secret_id}: no text or no version id")));
        };
        // serde's own words would quote values.
        let tokens = serde_json::from_str(text.expose_secret())
            .map_err(|_| Error::internal(format!("secret {secret_id}: version {secret_version} does not parse")))?;
        Ok(Some(Version { pointer: Pointer { secret_id: secret_id.to_owned(), secret_version }, tokens }))
    }
}

/// Returns true if a secret does not exist, or is being deleted (which takes AWS a while).
pub(super) fn is_gone(code: Option<&str>) -> bool {
    matches!(code, Some("ResourceNotFoundException" | "InvalidRequestException"))
}

/// Returns true if a secret of this name exists, or is being deleted and may still be restored.
fn is_taken(code: Option<&str>) -> bool {
    matches!(code, Some("ResourceExistsException" | "InvalidRequestException"))
}

/// The owner of a secret, as its name is made of it. An integration id has no slash.
fn owner(account_id: &AccountId, integration_id: &IntegrationId) -> String {
    format!("{account_id}/{integration_id}")
}

/// Returns true if the name of a secret shows that it was created for another integration. Other UUIDs than ours of the
/// versions 5 and 8 show nothing.
pub fn has_another_owner(account_id: &AccountId, integration_id: &IntegrationId, secret_id: &str) -> bool {
    let Some(uuid) = secret_id.rsplit('/').next().and_then(|last| Uuid::try_parse(last).ok()) else { return false };
    let owner = owner(account_id, integration_id);
    match uuid.get_version_num() {
        5 => uuid != uuid_v5(&owner),
        8 => uuid != uuid_v8(uuid.as_bytes(), &owner),
        _ => false,
    }
}

/// The UUID (RFC 9562, version 8) of a new secret: its first six bytes are random, the others a digest of them and of
/// the owner. Invariant: it never changes, or the secrets of existing integrations are left when they should be
/// deleted.
fn uuid_v8(random: &[u8; 16], owner: &str) -> Uuid {
    let mut bytes = *random;
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    hash.update(&bytes[..6]);
    hash.update(owner.as_bytes());
    bytes[6..].copy_from_slice(&hash.finish().as_ref()[..10]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The UUID (RFC 9562, version 5) of a name among those of imported integrations.
fn uuid_v5(name: &str) -> Uuid {
    // SHA-1 is what the RFC says; nothing here rests on its strength.
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(IMPORTED.as_bytes());
    hash.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

fn json(tokens: &Tokens) -> Result<SecretString, Error> {
    serde_json::to_string(tokens).map(SecretString::from).map_err(|_| Error::internal("tokens do not serialise"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_an_imported_integration_is_the_same_for_ever() {
        // Calculated by Python's uuid.uuid5.
        assert_eq!(uuid_v5("acc_1/legacy-1").to_string(), "8b36724f-d558-518b-9272-4975e4e5bcc7");
        assert_ne!(uuid_v5("acc_1/legacy-1"), uuid_v5("acc_1/legacy-2"));
    }

    #[test]
    fn the_name_of_a_secret_shows_the_same_owner_for_ever() {
        let random = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

        let named = uuid_v8(random.as_bytes(), "acc_1/one");

        // Calculated by Python's hashlib and uuid.
        assert_eq!(named.to_string(), "01234567-89ab-8c35-b581-f82c7ad90f00");
        assert_eq!(uuid_v8(named.as_bytes(), "acc_1/one"), named);
        assert_ne!(uuid_v8(named.as_bytes(), "acc_2/one"), named);
        assert_ne!(uuid_v8(named.as_bytes(), "acc_1/two"), named);
    }

    #[test]
    fn only_a_name_of_ours_shows_that_a_secret_has_another_owner() {
        let (account, own) = ("acc_1".to_owned().try_into().unwrap(), "one".to_owned().try_into().unwrap());
        let ours = |owner: &str| [uuid_v5(owner), uuid_v8(Uuid::new_v4().as_bytes(), owner)];
        let name = |uuid: Uuid| format!("stack/integrations/{uuid}");

        assert!(ours("acc_1/one").iter().all(|uuid| !has_another_owner(&account, &own, &name(*uuid))));
        for other in ["acc_1/two", "acc_2/one"] {
            assert!(ours(other).iter().all(|uuid| has_another_owner(&account, &own, &name(*uuid))), "{other}");
        }
        assert!(
            ![name(Uuid::new_v4()), "by-hand".to_owned()].iter().any(|name| has_another_owner(&account, &own, name))
        );
    }
}
