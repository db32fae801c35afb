//! Everything that is said to RabbitMQ.

mod connection;
mod error;
mod ledger;
mod session;

pub use connection::{BrokerSettings, MissingQueue, QueueKind};
pub use error::BrokerError;
pub use session::Session;
