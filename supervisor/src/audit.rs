//! Who did what: entries go to the log at once and to the database as soon as it takes them, each exactly once.

use std::{path::Path, time::Duration};

use etl_shared::{
    TenantId,
    api::{AuditResult, Role},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

#[cfg(test)]
pub(crate) mod heard;
mod spill;
mod writer;

pub use writer::AuditWriter;

/// Most entries that wait for being written down; more are in the log only.
const WAITING: usize = 10_000;
/// How long the end of the supervisor waits for the last ones.
const LAST: Duration = Duration::from_secs(3);

/// One action, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Unlike all others, so that writing it twice makes one.
    pub entry: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who.
    pub actor: String,
    /// As what.
    pub role: Option<Role>,
    /// Through which door.
    pub source: String,
    /// What.
    pub action: String,
    /// About which tenant.
    pub tenant_id: Option<TenantId>,
    /// What became of it.
    pub result: AuditResult,
    /// The answer's status.
    pub status: u16,
    /// More.
    pub detail: Value,
    /// The request's.
    pub correlation_id: Option<String>,
}

impl Entry {
    /// The database has no zero byte in a text, and would take none of the entries beside one that has it.
    fn leave_out_zeros(&mut self) {
        let texts = [&mut self.entry, &mut self.at, &mut self.actor, &mut self.source, &mut self.action];
        for text in texts.into_iter().chain(&mut self.correlation_id) {
            text.retain(|letter| letter != '\0');
        }
        without_zeros(&mut self.detail);
    }
}

fn without_zeros(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|letter| letter != '\0'),
        Value::Array(values) => values.iter_mut().for_each(without_zeros),
        // Names are this program's own.
        Value::Object(fields) => fields.values_mut().for_each(without_zeros),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[derive(Debug)]
enum Note {
    Entry(Box<Entry>),
    /// Says when everything before it is on a disk.
    Flush(oneshot::Sender<()>),
}

/// Where entries are handed in. Nobody waits for a disk or a database here.
#[derive(Debug, Clone)]
pub struct AuditLog {
    notes: mpsc::Sender<Note>,
    /// While it is true the writer waits for no database: what there is, is to be on a disk now.
    hurry: watch::Sender<bool>,
}

impl AuditLog {
    /// The log, and whoever writes it down, into this directory while there is no database.
    pub fn new(
        state_directory: &Path,
        database: Option<crate::settings::Database>,
        keep: Option<Duration>,
    ) -> (Self, AuditWriter) {
        let (sender, notes) = mpsc::channel(WAITING);
        let hurry = watch::Sender::new(false);
        let writer = AuditWriter::new(notes, hurry.subscribe(), state_directory, database, keep);
        (Self { notes: sender, hurry }, writer)
    }

    /// Records an action.
    pub fn record(&self, mut entry: Entry) {
        entry.leave_out_zeros();
        let tenant = entry.tenant_id.map(|tenant| tenant.to_string());
        tracing::info!(
            target: "audit", actor = %entry.actor, source = %entry.source, action = %entry.action,
            tenant = tenant.as_deref(), result = ?entry.result, status = entry.status, detail = %entry.detail,
            correlation_id = entry.correlation_id.as_deref(), entry = %entry.entry, "audit"
        );
        if self.notes.try_send(Note::Entry(Box::new(entry))).is_err() {
            tracing::warn!("more happens than can be written down: this audit entry is in the log only");
        }
    }

    /// Waits until what has been recorded is on a disk, but not for ever.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let flush = async {
            self.hurry.send_replace(true);
            if self.notes.send(Note::Flush(done)).await.is_ok() {
                let _ = flushed.await;
            }
        };
        let _ = time::timeout(LAST, flush).await;
        self.hurry.send_replace(false);
    }
}
