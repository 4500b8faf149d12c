//! The tests of the whole: handlers and real binaries against the local stack. Each one is a sentence.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests end by panicking")]

mod bad_minutes;
mod checks;
mod clients;
mod connect;
mod contract;
mod crashes;
mod ctl;
mod disconnect;
mod engine;
mod environments;
mod execution;
mod expansion;
mod histories;
mod iam;
mod idempotency;
mod initialisation;
mod lines;
mod newest;
mod notifications;
mod openapi;
mod outcomes;
mod published;
mod readme;
mod refresh;
mod schedule;
mod secrecy;
mod texts;
mod world;
