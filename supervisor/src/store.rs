//! The supervisor's side of PostgreSQL: the schema, and which tenants there are.

mod backstop;
mod connect;
mod task;

pub use backstop::{Kept, RawRow, ReturnedLetter, keep};
pub use connect::{ConnectError, connect};
pub use task::{StoreTask, TenantSource, chain};
