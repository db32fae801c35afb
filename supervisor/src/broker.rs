//! The supervisor's side of RabbitMQ: sees to it that every worker's queue exists, and reads how deep the queues are.

mod backstop;
mod death;
mod depth;
mod ensure;
mod management;
mod policy;
mod rates;
mod task;
mod users;

pub use backstop::Backstop;
pub(crate) use depth::depths;
pub use ensure::{EnsureError, ensure};
pub use management::{Management, ManagementError, QueueFacts};
pub use policy::{DEAD_LETTER_QUEUE, POLICY_NAMES};
pub use task::{BrokerTask, WantedQueues};
pub use users::{ByVhost, Permissions, User};
