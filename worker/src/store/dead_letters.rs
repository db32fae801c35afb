//! `dead_letters`

use futures_util::future;

use super::{Store, StoreError, raw_rows};
use crate::job::DeadLetter;

// A redelivery of a message whose letter is still open finds it; the newest reason counts.
const BURY: &str = "
INSERT INTO dead_letters AS t (tenant_id, queue, body, headers, reason, detail, attempts, exit_report)
VALUES ($1::bigint, $2::text, $3::bytea, $4::text::jsonb, $5::text, $6::text, $7::int, $8::text::jsonb)
ON CONFLICT (queue, body_hash) WHERE replayed_at IS NULL AND discarded_at IS NULL DO UPDATE
SET reason = excluded.reason, detail = excluded.detail, attempts = excluded.attempts, headers = excluded.headers,
    exit_report = excluded.exit_report
WHERE (t.reason, t.detail, t.attempts, t.headers, t.exit_report)
    IS DISTINCT FROM (excluded.reason, excluded.detail, excluded.attempts, excluded.headers, excluded.exit_report)";

/// A message to be given up.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Where it came from, and what it was; `None` for a run without a message, which only marks the raw row.
    pub message: Option<Message<'a>>,
    /// Why, and which raw row fails with it.
    pub verdict: &'a DeadLetter,
    /// How often it was tried.
    pub attempts: u32,
    /// How the workers ended that died on it, as JSON.
    pub exit_report: Option<&'a str>,
}

/// The message itself.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its queue.
    pub queue: &'a str,
    /// Whose letter it is.
    pub tenant_id: Option<i64>,
    /// As it came.
    pub body: &'a [u8],
    /// A JSON object.
    pub headers: &'a str,
}

impl Store {
    /// Stores the letter and marks the raw row as failed, both or neither.
    pub async fn bury(&mut self, letter: &Letter<'_>) -> Result<(), StoreError> {
        const DOING: &str = "storing a dead letter";
        let failed = |error| StoreError::new(DOING, error);
        let session = self.session().await?;
        let prepared = session.prepared(DOING, [BURY, raw_rows::FAIL]).await?;
        let attempts = i32::try_from(letter.attempts).unwrap_or(i32::MAX);
        let reason = letter.verdict.reason.as_str();
        // Neither text nor jsonb can hold the character NUL.
        let detail = letter.verdict.detail.replace('\0', "\u{fffd}");
        let client = session.client();
        let insert = async {
            let Some(message) = letter.message else { return Ok(0) };
            let headers = message.headers.replace("\\u0000", "\\ufffd");
            client
                .execute(
                    &prepared[0],
                    &[
                        &message.tenant_id,
                        &message.queue,
                        &message.body,
                        &headers,
                        &reason,
                        &detail,
                        &attempts,
                        &letter.exit_report,
                    ],
                )
                .await
        };
        let fail = async {
            let Some(row) = letter.verdict.fails else { return Ok(0) };
            client.execute(&prepared[1], &[&row.raw_data_id, &row.tenant.get(), &attempts, &reason, &detail]).await
        };
        // All four are sent at once; the answers come in the same order, so the first error is the cause of the others.
        let (begun, inserted, marked, committed) =
            future::join4(client.batch_execute("BEGIN"), insert, fail, client.batch_execute("COMMIT")).await;
        let outcome = begun.and(inserted.map(drop)).and(marked.map(drop)).and(committed).map_err(failed);
        if outcome.is_err() {
            session.roll_back().await;
        }
        outcome
    }
}
