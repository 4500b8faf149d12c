//! The tokens that a warm function remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::check;
use crate::integration::{Integration, Pointer};
use crate::token_error::TokenError;
use crate::tokens::Tokens;

/// Tokens that a warm function remembers at most.
const CACHED: usize = 512;

/// Tokens by the version that holds them.
///
/// Invariant: only versions that a record points at get here.
#[derive(Clone, Default)]
pub(super) struct TokenCache(Arc<Mutex<HashMap<Pointer, Tokens>>>);

impl TokenCache {
    /// The tokens of a version. A record may point at another account's secret: the cache does not make them its own.
    pub(super) fn get(&self, record: &Integration, pointer: &Pointer) -> Result<Option<Tokens>, TokenError> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pointer).cloned();
        if let Some(tokens) = &tokens {
            check(record, tokens)?;
        }
        Ok(tokens)
    }

    /// Remembers the tokens of a version.
    pub(super) fn insert(&self, pointer: &Pointer, tokens: &Tokens) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.clear();
        }
        cache.insert(pointer.clone(), tokens.clone());
    }
}
