//! Code that the three functions share: the newest integration, its tokens, and the caller's permissions.
//!
//! It knows no Lambda runtime: functions hand over parsed events and time, and get plain values back.

pub mod access;
pub mod caller;
pub mod cf_ray;
pub mod clients;
pub mod clock;
pub mod config;
pub mod correct_hub;
pub mod crypto;
pub mod error;
pub mod gateway;
pub mod hubspot;
pub mod integration;
pub mod lease;
pub mod log;
pub mod refresh_policy;
pub mod retry_after;
pub mod store;
pub mod token_error;
pub mod tokens;
