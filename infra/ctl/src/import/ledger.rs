//! `FILE.done`: the progress of an import.
//!
//! An integration is recorded as *started* when its secret exists and before its record does, and as *finished* or
//! *refused* at the end. So a rerun distinguishes a crash between the two (the secret is there) from a customer
//! who has disconnected meanwhile (it is not), never brings back what is gone, and tries a refused line again once its
//! refresh token has been corrected: a refusal is recorded with a digest of what was tried, never with the token.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::integration::{AccountId, IntegrationId};

use super::record::ImportRecord;
use crate::exit::Failure;

/// The progress of one integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Started,
    Finished,
    Refused,
}

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LedgerEntry {
    account_id: AccountId,
    integration_id: IntegrationId,
    pub(super) stage: Stage,
    /// Epoch seconds.
    pub(super) at: i64,
    /// The attempt.
    digest: String,
}

impl LedgerEntry {
    /// Returns true if HubSpot has refused exactly what the record holds.
    pub(super) fn has_refused(&self, record: &ImportRecord) -> bool {
        self.stage == Stage::Refused && self.digest == record.digest()
    }
}

/// The file and its entries.
pub(super) struct ImportLedger {
    path: PathBuf,
    /// None in a dry run.
    file: Option<File>,
    entries: HashMap<(AccountId, IntegrationId), LedgerEntry>,
}

impl ImportLedger {
    /// Opens the file for one run at a time.
    pub(super) fn open(of: &Path) -> Result<Self, Failure> {
        let path = beside(of);
        let failed = |error: &io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let mut file = open_private(&path).map_err(|error| failed(&error))?;
        // The lock ends with the process, however that ends.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::usage(format!("{}: another import of this file is running", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let entries = read(&file).map_err(|error| failed(&error))?;
        // A line that was cut off must not swallow the next one.
        let end = file.seek(SeekFrom::End(0)).map_err(|error| failed(&error))?;
        if end > 0 {
            file.write_all(b"\n").map_err(|error| failed(&error))?;
        }
        Ok(Self { path, file: Some(file), entries })
    }

    /// Reads the file, if it exists, and never writes it.
    pub(super) fn read_only(of: &Path) -> Result<Self, Failure> {
        let path = beside(of);
        let failed = |error: &io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let entries = match File::open(&path) {
            Ok(file) => read(&file).map_err(|error| failed(&error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(failed(&error)),
        };
        Ok(Self { path, file: None, entries })
    }

    /// The progress of an integration in earlier runs.
    pub(super) fn entry(&self, record: &ImportRecord) -> Option<LedgerEntry> {
        self.entries.get(&(record.account_id.clone(), record.integration_id.clone())).cloned()
    }

    /// Records the progress of an integration.
    pub(super) fn record(&mut self, record: &ImportRecord, stage: Stage, at: i64) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let (account_id, integration_id) = (record.account_id.clone(), record.integration_id.clone());
        let entry = LedgerEntry { account_id, integration_id, stage, at, digest: record.digest() };
        let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", self.path.display()));
        let mut line = serde_json::to_string(&entry).map_err(|error| failed(&error))?;
        line.push('\n');
        self.entries.insert((entry.account_id.clone(), entry.integration_id.clone()), entry);
        // One write, so that a kill leaves the whole line or nothing of it.
        file.write_all(line.as_bytes()).map_err(|error| failed(&error))
    }
}

fn beside(of: &Path) -> PathBuf {
    let mut name = of.as_os_str().to_owned();
    name.push(".done");
    name.into()
}

/// Opens or creates a file that only its owner can read. A symbolic link is not followed: in a folder that others can
/// write to, it would let them choose what is written to.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(path)?;
    let file = options.open(path)?;
    let opened = file.metadata()?;
    if !found.is_file() || (found.dev(), found.ino()) != (opened.dev(), opened.ino()) {
        return Err(io::Error::other("not a regular file; symbolic links are not followed"));
    }
    Ok(file)
}

fn read(file: &File) -> io::Result<HashMap<(AccountId, IntegrationId), LedgerEntry>> {
    let mut entries = HashMap::new();
    for line in BufReader::new(file).lines() {
        if let Ok(entry) = serde_json::from_str::<LedgerEntry>(&line?) {
            entries.insert((entry.account_id.clone(), entry.integration_id.clone()), entry);
        }
    }
    Ok(entries)
}
