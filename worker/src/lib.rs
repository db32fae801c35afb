//! Consumes one queue: each message names a raw document in PostgreSQL, which becomes rows of the final tables.
//!
//! * [`job`] decides: what a message means, what a document turns into, what becomes of a message. No IO, no clock.
//! * [`broker`] alone talks to RabbitMQ, [`store`] alone holds SQL; both know only the types of [`job`].
//! * [`runtime`] joins them: the loop, the signals, the flight record.

pub mod broker;
pub mod job;
pub mod program;
pub mod runtime;
pub mod settings;
pub mod store;
