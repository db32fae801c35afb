//! The task that keeps a connection to the broker for as long as the supervisor runs.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use etl_shared::amqp;
use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};

use super::{
    depth::depths,
    ensure::{EnsureError, ensure},
};
use crate::{
    runtime::News,
    settings::{Broker, QueueKind},
};

/// The queues that should exist, as the control loop sees it.
pub type WantedQueues = Arc<BTreeSet<String>>;

/// How often depths are read.
const DEPTH_EVERY: Duration = Duration::from_secs(10);
/// How soon a queue that the broker refused to create is tried again.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);
/// Delays between tries to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Keeps the queues in existence and reports on them.
#[derive(Debug)]
pub struct BrokerTask {
    settings: Broker,
    wanted: watch::Receiver<WantedQueues>,
    news: mpsc::UnboundedSender<News>,
    /// Known to exist.
    ready: HashSet<String>,
    /// How deep they are is read next.
    depth_at: Instant,
    last_word: Option<(bool, String)>,
}

impl BrokerTask {
    /// Not connected yet.
    pub fn new(settings: Broker, wanted: watch::Receiver<WantedQueues>, news: mpsc::UnboundedSender<News>) -> Self {
        Self { settings, wanted, news, ready: HashSet::new(), depth_at: Instant::now(), last_word: None }
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let mut delay = RECONNECT.0;
        loop {
            match self.connect().await {
                Ok((connection, shown)) => {
                    self.say(true, format!("connected to {shown}"));
                    delay = RECONNECT.0;
                    let Some(lost) = self.serve(&connection).await else { return };
                    self.say(false, format!("connection lost: {lost}"));
                }
                Err(problem) => self.say(false, problem),
            }
            time::sleep(delay).await;
            delay = (delay * 2).min(RECONNECT.1);
        }
    }

    async fn connect(&self) -> Result<(Connection, String), String> {
        let url = self.settings.own_url().map_err(|error| error.to_string())?;
        let uri: AMQPUri = amqp::parse_url(&url).map_err(|error| error.to_string())?;
        let shown = amqp::shown(&uri);
        let properties = ConnectionProperties::default().with_connection_name("etl-supervisor".into());
        let connecting = time::timeout(Duration::from_secs(15), Connection::connect_uri(uri, properties));
        match connecting.await {
            Ok(Ok(connection)) => Ok((connection, shown)),
            Ok(Err(error)) => Err(format!("cannot connect to {shown}: {error}")),
            Err(_) => Err(format!("cannot connect to {shown}: no answer within 15 seconds")),
        }
    }

    /// Until the connection is lost; returns why, or nothing when the supervisor goes down.
    async fn serve(&mut self, connection: &Connection) -> Option<String> {
        // Whatever was known may have changed while nobody was connected.
        self.ready.clear();
        let mut refused_again = Instant::now();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            self.ready.retain(|queue| wanted.contains(queue));
            let missing: Vec<String> = wanted.iter().filter(|queue| !self.ready.contains(*queue)).cloned().collect();
            if !missing.is_empty() {
                if let Err(lost) = self.ensure_all(connection, &missing).await {
                    return Some(lost);
                }
                refused_again = Instant::now() + REFUSED_AGAIN;
            }
            let all_ready = wanted.iter().all(|queue| self.ready.contains(queue));
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() {
                    return None;
                },
                () = time::sleep_until(refused_again), if !all_ready => {}
                () = time::sleep_until(self.depth_at) => {
                    self.depth_at = Instant::now() + DEPTH_EVERY;
                    if let Err(lost) = self.read_depths(connection, &wanted).await {
                        return Some(lost);
                    }
                }
                // Heartbeats are lapin's business; this only notices sooner that they found something.
                () = time::sleep(Duration::from_secs(1)) => if !connection.status().connected() {
                    return Some("the broker closed the connection".to_owned());
                },
            }
        }
    }

    async fn ensure_all(&mut self, connection: &Connection, queues: &[String]) -> Result<(), String> {
        for queue in queues {
            let kind: QueueKind = self.settings.queue_kind;
            match ensure(connection, queue, kind).await {
                Ok(created) => {
                    if created {
                        tracing::info!(queue, "queue created");
                    }
                    self.ready.insert(queue.clone());
                    self.tell(News::QueueReady(queue.clone()));
                }
                Err(error @ EnsureError::Refused { .. }) => {
                    tracing::warn!(queue, %error, "queue not usable");
                    self.tell(News::QueueMissing { queue: queue.clone(), why: error.to_string() });
                }
                Err(EnsureError::Broker(error)) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    async fn read_depths(&mut self, connection: &Connection, wanted: &WantedQueues) -> Result<(), String> {
        let queues: Vec<String> = wanted.iter().filter(|queue| self.ready.contains(*queue)).cloned().collect();
        let samples = depths(connection, &queues).await.map_err(|error| error.to_string())?;
        if connection.status().connected() {
            // One that has gone since is made again in the next round.
            self.ready.retain(|queue| samples.contains_key(queue));
            self.tell(News::Depths(samples));
        }
        Ok(())
    }

    fn say(&mut self, ok: bool, detail: String) {
        let word = (ok, detail);
        if self.last_word.as_ref() != Some(&word) {
            if word.0 {
                tracing::info!(detail = word.1, "broker");
            } else {
                tracing::warn!(detail = word.1, "broker");
            }
            self.tell(News::Part { part: "broker", ok: word.0, detail: word.1.clone() });
            self.last_word = Some(word);
        }
    }

    fn tell(&self, news: News) {
        // The loop is gone only when the program ends.
        let _ = self.news.send(news);
    }
}
