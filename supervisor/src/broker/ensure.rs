//! Makes sure that a queue exists, without ever changing one that does.

use lapin::{
    Connection, ErrorKind,
    options::QueueDeclareOptions,
    protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use crate::settings::QueueKind;

/// The queue is not there.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// The broker did not answer; nothing is known about the queue.
    #[error("the broker did not answer")]
    Broker(#[source] lapin::Error),
    /// It is missing and the broker does not let us make it.
    #[error("the queue {queue} is missing and could not be created: {reason}")]
    Refused {
        /// Which queue.
        queue: String,
        /// The broker's words.
        reason: String,
    },
}

/// Looks for the queue and creates it where it is missing: durable, of the given kind, without further arguments. A queue
/// that exists is used as it is, whatever its arguments: declaring it differently would be refused.
///
/// Returns whether it was created.
pub async fn ensure(connection: &Connection, queue: &str, kind: QueueKind) -> Result<bool, EnsureError> {
    // A missing queue closes the channel that asks for it, so each question has a channel of its own.
    let channel = connection.create_channel().await.map_err(EnsureError::Broker)?;
    let passive = QueueDeclareOptions::durable().passive();
    match channel.queue_declare(queue.into(), passive, FieldTable::default()).await {
        Ok(_) => {
            let _ = channel.close(200, "".into()).await;
            return Ok(false);
        }
        Err(error) if is_not_found(&error) => {}
        Err(error) => return Err(refused_or_broken(queue, error)),
    }
    let channel = connection.create_channel().await.map_err(EnsureError::Broker)?;
    let mut arguments = FieldTable::default();
    let word = match kind {
        QueueKind::Quorum => "quorum",
        QueueKind::Classic => "classic",
    };
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(word.into()));
    match channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await {
        Ok(_) => {
            let _ = channel.close(200, "".into()).await;
            Ok(true)
        }
        Err(error) => Err(refused_or_broken(queue, error)),
    }
}

/// The broker has refused, and is not merely going away (320, connection forced).
fn names_a_reason(refusal: &AMQPError) -> bool {
    !matches!(refusal.kind(), AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED))
}

/// 404: there is no such queue.
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)))
}

/// 403: this account may not.
pub(super) fn is_refused(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)))
}

fn refused_or_broken(queue: &str, error: lapin::Error) -> EnsureError {
    match error.kind() {
        // Also an error of the whole connection, when it was the answer to this question.
        ErrorKind::ProtocolError(refusal) if names_a_reason(refusal) => {
            EnsureError::Refused { queue: queue.to_owned(), reason: refusal.get_message().to_string() }
        }
        _ => EnsureError::Broker(error),
    }
}
