//! The part that decides. It does no IO and is handed the time and the chance, so every case of it is a plain unit test.

#![deny(clippy::disallowed_methods)]

pub mod admission;
pub mod batching;
pub mod context;
pub mod delivery;
pub mod fate;
pub mod inspection;
pub mod pace;
pub mod reading;
pub mod references;
pub mod registry;
pub mod retry;
pub mod rows;
pub mod suspected;
pub mod transform;
pub mod warnings;

pub use admission::{Admission, Assignment};
pub use context::{Context, FieldMapping};
pub use delivery::Job;
pub use fate::{DeadLetter, Done, Fate, Reason, RowRef, Trouble, Wait};
pub use inspection::{RawRow, RowStatus};
pub use rows::{RowSet, Scope};
pub use suspected::Suspected;
