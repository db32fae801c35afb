//! The audit log as a test hears it.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{AuditLog, Entry, Note, WAITING};

/// What was recorded and not yet looked at.
pub(crate) struct Heard(mpsc::Receiver<Note>);

/// A log, and its entries.
pub(crate) fn log() -> (AuditLog, Heard) {
    let (notes, heard) = mpsc::channel(WAITING);
    (AuditLog { notes, hurry: watch::Sender::new(false) }, Heard(heard))
}

impl Heard {
    /// The next entry.
    pub(crate) async fn next(&mut self) -> Entry {
        let note = timeout(Duration::from_secs(20), self.0.recv()).await.expect("there is no entry").unwrap();
        let Note::Entry(entry) = note else { panic!("{note:?}") };
        *entry
    }

    /// The next entry, if it was recorded already.
    pub(crate) fn next_now(&mut self) -> Option<Entry> {
        match self.0.try_recv() {
            Ok(Note::Entry(entry)) => Some(*entry),
            _ => None,
        }
    }
}
