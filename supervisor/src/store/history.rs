//! `worker_events`: added to, read page by page, forgotten when they are old enough.

use std::{sync::Arc, time::SystemTime};

use etl_shared::{
    TenantId, Verdict, WorkerName,
    api::{EventKind, FleetEvent, WorkerState},
};
use serde::de::DeserializeOwned;
use tokio_postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};

use super::operators::{Session, StoreError, answer};
use crate::{clock::rfc3339, history::Entry};

/// What is read of an event.
const SHOWN: &str =
    "id, at, kind, tenant_id, worker, incarnation, from_state, to_state, verdict, reason, by, correlation_id";
/// Rows that one statement deletes at most.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// Which events; a field that is `None` does not limit.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Whose.
    pub tenant: Option<TenantId>,
    /// Of this worker.
    pub worker: Option<WorkerName>,
    /// Processes that ended so.
    pub verdict: Option<Verdict>,
    /// Then or later.
    pub since: Option<SystemTime>,
    /// Before.
    pub until: Option<SystemTime>,
    /// With a lower id.
    pub before: Option<u64>,
    /// With a higher id.
    pub after: Option<u64>,
}

impl EventFilter {
    /// Whether an event that is not in the database yet is meant.
    pub fn matches(&self, event: &FleetEvent) -> bool {
        let at = || humantime::parse_rfc3339(&event.at).ok();
        self.tenant.is_none_or(|tenant| event.tenant_id == Some(tenant))
            && self.worker.as_ref().is_none_or(|worker| event.worker.as_ref() == Some(worker))
            && self.verdict.as_ref().is_none_or(|verdict| event.verdict.as_ref() == Some(verdict))
            && self.before.is_none_or(|before| event.id < before)
            && self.after.is_none_or(|after| event.id > after)
            && self.since.is_none_or(|since| at() >= Some(since))
            && self.until.is_none_or(|until| at() < Some(until))
    }
}

/// Adds events; those that are there already stay as they are.
pub async fn append(client: &Client, entries: &[Arc<Entry>], source: &str) -> Result<(), Error> {
    // The database takes an event apart as it was written: one parameter, however many there are.
    const INSERT: &str = r#"INSERT INTO worker_events (id, source, at, kind, tenant_id, worker, incarnation, from_state, to_state,
            verdict, reason, by, correlation_id)
        SELECT e.id, $2, e.at, e.kind, e.tenant_id, e.worker, e.incarnation, e."from", e."to", e.verdict, e.reason, e.by,
            e.correlation_id
        FROM jsonb_to_recordset($1::text::jsonb) AS e(id bigint, at timestamptz, kind text, tenant_id bigint, worker text,
            incarnation bigint, "from" text, "to" text, verdict text, reason text, by text, correlation_id text)
        ON CONFLICT DO NOTHING"#;
    let mut document = String::from("[");
    for entry in entries {
        if document.len() > 1 {
            document.push(',');
        }
        document.push_str(&String::from_utf8_lossy(entry.json()));
    }
    document.push(']');
    client.query_typed(INSERT, &[(&document, Type::TEXT), (&source, Type::TEXT)]).await.map(drop)
}

/// The highest id there is.
pub async fn newest(client: &Client) -> Result<u64, Error> {
    let row = client.query_one("SELECT coalesce(max(id), 0) FROM worker_events", &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

/// Deletes some of the events that are older; returns whether there may be more.
pub async fn forget(client: &Client, older_than: SystemTime) -> Result<bool, Error> {
    const DELETE: &str = "DELETE FROM worker_events
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM worker_events WHERE at < $1 ORDER BY at LIMIT $2))";
    let deleted = client.execute(DELETE, &[&older_than, &FORGOTTEN_AT_ONCE]).await?;
    Ok(deleted >= FORGOTTEN_AT_ONCE.unsigned_abs())
}

impl Session<'_> {
    /// The newest events that are meant, the newest first.
    pub async fn newest_events(&self, filter: &EventFilter, limit: i64) -> Result<Vec<FleetEvent>, StoreError> {
        self.events(filter, "DESC", limit).await
    }

    /// The oldest events that are meant, the oldest first.
    pub async fn oldest_events(&self, filter: &EventFilter, limit: i64) -> Result<Vec<FleetEvent>, StoreError> {
        self.events(filter, "ASC", limit).await
    }

    /// Whether nothing behind this id has been forgotten: the oldest are forgotten first.
    pub async fn remembers(&self, id: u64) -> Result<bool, StoreError> {
        const SELECT: &str = "SELECT coalesce(min(id) <= $1, false) FROM worker_events";
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let row = answer("reading the history", self.client.query_one(SELECT, &[&id])).await?;
        Ok(row.get(0))
    }

    async fn events(&self, filter: &EventFilter, order: &str, limit: i64) -> Result<Vec<FleetEvent>, StoreError> {
        let select = format!(
            "SELECT {SHOWN} FROM worker_events
             WHERE ($1::bigint IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR worker = $2)
             AND ($3::text IS NULL OR verdict = $3) AND ($4::timestamptz IS NULL OR at >= $4)
             AND ($5::timestamptz IS NULL OR at < $5) AND ($6::bigint IS NULL OR id < $6)
             AND ($7::bigint IS NULL OR id > $7) ORDER BY id {order} LIMIT $8::bigint"
        );
        let tenant = filter.tenant.map(TenantId::get);
        let worker = filter.worker.as_ref().map(ToString::to_string);
        let verdict = filter.verdict.as_ref().map(ToString::to_string);
        let id = |id: Option<u64>| id.map(|id| i64::try_from(id).unwrap_or(i64::MAX));
        let (before, after) = (id(filter.before), id(filter.after));
        let parameters: [(&(dyn ToSql + Sync), Type); 8] = [
            (&tenant, Type::INT8),
            (&worker, Type::TEXT),
            (&verdict, Type::TEXT),
            (&filter.since, Type::TIMESTAMPTZ),
            (&filter.until, Type::TIMESTAMPTZ),
            (&before, Type::INT8),
            (&after, Type::INT8),
            (&limit, Type::INT8),
        ];
        // A plan for these very values: what is null vanishes from it.
        let rows = answer("reading the history", self.client.query_typed(&select, &parameters)).await?;
        Ok(rows.iter().map(event).collect())
    }
}

/// Words that another version of this program has written and this one does not know are left out.
fn event(row: &Row) -> FleetEvent {
    let word = |column: usize| row.get::<_, Option<String>>(column);
    FleetEvent {
        id: u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(),
        at: rfc3339(row.get(1)),
        kind: word(2).and_then(known).unwrap_or(EventKind::State),
        tenant_id: row.get::<_, Option<i64>>(3).and_then(|id| TenantId::try_from(id).ok()),
        worker: word(4).and_then(|worker| worker.parse().ok()),
        incarnation: row.get::<_, Option<i64>>(5).and_then(|incarnation| u64::try_from(incarnation).ok()),
        from: word(6).and_then(known::<WorkerState>),
        to: word(7).and_then(known::<WorkerState>),
        verdict: word(8).and_then(known::<Verdict>),
        reason: row.get(9),
        by: row.get(10),
        correlation_id: row.get(11),
    }
}

fn known<T: DeserializeOwned>(word: String) -> Option<T> {
    serde_json::from_value(word.into()).ok()
}
