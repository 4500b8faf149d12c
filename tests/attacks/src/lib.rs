//! Attack inputs, and the properties that must hold for everything that the guard lets pass.
//!
//! Shared by the guard's own tests, the tests over the wire and the fuzz targets.

#![expect(clippy::unwrap_used, reason = "a test ends at the first input that is not as it should be")]

pub mod endpoints;
pub mod expansion;
pub mod foreign;
pub mod gadgets;
pub mod properties;
pub mod tally;
