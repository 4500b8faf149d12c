//! The guard: turns a customer's request into one that may be sent to HubSpot, or refuses it.
//!
//! Pure functions over untrusted text. The crate knows no Lambda, no AWS and no HTTP client; its manifest keeps it so.

mod canonical;
pub mod credentials;
pub mod fields;
pub mod hubs;
pub mod ids;
mod reads;
pub mod redact;
pub mod refusal;
pub mod request;
pub mod scopes;
pub mod target;
