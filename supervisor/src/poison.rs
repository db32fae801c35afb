//! Which messages end their workers, and what follows for them.
//!
//! A process that dies leaves its flight record behind, which names the message, or the batch, that it had in hand. Each
//! death is a strike against what is named, never against what was only delivered. A message with a strike is a suspect and
//! runs alone; one with enough strikes is condemned and becomes a dead letter. No IO, no clock: the time is handed in.

#![deny(clippy::disallowed_methods)]

mod blame;
mod ledger;
mod oom;
#[cfg(test)]
mod properties;
mod suspect;

pub use blame::{Blame, blame};
pub use ledger::{Ledger, PassedDeath, Struck};
pub use oom::{OomKills, parse as oom_kills};
pub use suspect::{Rules, Suspect};
