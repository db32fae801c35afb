//! Drains the broker's dead-letter queue into the table of dead letters.

use std::time::Duration;

use etl_shared::{
    QueueName, TransformMessage,
    amqp::{self, LARGE_FRAME_MAX},
    headers,
};
use futures_util::StreamExt;
use lapin::{
    Connection,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{self, Instant};
use tokio_postgres::Client;

use super::{
    death::Death,
    ensure::{EnsureError, ensure, is_not_found, is_refused},
    policy::DEAD_LETTER_QUEUE,
};
use crate::{
    causes::in_one_line,
    history::Tally,
    settings::{Broker, Database},
    store::{self, Kept, RawRow, ReturnedLetter},
};

/// Messages that are here at once.
const PREFETCH: u16 = 10;
/// Delays between tries, of connecting and of storing.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// When a queue that is not there, or may not be read, is tried again.
const LATER: Duration = Duration::from_mins(5);
/// How long the database may take for one message.
const STORED_WITHIN: Duration = Duration::from_secs(30);
/// After so long without a message the connection to the database is given back.
const IDLE: Duration = Duration::from_secs(30);

/// The consumer of the dead-letter queue.
///
/// It has a connection of its own: a message with large headers asks for frames that would cost the others memory, and what
/// breaks here must not stop the making of queues.
#[derive(Debug)]
pub struct Backstop {
    broker: Broker,
    database: Database,
    /// Open while there is something to store.
    client: Option<Client>,
    said: Option<String>,
    tally: Tally,
}

/// Why nothing is consumed.
enum Ended {
    /// There is no such queue, and nobody told us to make it.
    Absent,
    /// The broker will not have it: nothing that passes by itself.
    Refused(String),
    /// Anything else.
    Broken(String),
}

impl Backstop {
    /// Not connected yet.
    pub const fn new(broker: Broker, database: Database, tally: Tally) -> Self {
        Self { broker, database, client: None, said: None, tally }
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let mut delay = AGAIN.0;
        loop {
            let began = Instant::now();
            let wait = match self.session().await {
                Ended::Absent => LATER,
                Ended::Refused(why) => {
                    self.warn(format!("{DEAD_LETTER_QUEUE} is not drained: {why}"));
                    LATER
                }
                Ended::Broken(why) => {
                    self.warn(format!("{DEAD_LETTER_QUEUE} is not drained: {why}"));
                    if began.elapsed() > AGAIN.1 {
                        delay = AGAIN.0;
                    }
                    let wait = delay;
                    delay = (delay * 2).min(AGAIN.1);
                    wait
                }
            };
            self.client = None;
            time::sleep(wait).await;
        }
    }

    /// One connection to the broker, until it is over.
    async fn session(&mut self) -> Ended {
        let connection = match self.connect().await {
            Ok(connection) => connection,
            Err(problem) => return Ended::Broken(problem),
        };
        let consumed = match self.consume(&connection).await {
            Err(error) if is_not_found(&error) => Ended::Absent,
            Err(error) if is_refused(&error) => Ended::Refused(error.to_string()),
            Err(error) => Ended::Broken(error.to_string()),
            Ok(ended) => ended,
        };
        let _ = connection.close(200, "".into()).await;
        consumed
    }

    async fn connect(&self) -> Result<Connection, String> {
        let url = self.broker.own_url().map_err(|error| error.to_string())?;
        let mut address = amqp::parse_url(&url).map_err(|error| error.to_string())?;
        address.uri.query.frame_max = Some(LARGE_FRAME_MAX);
        let connecting = address.connect("etl-supervisor dead letters");
        let connecting = time::timeout(Duration::from_secs(15), connecting).await;
        connecting.map_err(|_| "no answer within 15 seconds".to_owned())?.map_err(|error| error.to_string())
    }

    async fn consume(&mut self, connection: &Connection) -> Result<Ended, lapin::Error> {
        if self.broker.management_url.is_some()
            && let Err(error) = ensure(connection, DEAD_LETTER_QUEUE, self.broker.queue_kind).await
        {
            let why = error.to_string();
            return Ok(match error {
                EnsureError::Broker(_) => Ended::Broken(why),
                EnsureError::Refused { .. } => Ended::Refused(why),
            });
        }
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume(DEAD_LETTER_QUEUE.into(), "".into(), options, FieldTable::default()).await?;
        self.well("consuming");
        loop {
            let Ok(next) = time::timeout(IDLE, consumer.next()).await else {
                self.client = None;
                continue;
            };
            let Some(delivery) = next else {
                return Ok(Ended::Broken("the broker ended the consumer".to_owned()));
            };
            let delivery = delivery?;
            if !self.hold_until_kept(connection, &delivery).await {
                return Ok(Ended::Broken("the connection was lost".to_owned()));
            }
            delivery.ack(BasicAckOptions::default()).await?;
        }
    }

    /// While the database is away the message stays here, neither acknowledged nor returned. Returns whether it has been kept;
    /// it has not where the broker has gone meanwhile, and will deliver it again.
    async fn hold_until_kept(&mut self, connection: &Connection, delivery: &Delivery) -> bool {
        let mut letter = letter_of(delivery);
        let mut delay = AGAIN.0;
        loop {
            match self.keep(&mut letter).await {
                Ok(kept) => {
                    self.well("stored");
                    log(&letter, kept);
                    if kept == Kept::Stored {
                        self.tally.returned(&letter.reason);
                    }
                    return true;
                }
                Err(problem) => {
                    self.client = None;
                    self.warn(format!("messages of {DEAD_LETTER_QUEUE} are held until they can be stored: {problem}"));
                }
            }
            time::sleep(delay).await;
            delay = (delay * 2).min(AGAIN.1);
            if !connection.status().connected() {
                return false;
            }
        }
    }

    async fn keep(&mut self, letter: &mut ReturnedLetter) -> Result<Kept, String> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                let url = self.database.own_url().map_err(|error| error.to_string())?;
                let connected = store::connect(&url, "etl-supervisor dead letters").await;
                let client = connected.map_err(|error| in_one_line(&error))?.0;
                client.batch_execute(store::BACKSTOP_LIMITS).await.map_err(|error| in_one_line(&error))?;
                none.insert(client)
            }
        };
        match time::timeout(STORED_WITHIN, store::keep(client, letter)).await {
            Ok(Err(error)) if letter.raw_row.is_some() && store::is_about_the_row(&error) => {
                // What one tenant does to its own row must not keep everybody's letters waiting.
                tracing::warn!(
                    raw_data_id = letter.raw_row.map(|row| row.id),
                    tenant = letter.tenant_id,
                    problem = in_one_line(&error),
                    "a raw row is left as it is"
                );
                letter.raw_row = None;
                Err(in_one_line(&error))
            }
            Ok(kept) => kept.map_err(|error| in_one_line(&error)),
            Err(_) => Err(format!("the database has not answered for {} seconds", STORED_WITHIN.as_secs())),
        }
    }

    fn warn(&mut self, problem: String) {
        if self.said.as_ref() != Some(&problem) {
            tracing::warn!(problem, "dead letters of the broker");
            self.said = Some(problem);
        }
    }

    fn well(&mut self, what: &str) {
        if self.said.take().is_some() {
            tracing::info!(what, "dead letters of the broker: it goes on");
        }
    }
}

