//! The task that keeps a connection to the broker for as long as the supervisor runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use etl_shared::amqp;
use lapin::Connection;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{self, Instant},
};

use super::{
    depth::depths,
    ensure::{EnsureError, ensure},
    management::Management,
    policy::Safeguard,
    rates::{Rates, RatesTask},
};
use crate::{
    runtime::{News, view::QueueSample},
    settings::{Broker, QueueKind},
};

/// The queues that should exist, as the control loop sees it.
pub type WantedQueues = Arc<BTreeSet<String>>;

/// How often depths are read.
const DEPTH_EVERY: Duration = Duration::from_secs(10);
/// How long the broker may take to answer about one queue.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
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
    /// Could not be had, each with when it is tried again; remembered over connections.
    refused: HashMap<String, Instant>,
    /// Policies, and the dead-letter queue.
    safeguard: Safeguard,
    /// How deep they are is read next.
    depth_at: Instant,
    last_word: Option<(bool, String)>,
    /// What the management API tells, where one is configured, and who is to be told that something changes.
    rates: Option<(watch::Receiver<Rates>, Arc<Notify>)>,
    /// Messages and consumers of the last reading.
    depths: HashMap<String, (u32, u32)>,
}

impl BrokerTask {
    /// Not connected yet.
    pub fn new(settings: Broker, wanted: watch::Receiver<WantedQueues>, news: mpsc::UnboundedSender<News>) -> Self {
        Self {
            safeguard: Safeguard::new(settings.clone()),
            settings,
            wanted,
            news,
            ready: HashSet::new(),
            refused: HashMap::new(),
            depth_at: Instant::now(),
            last_word: None,
            rates: None,
            depths: HashMap::new(),
        }
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        self.watch_rates();
        let mut delay = RECONNECT.0;
        loop {
            match self.connect().await {
                Ok((connection, shown)) => {
                    self.say(true, format!("connected to {shown}"));
                    let connected_at = Instant::now();
                    let Some(lost) = self.serve(&connection).await else { return };
                    self.say(false, format!("connection lost: {lost}"));
                    if connected_at.elapsed() > RECONNECT.1 {
                        delay = RECONNECT.0;
                    }
                }
                Err(problem) => self.say(false, problem),
            }
            time::sleep(delay).await;
            delay = (delay * 2).min(RECONNECT.1);
        }
    }

    fn watch_rates(&mut self) {
        match Management::of(&self.settings) {
            Ok(Some(management)) => {
                let (task, rates, stirred) = RatesTask::new(management);
                tokio::spawn(task.run());
                self.rates = Some((rates, stirred));
            }
            Ok(None) => {}
            Err(problem) => tracing::warn!(problem, "queues are shown without rates"),
        }
    }

    async fn connect(&self) -> Result<(Connection, String), String> {
        let url = self.settings.own_url().map_err(|error| error.to_string())?;
        let address = amqp::parse_url(&url).map_err(|error| error.to_string())?;
        let shown = amqp::shown(&address.uri);
        match time::timeout(Duration::from_secs(15), address.connect("etl-supervisor")).await {
            Ok(Ok(connection)) => Ok((connection, shown)),
            Ok(Err(error)) => Err(format!("cannot connect to {shown}: {error}")),
            Err(_) => Err(format!("cannot connect to {shown}: no answer within 15 seconds")),
        }
    }

    /// Until the connection is lost; returns why, or nothing when the supervisor goes down.
    async fn serve(&mut self, connection: &Connection) -> Option<String> {
        // Whatever was known may have changed while nobody was connected.
        self.ready.clear();
        self.safeguard.forget();
        loop {
            // Before the queues, so that a message given up in one of them finds where it is to go.
            if self.safeguard.due().is_some_and(|due| due <= Instant::now()) {
                self.safeguard.see_to_it(connection).await;
            }
            let wanted = self.wanted.borrow_and_update().clone();
            self.ready.retain(|queue| wanted.contains(queue));
            self.refused.retain(|queue, _| wanted.contains(queue));
            if let Err(lost) = self.ensure_all(connection, &wanted).await {
                return Some(lost);
            }
            let refused_again = self.refused.values().min().copied();
            let safeguard_due = self.safeguard.due();
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                    // A queue that went and came again between two looks is ready here and forgotten there.
                    for queue in &self.ready {
                        self.tell(News::QueueReady(queue.clone()));
                    }
                }
                () = time::sleep_until(refused_again.unwrap_or_else(Instant::now)), if refused_again.is_some() => {}
                () = time::sleep_until(safeguard_due.unwrap_or_else(Instant::now)), if safeguard_due.is_some() => {}
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

    /// Every queue that is not known to exist is looked for. One that cannot be had is left alone for a while, so that it keeps
    /// nobody else waiting, even where it costs the connection.
    async fn ensure_all(&mut self, connection: &Connection, wanted: &WantedQueues) -> Result<(), String> {
        let now = Instant::now();
        let missing = wanted.iter().filter(|queue| !self.ready.contains(*queue));
        let missing: Vec<String> =
            missing.filter(|queue| self.refused.get(*queue).is_none_or(|again| *again <= now)).cloned().collect();
        for queue in &missing {
            let kind: QueueKind = self.settings.queue_kind;
            let why = match time::timeout(ANSWER_WITHIN, ensure(connection, queue, kind)).await {
                Ok(Ok(created)) => {
                    if created {
                        tracing::info!(queue, "queue created");
                    }
                    self.refused.remove(queue);
                    self.ready.insert(queue.clone());
                    self.tell(News::QueueReady(queue.clone()));
                    continue;
                }
                Ok(Err(EnsureError::Broker(error))) => return Err(error.to_string()),
                Ok(Err(error @ EnsureError::Refused { .. })) => error.to_string(),
                Err(_) => format!(
                    "the broker did not answer within {} seconds about the queue {queue}",
                    ANSWER_WITHIN.as_secs()
                ),
            };
            tracing::warn!(queue, why, "queue not usable");
            self.refused.insert(queue.clone(), Instant::now() + REFUSED_AGAIN);
            self.tell(News::QueueMissing { queue: queue.clone(), why });
            if !connection.status().connected() {
                return Err("the broker closed the connection".to_owned());
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
            let samples = self.with_rates(samples);
            self.tell(News::Depths(samples));
        }
        Ok(())
    }

    fn with_rates(&mut self, mut samples: BTreeMap<String, QueueSample>) -> BTreeMap<String, QueueSample> {
        let Some((rates, stirred)) = &self.rates else { return samples };
        let depths =
            samples.iter().map(|(queue, sample)| (queue.clone(), (sample.messages_ready, sample.consumers))).collect();
        if depths != self.depths {
            stirred.notify_one();
            self.depths = depths;
        }
        let rates = rates.borrow();
        for (queue, sample) in &mut samples {
            if let Some(rates) = rates.get(queue) {
                *sample = rates.complete(*sample);
            }
        }
        drop(rates);
        samples
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
