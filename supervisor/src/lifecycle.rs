//! The part that decides: what happened goes in, what is to be done comes out.
//!
//! No IO, no clock and no chance in here. The time comes with every event, the jitter is a function of a seed and the
//! worker's name, so that the same events always give the same effects, and one tenant's trouble cannot change what another
//! tenant's worker gets. `docs/lifecycle.md` shows the whole table of states and events, printed by a test.
#![deny(clippy::disallowed_methods)]

mod effect;
mod event;
mod exit;
mod fleet;
mod relief;
mod restart;
mod slot;
mod state;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

pub use effect::{Effect, StopSignal};
pub use event::{Event, Found, Timing};
pub(crate) use exit::verdict;
pub use exit::{Death, Exit, SpawnTrouble};
pub use fleet::Fleet;
pub use relief::{Crew, Ending, Outcome, Purpose, Reliefs, Step};
pub use restart::RestartPolicy;
pub use slot::Slot;
pub use state::{Dependency, State, StopCause, Wanted, Why};
