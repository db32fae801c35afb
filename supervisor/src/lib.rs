//! The supervisor: one isolated worker process per tenant, kept alive.
//!
//! `lifecycle` decides and does nothing else, `poison` which messages are not to be run again, `limits` what follows from the memory
//! that workers have; `keeper` is the small process that is the parent of every worker and gives each its identity; `runtime` drives
//! both; `broker` and `store` talk to RabbitMQ and PostgreSQL; `accounts` makes each tenant's own logins there; `reconcile` publishes
//! what a producer forgot; `history` remembers what has happened; `api`, `page` and `cli` are for people.

pub mod accounts;
pub mod api;
pub mod broker;
mod causes;
pub mod cli;
pub mod clock;
pub mod correlation;
pub mod history;
pub mod keeper;
pub mod lifecycle;
pub mod limits;
pub mod page;
pub mod poison;
pub mod reconcile;
pub mod runtime;
pub mod settings;
pub mod store;
