//! Getting at the queue: connect, find or create the queue, consume.

use std::time::Duration;

use etl_shared::{
    TenantId,
    amqp::{self, Address},
};
use lapin::{
    Channel, Connection, Consumer,
    options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::BrokerError;

/// What kind of queue is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum QueueKind {
    /// Replicated where there are several brokers; counts deliveries.
    #[default]
    Quorum,
    /// One broker, no count.
    Classic,
}

/// What to do where the queue does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingQueue {
    /// Say so and leave.
    Refuse,
    /// Create it.
    Create(QueueKind),
}

/// Which queue, and how.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Where the broker is.
    pub at: Address,
    /// Which queue.
    pub queue: String,
    /// The only tenant that the queue serves.
    pub queue_tenant: Option<TenantId>,
    /// How the connection is called in the broker's lists.
    pub name: String,
    /// Most messages that are delivered and not settled.
    pub prefetch: u16,
    /// What to do where the queue does not exist.
    pub missing: MissingQueue,
    /// Longest wait for the broker to answer.
    pub patience: Duration,
}

impl BrokerSettings {
    /// `host:port/vhost`, without the secrets.
    pub fn address(&self) -> String {
        amqp::shown(&self.at.uri)
    }

    pub(super) async fn connect(&self) -> Result<Connection, BrokerError> {
        match tokio::time::timeout(self.patience, self.at.connect(&self.name)).await {
            Ok(connected) => connected.map_err(|error| BrokerError::connecting(&self.address(), error)),
            Err(_) => Err(BrokerError::Silent { address: self.address() }),
        }
    }

    /// Starts consuming on a new channel, after the queue has been found or made.
    pub(super) async fn consume(&self, connection: &Connection) -> Result<(Channel, Consumer), BrokerError> {
        match tokio::time::timeout(self.patience, self.attach(connection)).await {
            Ok(attached) => attached,
            Err(_) => Err(BrokerError::Silent { address: self.address() }),
        }
    }

    async fn attach(&self, connection: &Connection) -> Result<(Channel, Consumer), BrokerError> {
        let failed = |error| BrokerError::attaching(&self.address(), &self.queue, error);
        let mut channel = connection.create_channel().await.map_err(failed)?;
        // Passively first: declaring an existing queue with other arguments than it has would be refused.
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(self.queue.as_str().into(), passive, FieldTable::default()).await;
        if let Err(error) = found.map_err(failed) {
            let (BrokerError::QueueMissing { .. }, MissingQueue::Create(kind)) = (&error, self.missing) else {
                return Err(error);
            };
            // The refusal has closed the channel.
            channel = connection.create_channel().await.map_err(failed)?;
            self.create(&channel, kind).await.map_err(failed)?;
        }
        let consumer = self.start(&channel).await.map_err(failed)?;
        Ok((channel, consumer))
    }

    /// Starts a consumer with the present prefetch.
    pub(super) async fn start(&self, channel: &Channel) -> Result<Consumer, lapin::Error> {
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (queue, tag) = (self.queue.as_str().into(), self.name.as_str().into());
        channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default()).await
    }

    async fn create(&self, channel: &Channel, kind: QueueKind) -> Result<(), lapin::Error> {
        let mut arguments = FieldTable::default();
        if kind == QueueKind::Quorum {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(self.queue.as_str().into(), durable, arguments).await?;
        tracing::info!(queue = self.queue, kind = ?kind, "queue created");
        Ok(())
    }
}
