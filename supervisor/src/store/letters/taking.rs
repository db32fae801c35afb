//! Letters taken out for a replay: marked first, published second, committed last.
//!
//! The order is what makes a replay lose and double nothing.
//!
//! * **Marked before it is published.** A worker that gives the message up again at once writes its letter with an upsert on the open
//!   letters of the queue. While our transaction lasts, that upsert waits for it: the old letter is marked, and not yet committed.
//!   After the commit it finds no open letter and makes a new one. Were the mark set after the publishing, the upsert would have
//!   written its news into the old letter, which would then be marked as replayed: the message would be lost.
//! * **Committed after it is confirmed.** Whatever interrupts a replay before the commit (a kill, the broker, the database) leaves
//!   the letter open, at the worst with its message in the queue. That is harmless: a raw row that the message completes is
//!   acknowledged without work the next time, and a message that fails again finds its open letter and makes no second one. So
//!   an interrupted replay is simply done again.
//! * **A commit whose answer was lost** is one or the other of these two.

use serde_json::{Map, Value};
use tokio_postgres::Transaction;

use super::OPEN;
use crate::store::operators::{Session, StoreError, answer};
use etl_shared::TenantId;

/// A message to be published again.
#[derive(Debug)]
pub struct TakenLetter {
    /// Its letter.
    pub id: i64,
    /// Where to.
    pub queue: String,
    /// What.
    pub body: Vec<u8>,
    /// The headers that it had.
    pub headers: Map<String, Value>,
}

/// Letters that are marked as replayed in a transaction that is still open. Dropped, they are as they were.
pub struct Taken<'a> {
    transaction: Transaction<'a>,
    /// What is to be published.
    pub letters: Vec<TakenLetter>,
}

impl Session<'_> {
    /// Marks those of the letters that are still open, and holds them until [`Taken::settle`].
    pub async fn take(&mut self, ids: &[i64], tenant: Option<TenantId>) -> Result<Taken<'_>, StoreError> {
        const DOING: &str = "taking dead letters for a replay";
        // In the order of their numbers: two replays of the same letters wait for each other in one direction only.
        let mark = format!(
            "WITH chosen AS MATERIALIZED (
                 SELECT id FROM dead_letters WHERE id = ANY($1::bigint[]) AND ($2::bigint IS NULL OR tenant_id = $2) AND {OPEN}
                 ORDER BY id FOR UPDATE)
             UPDATE dead_letters AS t SET replayed_at = now() FROM chosen WHERE t.id = chosen.id
             RETURNING t.id, t.queue, t.body, t.headers"
        );
        let tenant = tenant.map(TenantId::get);
        let transaction = answer(DOING, self.client.transaction()).await?;
        let rows = answer(DOING, transaction.query(&mark, &[&ids, &tenant])).await?;
        let mut letters: Vec<_> = rows
            .iter()
            .map(|row| TakenLetter {
                id: row.get(0),
                queue: row.get(1),
                body: row.get(2),
                headers: match row.get(3) {
                    Value::Object(headers) => headers,
                    _ => Map::new(),
                },
            })
            .collect();
        letters.sort_unstable_by_key(|letter| letter.id);
        Ok(Taken { transaction, letters })
    }
}

impl Taken<'_> {
    /// Commits; letters that could not be published are open again, as if they had never been taken.
    pub async fn settle(self, not_published: &[i64]) -> Result<(), StoreError> {
        const DOING: &str = "recording a replay";
        if !not_published.is_empty() {
            // Nobody has seen the mark, and whoever waits for the letter finds it open when the wait is over.
            let reopen = "UPDATE dead_letters SET replayed_at = NULL WHERE id = ANY($1::bigint[])";
            answer(DOING, self.transaction.execute(reopen, &[&not_published])).await?;
        }
        answer(DOING, self.transaction.commit()).await
    }
}
