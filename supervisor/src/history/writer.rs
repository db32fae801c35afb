//! Brings events from the journal into the database, and forgets old ones there.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use etl_shared::api::EventKind;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{self, Instant},
};
use tokio_postgres::Client;

use super::{Entry, Happening, Journal};
use crate::{
    causes::in_one_line,
    settings::Database,
    store::{connect, history},
};

/// Events of one statement.
const BATCH: usize = 500;
/// So long events are waited for that can be written together.
const GATHER: Duration = Duration::from_millis(100);
/// Without events the connection is kept for so long.
const LINGER: Duration = Duration::from_secs(30);
/// How long the database may take for one statement.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Delays between tries.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How often old events are looked for.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// PostgreSQL's class of errors that say that a value cannot be stored.
const DATA_EXCEPTION: &str = "22";

/// What this supervisor's events are known by in the database.
pub fn source() -> String {
    nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned()
}

/// Asks the writer to write everything that there is.
#[derive(Debug, Clone)]
pub struct Flush {
    requests: mpsc::Sender<oneshot::Sender<()>>,
    journal: Journal,
}

/// The task. It has a connection of its own, and only while there is something to write.
#[derive(Debug)]
pub struct HistoryWriter {
    settings: Database,
    keep: Duration,
    journal: Journal,
    news: watch::Receiver<u64>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    /// Who waits for everything to be written.
    waiting: Vec<oneshot::Sender<()>>,
    source: String,
    forget_at: Instant,
    /// Events that were known to be lost when that was last said.
    lost_told: u64,
    trouble_told: bool,
}

impl Flush {
    /// Waits until everything that has happened until now is written, but not for long.
    pub async fn flush(&self, within: Duration) {
        if self.journal.unwritten(1).is_empty() {
            return;
        }
        let (done, written) = oneshot::channel();
        let flush = async {
            if self.requests.send(done).await.is_ok() {
                let _ = written.await;
            }
        };
        if time::timeout(within, flush).await.is_err() {
            tracing::warn!("the database has not taken the last events: they are missing from the history");
        }
    }
}

impl HistoryWriter {
    /// Has the journal keep what is to be written.
    pub fn new(settings: Database, keep: Duration, journal: Journal) -> (Self, Flush) {
        journal.keep_for_the_database();
        let news = journal.listen();
        let (requests, flushes) = mpsc::channel(4);
        let flush = Flush { requests, journal: journal.clone() };
        let source = source();
        let (waiting, forget_at) = (Vec::new(), Instant::now());
        let (lost_told, trouble_told) = (0, false);
        let writer =
            Self { settings, keep, journal, news, flushes, waiting, source, forget_at, lost_told, trouble_told };
        (writer, flush)
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let mut delay = RETRY.0;
        loop {
            match self.session(&mut delay).await {
                Ok(()) => self.wait_for_work().await,
                Err(problem) => {
                    // That the database is away is said by the part that watches it.
                    if !self.trouble_told {
                        tracing::warn!(problem, "events are kept in memory until the database takes them");
                        self.trouble_told = true;
                    }
                    time::sleep(delay).await;
                    delay = (delay * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Writes and forgets; ends without error when there was nothing to do for a while.
    async fn session(&mut self, delay: &mut Duration) -> Result<(), String> {
        let url = self.settings.own_url().map_err(|error| error.to_string())?;
        let (client, mut lost, _) =
            connect(&url, "etl-supervisor history").await.map_err(|error| in_one_line(&error))?;
        let newest = answered(history::newest(&client, &self.source)).await?.map_err(|error| in_one_line(&error))?;
        self.journal.raise(newest);
        loop {
            self.write_all(&client).await?;
            *delay = RETRY.0;
            self.trouble_told = false;
            if Instant::now() >= self.forget_at {
                self.forget_old(&client).await?;
            }
            tokio::select! {
                woken = time::timeout(LINGER, self.work()) => match woken {
                    Ok(()) if self.waiting.is_empty() => time::sleep(GATHER).await,
                    Ok(()) => {}
                    Err(_) => return Ok(()),
                },
                notified = lost.recv() => if notified.is_none() {
                    return Err("connection lost".to_owned());
                },
            }
        }
    }

    /// Waits without a connection.
    async fn wait_for_work(&mut self) {
        let forget_at = self.forget_at;
        let _ = time::timeout_at(forget_at, self.work()).await;
    }

    /// Something has happened, or somebody wants it written. Whoever stops waiting for this has not been told of anything by it.
    async fn work(&mut self) {
        tokio::select! {
            _ = self.news.changed() => {}
            Some(waiting) = self.flushes.recv() => self.waiting.push(waiting),
        }
    }

    async fn write_all(&mut self, client: &Client) -> Result<(), String> {
        loop {
            self.news.borrow_and_update();
            let batch = self.journal.unwritten(BATCH);
            let Some(last) = batch.last().map(|entry| entry.id()) else { break };
            self.write(client, &batch).await?;
            self.journal.written(last);
        }
        self.waiting.drain(..).for_each(|waiting| {
            let _ = waiting.send(());
        });
        let (lost, _) = self.journal.lost();
        if lost > self.lost_told {
            let words = format!(
                "{} events are missing from the history: the database took none for too long, or would not store them",
                lost - self.lost_told
            );
            self.lost_told = lost;
            tracing::warn!("{words}");
            self.journal.record(Happening::new(EventKind::Part, words));
        }
        Ok(())
    }

    async fn write(&mut self, client: &Client, batch: &[Arc<Entry>]) -> Result<(), String> {
        match answered(history::append(client, batch, &self.source)).await? {
            Ok(()) => Ok(()),
            Err(error) if !error.code().is_some_and(|code| code.code().starts_with(DATA_EXCEPTION)) => {
                Err(in_one_line(&error))
            }
            // One event that cannot be stored must not keep all others from it.
            Err(error) if batch.len() == 1 => {
                tracing::error!(error = in_one_line(&error), event = %String::from_utf8_lossy(batch[0].json()), "event not stored");
                self.journal.lose(batch[0].id());
                Ok(())
            }
            Err(_) => {
                for entry in batch.chunks(1) {
                    Box::pin(self.write(client, entry)).await?;
                }
                Ok(())
            }
        }
    }

    async fn forget_old(&mut self, client: &Client) -> Result<(), String> {
        let older_than = SystemTime::now().checked_sub(self.keep).unwrap_or(SystemTime::UNIX_EPOCH);
        while answered(history::forget(client, older_than)).await?.map_err(|error| in_one_line(&error))? {
            // Between two batches others have their turn.
            self.write_all(client).await?;
        }
        self.forget_at = Instant::now() + FORGET_EVERY;
        Ok(())
    }
}

/// A database that neither answers nor hangs up is as good as none.
async fn answered<T>(question: impl Future<Output = T>) -> Result<T, String> {
    let answer = time::timeout(ANSWER_WITHIN, question).await;
    answer.map_err(|_| format!("the database has not answered for {} seconds", ANSWER_WITHIN.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_happens_at_the_end_of_a_wait_is_not_taken_for_seen() {
        let journal = Journal::default();
        let database = serde_json::from_value(serde_json::json!({ "url": "postgres://nobody@127.0.0.1:1/x" })).unwrap();
        let (mut writer, _flush) = HistoryWriter::new(database, Duration::from_hours(1), journal.clone());
        journal.record(Happening::new(EventKind::Order, "x".to_owned()));
        // Whoever stops waiting now would wait for the next event.
        let woken = time::timeout(GATHER / 2, writer.work()).await;
        assert!(woken.is_ok(), "it was seen, and nobody was told");
    }
}
