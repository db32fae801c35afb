//! The supervisor's side of PostgreSQL: the schema, and which tenants there are.

mod connect;
mod task;

pub use connect::{ConnectError, connect};
pub use task::{StoreTask, TenantSource};
