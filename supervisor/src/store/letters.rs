//! `dead_letters`: listed, shown, counted, discarded. How they are taken for a replay stands in `taking`.

use std::time::SystemTime;

use etl_shared::{TenantId, api::LetterState};
use serde_json::Value;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::operators::{Session, StoreError, answer};

mod taking;

pub use taking::{Taken, TakenLetter};

/// What a list shows of a letter; `m` is its message.
const SHOWN: &str =
    "id, tenant_id, queue, reason, detail, attempts, m ->> 'type', m ->> 'raw_data_id', octet_length(body)::bigint,
    created_at, replayed_at, discarded_at";
/// Still undecided. The same words as in the partial index.
const OPEN: &str = "replayed_at IS NULL AND discarded_at IS NULL";
/// What every filter says. Parameters that are null do not count.
const MATCHES: &str = "($1::bigint IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR reason = $2)
    AND ($3::text IS NULL OR etl_message(body) ->> 'type' = $3)
    AND ($4::timestamptz IS NULL OR created_at >= $4) AND ($5::timestamptz IS NULL OR created_at < $5)";

/// Which letters; a field that is `None` does not limit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Whose: what was asked for, or what the caller may see.
    pub tenant: Option<TenantId>,
    /// Given up for this reason.
    pub reason: Option<String>,
    /// Naming this data type.
    pub kind: Option<String>,
    /// Given up then or later.
    pub since: Option<SystemTime>,
    /// Given up before.
    pub until: Option<SystemTime>,
}

/// A letter without its body.
#[derive(Debug)]
pub struct Letter {
    /// Names it.
    pub id: i64,
    /// Whose.
    pub tenant_id: Option<i64>,
    /// Where it came from.
    pub queue: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// Tries.
    pub attempts: i32,
    /// What the message names, where it can be read.
    pub kind: Option<String>,
    /// The same.
    pub raw_data_id: Option<i64>,
    /// Length of the body.
    pub body_bytes: i64,
    /// When it was given up.
    pub created_at: SystemTime,
    /// When it was replayed.
    pub replayed_at: Option<SystemTime>,
    /// When it was discarded.
    pub discarded_at: Option<SystemTime>,
}

/// What decides whether and how an open letter can be replayed.
#[derive(Debug)]
pub struct OpenLetter {
    /// Names it.
    pub id: i64,
    /// Whose.
    pub tenant_id: Option<i64>,
    /// Where it came from.
    pub queue: String,
    /// Length of the body.
    pub body_bytes: i64,
}

/// The rest of a letter.
#[derive(Debug)]
pub struct Contents {
    /// The message.
    pub body: Vec<u8>,
    /// Its headers.
    pub headers: Value,
    /// How a process ended of it.
    pub exit_report: Option<Value>,
}

