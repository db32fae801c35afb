//! What has happened: kept in memory for streams, and in the database for longer.

mod journal;
pub mod tally;

pub use journal::{Happening, Journal};
pub use tally::Tally;