fn log(letter: &ReturnedLetter, kept: Kept) {
    let (tenant, queue, reason) = (letter.tenant_id, &letter.queue, &letter.reason);
    match kept {
        Kept::Stored => tracing::warn!(tenant, queue, reason, "the broker gave up a message: it is a dead letter now"),
        Kept::Known => {
            tracing::info!(tenant, queue, reason, "the broker gave up a message that is a dead letter already");
        }
        Kept::Completed => {
            tracing::info!(
                tenant,
                queue,
                reason,
                "the broker gave up a message whose work has been done: nothing to do"
            );
        }
    }
}

fn letter_of(delivery: &Delivery) -> ReturnedLetter {
    letter(&delivery.data, &headers::to_value(&delivery.properties))
}

fn letter(body: &[u8], headers: &serde_json::Value) -> ReturnedLetter {
    let death = Death::read(headers);
    let (tenant, raw_row) = death.as_ref().map_or((None, None), |death| owner(&death.queue, body));
    let mut letter = ReturnedLetter {
        tenant_id: tenant,
        queue: DEAD_LETTER_QUEUE.to_owned(),
        body: body.to_owned(),
        headers: headers.to_string(),
        reason: "unknown_origin".to_owned(),
        detail: format!("it lay in {DEAD_LETTER_QUEUE} without saying which queue it came from"),
        attempts: 1,
        raw_row,
    };
    if let Some(death) = death {
        letter.detail = death.sentence();
        letter.attempts = death.times;
        letter.queue = death.queue;
        letter.reason = death.reason;
    }
    letter
}

/// Whose message it is, and its raw row where queue and message agree on the tenant.
fn owner(queue: &str, body: &[u8]) -> (Option<i64>, Option<RawRow>) {
    let (named, raw) = match TransformMessage::decode(body) {
        Ok(message) => (Some(message.tenant_id), message.raw_data_id),
        Err(malformed) => (malformed.tenant_id, malformed.raw_data_id),
    };
    let Ok(queue) = queue.parse::<QueueName>() else { return (None, None) };
    let tenant = queue.tenant().or(named);
    let row = match (tenant, raw) {
        (Some(tenant), Some(id)) if named == Some(tenant) => Some(RawRow { id, tenant: tenant.get() }),
        _ => None,
    };
    (tenant.map(etl_shared::TenantId::get), row)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: &[u8] = br#"{"tenant_id":7,"integration_id":1,"raw_data_id":9,"type":"jira_custom_fields"}"#;

    fn from(queue: &str, body: &[u8]) -> ReturnedLetter {
        letter(body, &json!({"x-death": [{"queue": queue, "reason": "delivery_limit", "count": 1}]}))
    }

    #[test]
    fn a_message_of_a_tenant_takes_its_raw_row_with_it() {
        let letter = from("transform_queue_tenant_7", BODY);
        assert_eq!((letter.tenant_id, letter.raw_row), (Some(7), Some(RawRow { id: 9, tenant: 7 })));
        assert_eq!((letter.queue.as_str(), letter.reason.as_str()), ("transform_queue_tenant_7", "delivery_limit"));
        let global = from("transform_queue", BODY);
        assert_eq!((global.tenant_id, global.raw_row), (Some(7), Some(RawRow { id: 9, tenant: 7 })));
    }

    #[test]
    fn another_tenants_message_touches_no_row() {
        let letter = from("transform_queue_tenant_8", BODY);
        assert_eq!((letter.tenant_id, letter.raw_row), (Some(8), None));
        let unreadable = from("transform_queue_tenant_8", b"\xff{");
        assert_eq!((unreadable.tenant_id, unreadable.raw_row), (Some(8), None));
    }

    #[test]
    fn a_message_of_unknown_origin_is_kept_and_belongs_to_nobody() {
        let letter = letter(BODY, &json!({}));
        assert_eq!((letter.tenant_id, letter.raw_row), (None, None));
        assert_eq!((letter.queue.as_str(), letter.reason.as_str()), (DEAD_LETTER_QUEUE, "unknown_origin"));
        let misspelt = from("transform_queue_tenant_07", BODY);
        assert_eq!((misspelt.tenant_id, misspelt.raw_row), (None, None));
    }
}
