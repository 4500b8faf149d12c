//! A program to measure, and the core that it runs on.

use axum::body::Bytes;

use crate::process::Program;

/// The core that what is measured runs on; the emulators keep the others.
pub(crate) const CORE: usize = 0;

/// Something to measure.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// The event of each invocation.
    pub(crate) event: Bytes,
}
