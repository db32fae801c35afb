//! The supervisor's side of PostgreSQL: the schema, which tenants there are, and what operators ask of the dead letters.

mod backstop;
mod connect;
pub mod history;
pub mod letters;
mod operators;
pub mod raw_rows;
mod seats;
pub mod settings;
mod task;

pub use backstop::{Kept, LIMITS as BACKSTOP_LIMITS, RawRow, ReturnedLetter, is_about_the_row, keep};
pub use connect::{ConnectError, connect};
pub use operators::{OperatorStore, Session, StoreError};
pub use seats::Seats;
pub use task::{StoreTask, TenantSource};
