//! `FILE.done`: how far an import has come.
//!
//! An integration is noted as *started* when its secret stands and before its record does, and as *finished* at its end.
//! So a rerun tells a crash between the two (the secret is there) from a customer who has disconnected meanwhile (it is
//! not), and never brings back what is gone.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::integration::{AccountId, IntegrationId};

use super::record::ImportRecord;
use crate::exit::Failure;

/// How far the import of one integration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Begun,
    Finished,
}

#[derive(Serialize, Deserialize)]
struct LedgerEntry {
    account_id: AccountId,
    integration_id: IntegrationId,
    stage: Stage,
    /// Epoch seconds.
    at: i64,
}

/// The file and what stands in it.
pub(super) struct ImportLedger {
    path: PathBuf,
    /// None in a dry run.
    file: Option<File>,
    stages: HashMap<(AccountId, IntegrationId), (Stage, i64)>,
}

impl ImportLedger {
    /// Opens the file for a run of its own.
    pub(super) fn open(of: &Path) -> Result<Self, Failure> {
        let path = beside(of);
        let failed = |error: &std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = file.map_err(|error| failed(&error))?;
        // The lock ends with the process, however that ends.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::usage(format!("{}: another import of this file is running", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let stages = read(&file).map_err(|error| failed(&error))?;
        // A line that was cut off must not swallow the next one.
        let end = file.seek(SeekFrom::End(0)).map_err(|error| failed(&error))?;
        if end > 0 {
            file.write_all(b"\n").map_err(|error| failed(&error))?;
        }
        Ok(Self { path, file: Some(file), stages })
    }

    /// Reads the file, if there is one, and never writes it.
    pub(super) fn read_only(of: &Path) -> Result<Self, Failure> {
        let path = beside(of);
        let failed = |error: &std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let stages = match File::open(&path) {
            Ok(file) => read(&file).map_err(|error| failed(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(failed(&error)),
        };
        Ok(Self { path, file: None, stages })
    }

    /// How far an integration has come in earlier runs, and when.
    pub(super) fn stage(&self, entry: &ImportRecord) -> Option<(Stage, i64)> {
        self.stages.get(&(entry.account_id.clone(), entry.integration_id.clone())).copied()
    }

    /// Notes how far an integration has come.
    pub(super) fn record(&mut self, entry: &ImportRecord, stage: Stage, at: i64) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let (account_id, integration_id) = (entry.account_id.clone(), entry.integration_id.clone());
        self.stages.insert((account_id.clone(), integration_id.clone()), (stage, at));
        let note = LedgerEntry { account_id, integration_id, stage, at };
        let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", self.path.display()));
        let mut line = serde_json::to_string(&note).map_err(|error| failed(&error))?;
        line.push('\n');
        // One write, so that a kill leaves the whole line or nothing of it.
        file.write_all(line.as_bytes()).map_err(|error| failed(&error))
    }
}

fn beside(of: &Path) -> PathBuf {
    let mut name = of.as_os_str().to_owned();
    name.push(".done");
    name.into()
}

fn read(file: &File) -> std::io::Result<HashMap<(AccountId, IntegrationId), (Stage, i64)>> {
    let mut stages = HashMap::new();
    for line in BufReader::new(file).lines() {
        if let Ok(note) = serde_json::from_str::<LedgerEntry>(&line?) {
            stages.insert((note.account_id, note.integration_id), (note.stage, note.at));
        }
    }
    Ok(stages)
}
