//! What has happened: kept in memory for streams, and in the database for longer.

mod entry;
mod journal;
mod points;
mod tally;
mod writer;

pub use entry::Entry;
pub use journal::{Happening, Journal, Missed};
pub use points::{Point, Points, STEP};
pub use tally::Tally;
pub use writer::{Flush, HistoryWriter};
