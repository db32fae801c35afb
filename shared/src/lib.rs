//! What the supervisor and its workers must agree on: names, messages, exit codes, the flight record, the bodies of the
//! admin API, how secrets and settings are read, how broker and database are connected to, and the database's schema.
//!
//! Nothing here decides anything about a process or a message; it only says how the two programs understand each other.

pub mod amqp;
pub mod api;
pub mod credentials;
pub mod data_types;
pub mod environment;
pub mod exit_code;
pub mod flight;
pub mod headers;
pub mod hidden;
mod inherited_fd;
pub mod message;
#[cfg(feature = "migrations")]
pub mod migrations;
pub mod postgres;
pub mod publish;
pub mod queue;
pub mod settings;
pub mod suspicion;
pub mod telemetry;
pub mod tenant;
pub mod tls;
pub mod verdict;
pub mod worker_name;

pub use message::TransformMessage;
pub use queue::{QueueName, QueueType};
pub use tenant::TenantId;
pub use verdict::Verdict;
pub use worker_name::WorkerName;
