//! The supervisor's side of RabbitMQ: sees to it that every worker's queue exists, and reads how deep the queues are.

mod depth;
mod ensure;
mod task;

pub(crate) use depth::depths;

pub use ensure::{EnsureError, ensure};
pub use task::{BrokerTask, WantedQueues};
