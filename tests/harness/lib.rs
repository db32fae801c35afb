//! Harness of the system tests: real broker, real database, real processes.
//!
//! A suite builds what it needs from these parts, waits on conditions with [`eventually`], and leaves nothing behind: every
//! part takes itself away when it is dropped, also after a panic.

#![allow(
    clippy::missing_panics_doc,
    reason = "a harness fails a test by panicking; each message says what was expected"
)]

pub mod accounts;
pub mod binaries;
pub mod broker;
pub mod browser;
pub mod createmeta;
pub mod database;
pub mod documents;
pub mod faults;
pub mod fleet;
pub mod http;
pub mod platform;
pub mod processes;
pub mod proxy;
pub mod refusals;
pub mod scripted;
pub mod stack;
pub mod supervisor;
pub mod supervisor_setup;
pub mod tls;
pub mod waiting;
pub mod worker;

pub use platform::Platform;
pub use supervisor::Supervisor;
pub use supervisor_setup::Setup;
pub use waiting::{SOON, eventually};

/// An error with its causes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
