//! One channel that consumes, from its opening until it ends; deliveries and their acknowledgements never leave it.

use std::time::Duration;

use etl_shared::headers;
use futures_util::{
    StreamExt,
    future::{self, FutureExt},
};
use lapin::{
    Acker, Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, QueueDeclareOptions},
    types::FieldTable,
};

use super::{BrokerError, BrokerSettings, ledger::Ledger};
use crate::job::Job;

/// Longest wait for a polite goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A consumer on its own channel.
pub struct Session {
    settings: BrokerSettings,
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    ledger: Ledger<Acker>,
}

impl Session {
    /// Connects and consumes.
    pub async fn open(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let connection = settings.connect().await?;
        let (channel, consumer) = settings.consume(&connection).await?;
        Ok(Self { settings: settings.clone(), connection, channel, consumer, ledger: Ledger::new() })
    }

    /// Gives back every delivery that is not settled and takes no more, until [`Session::resume`].
    pub async fn pause(&mut self) {
        self.ledger = Ledger::new();
        let _ = tokio::time::timeout(GOODBYE, self.channel.close(200, "paused".into())).await;
    }

    /// Consumes again after a pause.
    pub async fn resume(&mut self) -> Result<(), BrokerError> {
        (self.channel, self.consumer) = self.settings.consume(&self.connection).await?;
        Ok(())
    }

    /// The next delivery.
    pub async fn next(&mut self) -> Result<Job, BrokerError> {
        let delivery = self.consumer.next().await;
        self.take(delivery)
    }

    /// The next delivery, where it has arrived already.
    pub fn next_arrived(&mut self) -> Option<Result<Job, BrokerError>> {
        let delivery = self.consumer.next().now_or_never()?;
        Some(self.take(delivery))
    }

    fn take(&mut self, delivery: Option<Result<Delivery, lapin::Error>>) -> Result<Job, BrokerError> {
        match delivery {
            Some(Ok(Delivery { delivery_tag, properties, data, acker, .. })) => {
                self.ledger.delivered(delivery_tag, acker);
                let message_id = properties.message_id().as_ref().map(ToString::to_string);
                let job = Job::new(delivery_tag, data, headers::to_json(&properties), self.settings.queue_tenant);
                Ok(Job { message_id, ..job })
            }
            Some(Err(source)) => Err(BrokerError::Unavailable { address: self.settings.address(), source }),
            None => Err(BrokerError::Cancelled { queue: self.settings.queue.clone() }),
        }
    }

    /// How many messages are delivered ahead at most.
    pub const fn prefetch(&self) -> u16 {
        self.settings.prefetch
    }

    /// Changes how many messages are delivered ahead. The broker takes that into account for new consumers only. This one is not
    /// cancelled but given up with its channel, because RabbitMQ 3.10 ends the connection with an internal error when a quorum
    /// queue delivers to a consumer that is just being cancelled. Whatever is not settled is delivered again.
    pub async fn set_prefetch(&mut self, prefetch: u16) -> Result<(), BrokerError> {
        self.settings.prefetch = prefetch;
        self.pause().await;
        self.resume().await
    }

    /// How many deliveries are not settled.
    pub fn open_deliveries(&self) -> usize {
        self.ledger.open()
    }

    /// Notes that a delivery needs no more work; [`Session::acknowledge`] tells the broker.
    pub fn settle(&mut self, job: &Job) {
        self.ledger.settle(job.ticket);
    }

    /// Tells the broker of every delivery that is settled. Where the channel has ended meanwhile this says why; the broker will
    /// deliver them again, and their raw rows say that they are done.
    pub async fn acknowledge(&mut self) -> Result<(), BrokerError> {
        let receipts = self.ledger.receipts();
        let sent = future::join_all(receipts.iter().map(|receipt| {
            let options = BasicAckOptions { multiple: receipt.multiple };
            async move { matches!(receipt.acker.ack(options).await, Ok(true)) }
        }));
        let lost: usize = sent.await.iter().zip(&receipts).filter(|(sent, _)| !**sent).map(|(_, r)| r.settles).sum();
        if lost == 0 {
            return Ok(());
        }
        tracing::info!(
            messages = lost,
            "done but not acknowledged, because the channel has ended; they will be delivered again"
        );
        Err(self.cause_of_the_end().await)
    }

    /// Why the channel has ended: it is told after the last delivery.
    async fn cause_of_the_end(&mut self) -> BrokerError {
        let silent = BrokerError::Silent { address: self.settings.address() };
        let end = async {
            loop {
                if let Err(cause) = self.next().await {
                    return cause;
                }
            }
        };
        tokio::time::timeout(GOODBYE, end).await.unwrap_or(silent)
    }

    /// How many messages wait in the queue, beside those delivered to anybody.
    pub async fn waiting(&self) -> Result<u32, BrokerError> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.settings.queue.as_str();
        let declared = self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
        declared
            .map(|queue| queue.message_count())
            .map_err(|error| BrokerError::attaching(&self.settings.address(), queue, error))
    }

    /// Ends the consumer and the connection; whatever is not settled goes back to the queue.
    pub async fn close(self) {
        let goodbye = async {
            let _ = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default()).await;
            let _ = self.connection.close(200, "goodbye".into()).await;
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    /// Tells the broker to deliver nothing more, so that what follows is only what has arrived.
    pub async fn stop_deliveries(&self) {
        let cancel = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        let _ = tokio::time::timeout(GOODBYE, cancel).await;
    }
}
