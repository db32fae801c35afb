//! Publishes messages so that a success means that the broker has them.
//!
//! For producers written in Rust this is the whole contract of `docs/publishing.md`: default exchange, the queue's name as routing
//! key, persistent, mandatory, confirmed. Publish *after* the transaction that inserted the raw row has been committed: a worker
//! that is faster than the commit would not find the row.
//!
//! ```no_run
//! use etl_shared::{QueueType, TenantId, TransformMessage, amqp, publish::Publisher};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = std::env::var("AMQP_URL")?.into();
//! let publisher = Publisher::connect(&amqp::parse_url(&url)?, "my extraction").await?;
//!
//! let tenant = TenantId::try_from(7)?;
//! let queue = "transform".parse::<QueueType>()?.queue_of(tenant);
//! let message = TransformMessage {
//!     tenant_id: tenant,
//!     integration_id: 1,
//!     raw_data_id: Some(123),
//!     kind: "jira_custom_fields".to_owned(),
//!     extra: serde_json::Map::new(),
//! };
//! publisher.publish(&queue, &message).await?;
//! # Ok(()) }
//! ```
//!
//! One message waits for one confirm. Many are faster with some hundred of them under way at once, which is what
//! [`Publisher::publish_many`] is for. After [`PublishError::Unconfirmed`] the message may or may not be in the queue: connect again
//! and publish it again, because a message that arrives twice has the effect of one.

use std::collections::BTreeSet;

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::FieldTable,
};

use crate::{QueueName, TransformMessage, amqp::Address, trace::Origin};

pub mod headers;

const PERSISTENT: u8 = 2;

/// Sends messages to the default exchange with the queue's name as routing key: persistent, mandatory, confirmed.
#[derive(Debug)]
pub struct Publisher {
    // Kept because the channel ends with its connection.
    connection: Connection,
    channel: Channel,
}

/// One of several messages.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub queue: &'a str,
    /// What.
    pub body: &'a [u8],
    /// With these headers; all of them together must stay well below the connection's largest frame, 8 KiB unless its address says otherwise.
    pub headers: FieldTable,
}

impl PublishError {
    /// A stable word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Unroutable { .. } => "queue_missing",
            Self::Refused { .. } => "refused",
        }
    }
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
    pub async fn connect(address: &Address, name: &str) -> Result<Self, lapin::Error> {
        let connection = address.connect(name).await?;
        let channel = connection.create_channel().await?;
        // Without this every publish would look like a success.
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel })
    }

    /// Publishes one message and waits until the broker has it.
    pub async fn publish(&self, queue: &QueueName, message: &TransformMessage) -> Result<(), PublishError> {
        self.publish_body(&queue.to_string(), &message.encode()).await
    }

    /// The same for a message whose origin is known: the worker's log lines about it will name that.
    pub async fn publish_from(
        &self,
        origin: &Origin,
        queue: &QueueName,
        message: &TransformMessage,
    ) -> Result<(), PublishError> {
        let properties = BasicProperties::default().with_headers(headers::with_origin(origin));
        self.publish_with(&queue.to_string(), &message.encode(), properties).await
    }

    /// Publishes a body as it is and waits until the broker has it.
    pub async fn publish_body(&self, queue: &str, body: &[u8]) -> Result<(), PublishError> {
        self.publish_with(queue, body, BasicProperties::default()).await
    }

    async fn publish_with(&self, queue: &str, body: &[u8], properties: BasicProperties) -> Result<(), PublishError> {
        let unconfirmed = |source| PublishError::Unconfirmed { queue: queue.to_owned(), source };
        let confirm = self.send(queue, body, properties).await.map_err(unconfirmed)?;
        match confirm.await.map_err(unconfirmed)? {
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

    /// Publishes several messages with all of them under way at once, and waits for every confirm. One result for each message, in
    /// their order. What they hold is in memory until then, so a caller with many cuts them into pieces of some hundred.
    ///
    /// Several calls of [`Publisher::publish`] at once are no replacement where queues differ: the broker returns what it cannot
    /// route apart from its confirms, and the client library hands a returned message to whichever confirm is completed next. Here
    /// the returns of all are put together first and counted against the queues that they name. Where a queue goes or comes
    /// meanwhile, a message that the broker has may be reported as not published, but never the other way round.
    pub async fn publish_many(&self, messages: Vec<Outgoing<'_>>) -> Vec<Result<(), PublishError>> {
        let mut under_way = Vec::with_capacity(messages.len());
        for Outgoing { queue, body, headers } in messages {
            let properties = BasicProperties::default().with_headers(headers);
            under_way.push((queue, self.send(queue, body, properties).await));
        }
        let mut returned = BTreeSet::new();
        let mut answers = Vec::with_capacity(under_way.len());
        for (queue, sent) in under_way {
            let confirmation = match sent {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            if let Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) = &confirmation {
                returned.insert(message.routing_key.to_string());
            }
            answers.push((queue, confirmation));
        }
        let outcome = |(queue, confirmation): (&str, _)| match confirmation {
            _ if returned.contains(queue) => Err(PublishError::Unroutable { queue: queue.to_owned() }),
            Ok(Confirmation::Ack(_)) => Ok(()),
            Ok(Confirmation::Nack(_) | Confirmation::NotRequested) => {
                Err(PublishError::Refused { queue: queue.to_owned() })
            }
            Err(source) => Err(PublishError::Unconfirmed { queue: queue.to_owned(), source }),
        };
        answers.into_iter().map(outcome).collect()
    }

    /// Takes leave of the broker, which would otherwise note a connection that broke.
    pub async fn close(self) {
        let _ = self.connection.close(200, "done".into()).await;
    }

    async fn send(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<PublisherConfirm, lapin::Error> {
        let properties = properties.with_delivery_mode(PERSISTENT).with_content_type("application/json".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        self.channel.basic_publish("".into(), queue.into(), options, body, properties).await
    }
}
