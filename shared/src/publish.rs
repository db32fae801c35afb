//! Publishes messages so that a success means that the broker has them.

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    uri::AMQPUri,
};

use crate::{QueueName, TransformMessage};

const PERSISTENT: u8 = 2;

/// Sends messages to the default exchange with the queue's name as routing key: persistent, mandatory, confirmed.
#[derive(Debug)]
pub struct Publisher {
    // Kept because the channel ends with its connection.
    _connection: Connection,
    channel: Channel,
}

/// A message was not taken by the broker.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The connection or the channel failed before the broker answered: the message may or may not be in the queue.
    #[error("publishing to {queue} was not confirmed by the broker")]
    Unconfirmed {
        /// Where it should have gone.
        queue: String,
        /// What happened.
        #[source]
        source: lapin::Error,
    },
    /// There is no such queue; nothing was stored.
    #[error("the broker has no queue {queue}: start the tenant's worker or create the queue first")]
    Unroutable {
        /// Where it should have gone.
        queue: String,
    },
    /// The broker refused the message; nothing was stored.
    #[error("the broker refused the message for {queue} (negative confirm): the queue may be full or in overload")]
    Refused {
        /// Where it should have gone.
        queue: String,
    },
}

impl Publisher {
    /// Connects and switches confirms on.
    pub async fn connect(uri: AMQPUri, name: &str) -> Result<Self, lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(uri, properties).await?;
        let channel = connection.create_channel().await?;
        // Without this every publish would look like a success.
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { _connection: connection, channel })
    }

    /// Publishes one message and waits until the broker has it.
    pub async fn publish(&self, queue: &QueueName, message: &TransformMessage) -> Result<(), PublishError> {
        self.publish_body(&queue.to_string(), &message.encode()).await
    }

    /// Publishes a body as it is and waits until the broker has it.
    pub async fn publish_body(&self, queue: &str, body: &[u8]) -> Result<(), PublishError> {
        let unconfirmed = |source| PublishError::Unconfirmed { queue: queue.to_owned(), source };
        let properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_content_type("application/json".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = self
            .channel
            .basic_publish("".into(), queue.into(), options, body, properties)
            .await
            .map_err(unconfirmed)?
            .await
            .map_err(unconfirmed)?;
        match confirm {
            Confirmation::Ack(None) => Ok(()),
            // A returned message is acknowledged too: nobody has it.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(PublishError::Unroutable { queue: queue.to_owned() })
            }
            Confirmation::Nack(None) | Confirmation::NotRequested => {
                Err(PublishError::Refused { queue: queue.to_owned() })
            }
        }
    }
}
