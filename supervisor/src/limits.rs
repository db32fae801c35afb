//! How much memory a worker may have, and all of them together: what follows from what was seen.
//!
//! No IO, no clock: looks at processes and the time are handed in, and what is to be done comes out.

#![deny(clippy::disallowed_methods)]

mod admission;
#[cfg(test)]
mod properties;
mod verdict;
mod watch;

pub use admission::{Admission, Limit, Needs, Room, Shortage, Sums};
pub use verdict::{Finding, Look, MemoryLimits, TooSmall, Work};
pub use watch::Watches;
