//! Writes entries down: into the database, and while that is away into a file.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{self, Instant},
};

use super::{
    Entry, Note,
    spill::{Part, Spill},
};
use crate::{
    causes::in_one_line,
    settings::Database,
    store::{OperatorStore, Session, StoreError},
};

/// Entries of one statement.
const BATCH: usize = 500;
/// Delays between tries to reach the database.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long the database may take for the last entries, which are in the file by then.
const LAST_TRY: Duration = Duration::from_millis(1500);
/// How often old entries are looked for.
const PRUNE_EVERY: Duration = Duration::from_hours(6);

/// Runs where waiting for a disk or a database holds nobody up.
#[derive(Debug)]
pub struct AuditWriter {
    notes: mpsc::Receiver<Note>,
    hurry: watch::Receiver<bool>,
    spill: Arc<Spill>,
    store: Option<Arc<OperatorStore>>,
    keep: Option<Duration>,
    /// When the database is tried again; `None`: at once.
    retry_at: Option<Instant>,
    delay: Duration,
    /// Whether the file may have something in it.
    spilled: bool,
}

impl AuditWriter {
    pub(super) fn new(
        notes: mpsc::Receiver<Note>,
        hurry: watch::Receiver<bool>,
        state_directory: &Path,
        database: Option<Database>,
        keep: Option<Duration>,
    ) -> Self {
        Self {
            notes,
            hurry,
            spill: Arc::new(Spill::new(state_directory.join("audit.spill"))),
            store: database.map(|database| Arc::new(OperatorStore::new(database, "etl-supervisor audit"))),
            keep,
            retry_at: None,
            delay: RETRY.0,
            // An earlier process may have left something.
            spilled: true,
        }
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let mut prune_at = Instant::now();
        loop {
            let due = if self.spilled && self.store.is_some() {
                self.retry_at.unwrap_or_else(Instant::now)
            } else {
                prune_at
            };
            let mut notes = Vec::new();
            tokio::select! {
                biased;
                received = self.notes.recv_many(&mut notes, BATCH) => if received == 0 { return },
                () = time::sleep_until(due.min(prune_at)) => {}
            }
            let (mut entries, mut flushed) = (Vec::new(), Vec::new());
            for note in notes {
                match note {
                    Note::Entry(entry) => entries.push(*entry),
                    Note::Flush(done) => flushed.push(done),
                }
            }
            if flushed.is_empty() {
                self.write(entries).await;
            } else {
                self.write_last(entries).await;
            }
            for done in flushed {
                let _ = done.send(());
            }
            if prune_at <= Instant::now() {
                prune_at = Instant::now() + PRUNE_EVERY;
                self.prune().await;
            }
        }
    }

    /// What is older goes first, so that the database numbers entries in their order.
    async fn write(&mut self, entries: Vec<Entry>) {
        let Some(store) = self.store.clone() else {
            // They are in the log, and that is all there is.
            return;
        };
        let due = self.retry_at.is_none_or(|at| at <= Instant::now()) && !*self.hurry.borrow();
        if due && self.unspill(None).await && (entries.is_empty() || self.insert(&store, &entries).await) {
            return;
        }
        self.set_aside(entries).await;
    }

    /// Somebody waits for these to be on a disk, but not for long: first into the file, then into the database if it takes them at once.
    async fn write_last(&mut self, entries: Vec<Entry>) {
        if self.store.is_none() {
            return;
        }
        self.set_aside(entries).await;
        if self.retry_at.is_none() {
            self.unspill(Some(Instant::now() + LAST_TRY)).await;
        }
    }

