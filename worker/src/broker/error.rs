//! What a failure of RabbitMQ means for us.

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};

/// Something with the broker did not work.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Not reachable, or the connection ended.
    #[error("the broker at {address} is not available")]
    Unavailable {
        /// `host:port/vhost`
        address: String,
        /// What happened.
        #[source]
        source: lapin::Error,
    },
    /// No answer in time.
    #[error("the broker at {address} does not answer")]
    Silent {
        /// `host:port/vhost`
        address: String,
    },
    /// User or password are wrong, or the user may not use the virtual host.
    #[error("the broker at {address} refuses the login: check user, password and virtual host of the AMQP URL")]
    LoginRefused {
        /// `host:port/vhost`
        address: String,
        /// The broker's words.
        #[source]
        source: lapin::Error,
    },
    /// There is no such queue.
    #[error(
        "the queue {queue} does not exist: let the supervisor create it, or start this worker with --create-queue (its user then needs the right to configure the queue)"
    )]
    QueueMissing {
        /// Its name.
        queue: String,
    },
    /// The user may not do what the worker needs.
    #[error(
        "the broker does not let this user consume {queue}: give it read permission for the queue (and configure permission for --create-queue)"
    )]
    Forbidden {
        /// The queue.
        queue: String,
        /// The broker's words.
        #[source]
        source: lapin::Error,
    },
    /// The queue is there and cannot be used in this way.
    #[error("the broker does not let the queue {queue} be used like this: compare the queue's arguments")]
    Mismatch {
        /// The queue.
        queue: String,
        /// The broker's words.
        #[source]
        source: lapin::Error,
    },
    /// The broker ended the consumer, as when the queue is deleted.
    #[error("the broker ended the consumer of {queue}, as when the queue is deleted or moves")]
    Cancelled {
        /// The queue.
        queue: String,
    },
}

impl BrokerError {
    /// Whether a message's headers are larger than a frame of the connection: bodies are split into frames, headers are not.
    pub fn is_frame_too_small(&self) -> bool {
        matches!(self, Self::Unavailable { source, .. }
            if refusal(source) == Some(AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR)))
    }

    /// A failure to connect.
    pub(super) fn connecting(address: &str, source: lapin::Error) -> Self {
        let address = address.to_owned();
        match refusal(&source) {
            Some(
                AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED),
            ) => Self::LoginRefused { address, source },
            _ => Self::Unavailable { address, source },
        }
    }

    /// A failure to get at the queue.
    pub(super) fn attaching(address: &str, queue: &str, source: lapin::Error) -> Self {
        let queue = queue.to_owned();
        match refusal(&source) {
            Some(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)) => Self::QueueMissing { queue },
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => Self::Forbidden { queue, source },
            Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) => Self::Mismatch { queue, source },
            _ => Self::Unavailable { address: address.to_owned(), source },
        }
    }
}

fn refusal(error: &lapin::Error) -> Option<AMQPErrorKind> {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => Some(refusal.kind().clone()),
        _ => None,
    }
}
