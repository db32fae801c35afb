//! `raw_extraction_data` and `reconciliations`: raw rows that wait for a message that nobody has published.

use std::time::Duration;

use etl_shared::{TenantId, TransformMessage};
use tokio_postgres::Transaction;

use super::operators::{Session, StoreError, answer};

/// A raw row `r` that has been waiting for too long and was not published again yet; `$2` is the time in seconds. Nor is its message
/// suspected of having ended a process: that one is brought back by a person who replays its letter, and by nobody else.
const LOST: &str = "r.status::text = 'pending' AND r.created_at < now() - make_interval(secs => $2::float8)
    AND NOT EXISTS (SELECT 1 FROM reconciliations AS c WHERE c.tenant_id = r.tenant_id AND c.raw_data_id = r.id)
    AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE d.tenant_id = r.tenant_id AND d.exit_report IS NOT NULL
        AND d.replayed_at IS NULL AND etl_message(d.body) ->> 'raw_data_id' = r.id::text)";
/// What is noted of a row that is no longer pending is of no use after this.
const FORGET: &str = "DELETE FROM reconciliations AS c WHERE c.published_at < now() - interval '30 days' AND NOT EXISTS
    (SELECT 1 FROM raw_extraction_data AS r WHERE r.id = c.raw_data_id AND r.tenant_id = c.tenant_id
     AND r.status::text = 'pending')";

/// A raw row whose message is to be published.
#[derive(Debug)]
pub struct LostRow {
    /// Which.
    pub id: i64,
    /// What names it.
    pub message: TransformMessage,
}

/// Rows that are noted as published again in a transaction that is still open. Dropped, nothing is noted.
///
/// As with a replay (see `letters::Taken`) the note comes first, the publishing second, the commit last. Interrupted in between, a
/// message may be in the queue without its note: then the queue is not empty or the row is done, and where neither holds in two
/// looks, one more message does no harm.
pub struct Noted<'a> {
    transaction: Transaction<'a>,
    tenant: TenantId,
    /// What is to be published.
    pub rows: Vec<LostRow>,
}

/// What a message about a raw row has to agree with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRowFacts {
    /// Of which integration.
    pub integration_id: i64,
    /// Its data type.
    pub kind: String,
}

impl Session<'_> {
    /// One of this tenant's raw rows. The supervisor's account sees everybody's, so the statement asks whose it is.
    pub async fn raw_row(&self, tenant: TenantId, id: i64) -> Result<Option<RawRowFacts>, StoreError> {
        let select = "SELECT integration_id::bigint, type::text FROM raw_extraction_data
            WHERE tenant_id = $1::bigint AND id = $2::bigint";
        let row = answer("looking for a raw row", self.client.query_opt(select, &[&tenant.get(), &id])).await?;
        Ok(row.map(|row| RawRowFacts { integration_id: row.get(0), kind: row.get(1) }))
    }

    /// Which of these tenants have a row that has been pending for longer than `after`. One probe of the index for each.
    pub async fn tenants_with_lost_rows(
        &self,
        tenants: &[TenantId],
        after: Duration,
    ) -> Result<Vec<TenantId>, StoreError> {
        const DOING: &str = "looking for raw rows without a message";
        let select = format!(
            "SELECT t.id FROM unnest($1::bigint[]) AS t (id) CROSS JOIN LATERAL
             (SELECT 1 FROM raw_extraction_data AS r WHERE r.tenant_id = t.id AND {LOST} ORDER BY r.created_at LIMIT 1) AS l"
        );
        let ids: Vec<i64> = tenants.iter().map(|tenant| tenant.get()).collect();
        let rows = answer(DOING, self.client.query(&select, &[&ids, &after.as_secs_f64()])).await?;
        Ok(rows.iter().filter_map(|row| TenantId::try_from(row.get::<_, i64>(0)).ok()).collect())
    }

    /// Notes the oldest of a tenant's lost rows as published again, and holds them until [`Noted::settle`].
    pub async fn note_lost(&mut self, tenant: TenantId, after: Duration, limit: i64) -> Result<Noted<'_>, StoreError> {
        const DOING: &str = "noting raw rows without a message";
        // Whoever notes a row first publishes it: a second supervisor finds the note.
        let note = format!(
            "WITH lost AS MATERIALIZED (
                 SELECT r.id::bigint AS id, r.integration_id::bigint AS integration, r.type::text AS type
                 FROM raw_extraction_data AS r WHERE r.tenant_id = $1::bigint AND {LOST} ORDER BY r.created_at LIMIT $3::bigint),
             noted AS (
                 INSERT INTO reconciliations (tenant_id, raw_data_id) SELECT $1::bigint, id FROM lost ORDER BY id
                 ON CONFLICT DO NOTHING RETURNING raw_data_id)
             SELECT lost.id, lost.integration, lost.type FROM lost JOIN noted ON noted.raw_data_id = lost.id ORDER BY lost.id"
        );
        let transaction = answer(DOING, self.client.transaction()).await?;
        let rows = answer(DOING, transaction.query(&note, &[&tenant.get(), &after.as_secs_f64(), &limit])).await?;
        let rows = rows.iter().map(|row| {
            let (id, integration_id, kind) = (row.get(0), row.get(1), row.get(2));
            let extra = serde_json::Map::new();
            LostRow {
                id,
                message: TransformMessage { tenant_id: tenant, integration_id, raw_data_id: Some(id), kind, extra },
            }
        });
        let rows = rows.collect();
        Ok(Noted { transaction, tenant, rows })
    }

    /// Forgets notes that nobody needs any more.
    pub async fn forget_old_reconciliations(&self) -> Result<(), StoreError> {
        answer("forgetting old reconciliations", self.client.execute(FORGET, &[])).await.map(drop)
    }
}

impl Noted<'_> {
    /// Commits; rows whose message was not published are as they were.
    pub async fn settle(self, not_published: &[i64]) -> Result<(), StoreError> {
        const DOING: &str = "recording what was published again";
        if !not_published.is_empty() {
            let forget = "DELETE FROM reconciliations WHERE tenant_id = $1::bigint AND raw_data_id = ANY($2::bigint[])";
            answer(DOING, self.transaction.execute(forget, &[&self.tenant.get(), &not_published])).await?;
        }
        answer(DOING, self.transaction.commit()).await
    }
}