    async fn set_aside(&mut self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let spill = self.spill.clone();
        match spawn_blocking(move || spill.add(&entries)).await {
            Ok(Ok(left_out)) => {
                self.spilled = true;
                if left_out > 0 {
                    tracing::error!(
                        entries = left_out,
                        "audit entries of a caller with very many are in the log only: others have to find room in the file"
                    );
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "audit entries can be written nowhere: they are in the log only"),
            Err(_) => {}
        }
    }

    /// Moves what is in the file into the database, within this time or until somebody is in a hurry. Interrupted before the file is removed,
    /// it is done again and changes nothing.
    async fn unspill(&mut self, until: Option<Instant>) -> bool {
        let Some(store) = self.store.clone().filter(|_| self.spilled) else { return true };
        let Some(mut part) = self.read(0).await else { return false };
        let mut moved = 0;
        if !part.entries.is_empty() {
            // Of a long file the rest is read when there is somebody to give it to.
            let Some(session) = self.answered(until, store.session()).await else { return false };
            loop {
                if self.answered(until, insert(&session, &part.entries)).await.is_none() {
                    return false;
                }
                self.well();
                moved += part.entries.len();
                let Some(next) = part.next else { break };
                match self.read(next).await {
                    Some(next) => part = next,
                    None => return false,
                }
            }
        }
        let spill = self.spill.clone();
        // Whatever the hurry: entries that are added must not go away with the file.
        let removed = spawn_blocking(move || spill.remove()).await.is_ok_and(|removed| removed.is_ok());
        if removed && moved > 0 {
            tracing::info!(entries = moved, "audit entries that had waited are in the database");
        }
        self.spilled = !removed;
        removed || self.later()
    }

    /// Some of the file.
    async fn read(&mut self, from: u64) -> Option<Part> {
        let spill = self.spill.clone();
        match spawn_blocking(move || spill.read(from, BATCH)).await {
            Ok(Ok(part)) => return Some(part),
            Ok(Err(error)) => tracing::warn!(%error, "the audit log's file cannot be read"),
            Err(_) => {}
        }
        self.later();
        None
    }

    /// The file cannot be used: a disk is not mended within a second.
    fn later(&mut self) -> bool {
        self.retry_at = Some(Instant::now() + RETRY.1);
        false
    }

    async fn insert(&mut self, store: &OperatorStore, entries: &[Entry]) -> bool {
        let inserting = async { insert(&store.session().await?, entries).await };
        let inserted = self.answered(None, inserting).await.is_some();
        if inserted {
            self.well();
        }
        inserted
    }

    /// The database takes entries.
    const fn well(&mut self) {
        (self.retry_at, self.delay) = (None, RETRY.0);
    }

    /// The database's answer, if it comes within this time, or before somebody is in a hurry.
    async fn answered<T>(
        &mut self,
        until: Option<Instant>,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let hurry = &mut self.hurry;
        let enough = async {
            match until {
                Some(until) => time::sleep_until(until).await,
                None => hurried(hurry).await,
            }
        };
        let answer = tokio::select! {
            answer = question => answer,
            () = enough => return None,
        };
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                if self.retry_at.is_none() {
                    tracing::warn!(error = %in_one_line(&error), "audit entries wait in a file for the database");
                }
                self.retry_at = Some(Instant::now() + self.delay);
                self.delay = (self.delay * 2).min(RETRY.1);
                None
            }
        }
    }

    async fn prune(&mut self) {
        let (Some(store), Some(keep)) = (&self.store, self.keep) else { return };
        let pruned = async { store.session().await?.prune_audit(keep).await };
        let pruned = tokio::select! {
            pruned = pruned => pruned,
            () = hurried(&mut self.hurry) => return,
        };
        match pruned {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "old audit entries deleted"),
            // It is tried again in some hours.
            Err(error) => tracing::debug!(error = %in_one_line(&error), "old audit entries cannot be deleted"),
        }
    }
}

/// Until somebody is in a hurry.
async fn hurried(hurry: &mut watch::Receiver<bool>) {
    if hurry.wait_for(|hurry| *hurry).await.is_err() {
        // Nobody is left who could be.
        std::future::pending::<()>().await;
    }
}

/// Writes all of them, or of those that came together with one that the database refuses for what is in it, the others: for that one
/// there is no point in waiting, and nobody behind it is to wait either.
async fn insert(session: &Session<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    match session.add_audit(entries).await {
        Err(error) if error.is_refused_data() => {}
        written => return written,
    }
    for entry in entries {
        match session.add_audit(std::slice::from_ref(entry)).await {
            Err(error) if error.is_refused_data() => {
                let error = in_one_line(&error);
                tracing::error!(%error, entry = entry.entry, "the database refuses this audit entry: it is in the log only");
            }
            written => written?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::*;
    use crate::audit::{AuditLog, spill::tests::entry};

    /// A log whose database takes connections and says nothing.
    async fn silent() -> (TempDir, PathBuf, AuditLog, AuditWriter, TcpListener) {
        let directory = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://etl@{}/etl?sslmode=disable", silent.local_addr().unwrap());
        let database = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
        let (log, writer) = AuditLog::new(directory.path(), Some(database), None);
        let spill = directory.path().join("audit.spill");
        (directory, spill, log, writer, silent)
    }

    #[tokio::test]
    async fn at_the_end_nothing_is_lost_with_a_database_that_does_not_answer() {
        let (_directory, spill, log, writer, silent) = silent().await;
        tokio::spawn(writer.run());
        log.record(entry("1"));
        // The writer waits for it by now.
        let _connection = silent.accept().await.unwrap();
        log.record(entry("2"));
        log.flush().await;
        let text = fs::read_to_string(spill).unwrap();
        assert!(text.contains("\"entry\":\"1\"") && text.contains("\"entry\":\"2\""), "{text}");
    }

    #[tokio::test]
    async fn at_the_end_nothing_is_lost_either_where_more_waits_than_is_written_at_once() {
        let (_directory, spill, log, writer, _silent) = silent().await;
        let most = 3 * BATCH;
        (0..most).for_each(|number| {
            log.record(crate::audit::Entry { actor: format!("uid {number}"), ..entry(&number.to_string()) });
        });
        tokio::spawn(writer.run());
        log.flush().await;
        let text = fs::read_to_string(spill).unwrap_or_default();
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), most);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_not_tried_again_at_once() {
        let (_directory, spill, _log, mut writer, _silent) = silent().await;
        fs::create_dir(spill).unwrap();
        assert!(!writer.unspill(None).await);
        assert!(writer.retry_at.is_some_and(|at| at > Instant::now() + Duration::from_secs(10)));
    }
}