impl Session<'_> {
    /// The newest letters of a state (`None`: of any) behind the cursor.
    pub async fn letters(
        &self,
        filter: &Filter,
        state: Option<LetterState>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Letter>, StoreError> {
        let state = match state {
            Some(LetterState::Open) => OPEN,
            Some(LetterState::Replayed) => "replayed_at IS NOT NULL",
            Some(LetterState::Discarded) => "discarded_at IS NOT NULL",
            None => "true",
        };
        // The message is taken apart for the page only, not for everything that is looked through.
        let select = format!(
            "SELECT {SHOWN} FROM (SELECT * FROM dead_letters WHERE {MATCHES} AND ($6::bigint IS NULL OR id < $6) AND {state}
             ORDER BY id DESC LIMIT $7::bigint) AS page, etl_message(body) AS m ORDER BY id DESC"
        );
        let rows =
            self.ask("listing dead letters", &select, filter, &[(&before, Type::INT8), (&limit, Type::INT8)]).await?;
        Ok(rows.iter().map(letter).collect())
    }

    /// One letter with everything, where it is this tenant's.
    pub async fn letter(&self, id: i64, tenant: Option<TenantId>) -> Result<Option<(Letter, Contents)>, StoreError> {
        let select = format!(
            "SELECT {SHOWN}, body, headers, exit_report FROM dead_letters, etl_message(body) AS m
             WHERE id = $1::bigint AND ($2::bigint IS NULL OR tenant_id = $2)"
        );
        let tenant = tenant.map(TenantId::get);
        let row = answer("reading a dead letter", self.client.query_opt(&select, &[&id, &tenant])).await?;
        Ok(row
            .map(|row| (letter(&row), Contents { body: row.get(12), headers: row.get(13), exit_report: row.get(14) })))
    }

    /// How many open letters match.
    pub async fn count_open(&self, filter: &Filter) -> Result<i64, StoreError> {
        let select = format!("SELECT count(*) FROM dead_letters WHERE {MATCHES} AND {OPEN}");
        let rows = self.ask("counting dead letters", &select, filter, &[]).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    /// Open letters that match, the oldest first.
    pub async fn open_ids(&self, filter: &Filter, limit: i64) -> Result<Vec<i64>, StoreError> {
        let select = format!("SELECT id FROM dead_letters WHERE {MATCHES} AND {OPEN} ORDER BY id LIMIT $6::bigint");
        let rows = self.ask("choosing dead letters", &select, filter, &[(&limit, Type::INT8)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Which of these letters are open and this tenant's, the oldest first.
    pub async fn open_among(&self, ids: &[i64], tenant: Option<TenantId>) -> Result<Vec<OpenLetter>, StoreError> {
        let select = format!(
            "SELECT id, tenant_id, queue, octet_length(body)::bigint FROM dead_letters
             WHERE id = ANY($1::bigint[]) AND ($2::bigint IS NULL OR tenant_id = $2) AND {OPEN} ORDER BY id"
        );
        let tenant = tenant.map(TenantId::get);
        let rows = answer("looking for dead letters", self.client.query(&select, &[&ids, &tenant])).await?;
        let open =
            |row: &Row| OpenLetter { id: row.get(0), tenant_id: row.get(1), queue: row.get(2), body_bytes: row.get(3) };
        Ok(rows.iter().map(open).collect())
    }

    /// Those of the letters whose message is suspected of having ended a process, each with queue and body.
    pub async fn suspects_among(
        &self,
        ids: &[i64],
        tenant: Option<TenantId>,
    ) -> Result<Vec<(i64, String, Vec<u8>)>, StoreError> {
        let select = format!(
            "SELECT id, queue, body FROM dead_letters WHERE id = ANY($1::bigint[]) AND exit_report IS NOT NULL
             AND ($2::bigint IS NULL OR tenant_id = $2) AND {OPEN} ORDER BY id"
        );
        let tenant = tenant.map(TenantId::get);
        let rows = answer("looking for suspects", self.client.query(&select, &[&ids, &tenant])).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Marks letters as discarded; nothing is deleted. Returns how many were open until now.
    pub async fn discard(&self, ids: &[i64], tenant: Option<TenantId>) -> Result<usize, StoreError> {
        // Locked in the order of their numbers, as everybody does here: two calls wait for each other in one direction only.
        let update = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM dead_letters WHERE id = ANY($1::bigint[]) AND ($2::bigint IS NULL OR tenant_id = $2) AND {OPEN}
                 ORDER BY id FOR UPDATE)
             UPDATE dead_letters AS t SET discarded_at = now() FROM chosen WHERE t.id = chosen.id"
        );
        let tenant = tenant.map(TenantId::get);
        let done = answer("discarding dead letters", self.client.execute(&update, &[&ids, &tenant])).await?;
        Ok(usize::try_from(done).unwrap_or(usize::MAX))
    }

    async fn ask(
        &self,
        doing: &'static str,
        select: &str,
        filter: &Filter,
        more: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, StoreError> {
        let tenant = filter.tenant.map(TenantId::get);
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&tenant, Type::INT8),
            (&filter.reason, Type::TEXT),
            (&filter.kind, Type::TEXT),
            (&filter.since, Type::TIMESTAMPTZ),
            (&filter.until, Type::TIMESTAMPTZ),
        ];
        parameters.extend_from_slice(more);
        // One round trip, and a plan for these very values: what is null vanishes from it.
        answer(doing, self.client.query_typed(select, &parameters)).await
    }
}

fn letter(row: &Row) -> Letter {
    Letter {
        id: row.get(0),
        tenant_id: row.get(1),
        queue: row.get(2),
        reason: row.get(3),
        detail: row.get(4),
        attempts: row.get(5),
        kind: row.get(6),
        raw_data_id: row.get::<_, Option<String>>(7).and_then(|id| id.parse().ok()),
        body_bytes: row.get(8),
        created_at: row.get(9),
        replayed_at: row.get(10),
        discarded_at: row.get(11),
    }
}
