//! The whole system on one machine: AWS and HubSpot emulated on loopback, around the real binaries.
//!
//! Tests and `make demo` use the same [`stack::Stack`]. Only endpoints differ from the real thing: the AWS SDK and
//! reqwest call the emulators as they would call AWS and HubSpot.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an emulator that cannot go on says so at once, and the demonstration prints"
)]

pub mod aws;
pub mod costs;
mod dashboard;
pub mod demo;
pub mod dynamodb;
pub mod faults;
pub mod front_door;
pub mod hubspot;
pub mod hubspot_server;
pub mod iam;
pub mod interrupt;
pub mod lambda;
pub mod loopback;
pub mod pipe;
pub mod published;
pub mod run;
pub mod schedule;
pub mod secrets_manager;
pub mod stack;
mod sts;
pub mod template;
pub mod wire;
