//! Keeps what the broker gave up: a letter for people, and its raw row failed, both or neither.

use tokio_postgres::{Client, Error, error::SqlState};

// Locked, so that whoever is at work on the row because of a second message comes before or after.
const COMPLETED: &str = "
SELECT status::text = 'completed' FROM raw_extraction_data
WHERE id = $1::bigint AND tenant_id = $2::bigint FOR UPDATE";

// One that is delivered again, or that a worker gave up with better knowledge, finds its open letter.
const STORE: &str = "
INSERT INTO dead_letters (tenant_id, queue, body, headers, reason, detail, attempts)
VALUES ($1::bigint, $2::text, $3::bytea, $4::text::jsonb, $5::text, $6::text, $7::int)
ON CONFLICT (queue, body_hash) WHERE replayed_at IS NULL AND discarded_at IS NULL DO NOTHING";

// The rule that workers follow. A tenant may write its own row, so the number in it may be any.
const FAIL: &str = "
UPDATE raw_extraction_data
SET status = 'failed', attempts = least(attempts::bigint + $3::int, 2147483647)::int, last_updated_at = now(),
    error_details = jsonb_build_object('reason', $4::text, 'message', $5::text, 'attempts', $3, 'at', now())
WHERE id = $1::bigint AND tenant_id = $2::bigint AND status::text <> 'completed'";

/// A message that came back from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnedLetter {
    /// Whose; nothing where that is not certain.
    pub tenant_id: Option<i64>,
    /// Its first queue.
    pub queue: String,
    /// As it came.
    pub body: Vec<u8>,
    /// A JSON object.
    pub headers: String,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub detail: String,
    /// How often it was tried, as far as anybody knows.
    pub attempts: i32,
    /// The raw row that fails with it, where that is certain.
    pub raw_row: Option<RawRow>,
}

/// A raw row of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRow {
    /// Its id.
    pub id: i64,
    /// Whose.
    pub tenant: i64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There is a letter now.
    Stored,
    /// There was an open one already.
    Known,
    /// Its work has been done: nobody needs a letter.
    Completed,
}

/// What every statement of the connection is limited to: a tenant may hold a lock on its own row for as long as it likes.
pub const LIMITS: &str = "SET lock_timeout = '3s'; SET statement_timeout = '20s'";

/// Whether the letter might be stored if its raw row were left alone: somebody holds the row, or has written nonsense into it.
pub fn is_about_the_row(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::QUERY_CANCELED || code.code().starts_with("22")
    })
}

/// Stores the letter; when this returns without an error, the message may be acknowledged.
pub async fn keep(client: &mut Client, letter: &ReturnedLetter) -> Result<Kept, Error> {
    let transaction = client.transaction().await?;
    if let Some(row) = letter.raw_row
        && let Some(found) = transaction.query_opt(COMPLETED, &[&row.id, &row.tenant]).await?
        && found.get(0)
    {
        return Ok(Kept::Completed);
    }
    // Neither text nor jsonb can hold the character NUL.
    let headers = letter.headers.replace("\\u0000", "\\ufffd");
    let detail = letter.detail.replace('\0', "\u{fffd}");
    let queue = letter.queue.replace('\0', "\u{fffd}");
    let reason = letter.reason.replace('\0', "\u{fffd}");
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&letter.tenant_id, &queue, &letter.body, &headers, &reason, &detail, &letter.attempts];
    let stored = transaction.execute(STORE, &parameters).await?;
    // A known letter's row has failed already, or somebody has put it back on purpose.
    if let Some(row) = letter.raw_row
        && stored > 0
    {
        transaction.execute(FAIL, &[&row.id, &row.tenant, &letter.attempts, &reason, &detail]).await?;
    }
    transaction.commit().await?;
    Ok(if stored > 0 { Kept::Stored } else { Kept::Known })
}
