//! Everything that is said to PostgreSQL.
//!
//! One transaction serves a batch: lock the raw rows, fetch their documents, write the rows of all documents with one statement
//! a table, mark the raw rows, commit. Statements are sent without waiting for each other's answers, so a batch of small
//! documents costs two or three round trips however many messages it holds. Every statement names the tenant, also where row-level security would.

mod columns;
mod connection;
mod custom_fields;
mod dead_letters;
mod error;
mod github;
mod issues;
mod links;
mod lookup;
mod mapping;
mod projects;
mod raw_rows;
mod reports;
mod statuses;
mod transaction;
mod upsert;
mod wits;
mod write;

pub use connection::{Store, StoreSettings};
pub use dead_letters::{Letter, Message};
pub use error::StoreError;
pub use transaction::{Begun, Ended, Transaction, Transformed};
