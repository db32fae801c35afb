//! What has happened: kept in memory for streams, and in the database for longer.

mod entry;
mod journal;
mod labels;
mod looks;
mod points;
pub mod tally;
mod writer;

pub use entry::Entry;
pub use journal::{Ending, Happening, Journal, Missed};
pub use labels::BROKER_REASONS;
pub use looks::Looks;
pub use points::{Point, Points, STEP};
pub use tally::Tally;
pub use writer::{Flush, HistoryWriter, source};
