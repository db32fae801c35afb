//! `worker_settings`: what people set for single tenants.

use std::collections::BTreeMap;

use etl_shared::{QueueType, TenantId};
use tokio_postgres::{Client, Error, Row, Transaction};

use super::operators::{Session, StoreError, answer};
use crate::runtime::overrides::{Override, Overrides, TenantOverrides};

/// Times in a form that comes back unchanged from whoever is shown them, and within what can be shown.
const COLUMNS: &str = "tenant_id, queue_type, workers, workers_max, memory_soft,
    CASE WHEN paused_until IS NOT NULL THEN
        date_trunc('milliseconds', least(greatest(paused_until, '1970-01-01Z'), '9999-12-31 23:59:59Z')) END,
    revision, updated_at, updated_by";

/// Everybody's.
pub(super) async fn read_all(client: &Client) -> Result<Overrides, Error> {
    let rows = client.query(&format!("SELECT {COLUMNS} FROM worker_settings"), &[]).await?;
    gather(&rows)
}

/// One tenant's settings that are being changed. Nobody else can change what is in the table until this is dropped, here or in SQL;
/// without [`Change::set`] they stay as they are.
pub struct Change<'a> {
    transaction: Transaction<'a>,
    tenant: TenantId,
    /// As they are.
    pub before: TenantOverrides,
}

impl Session<'_> {
    /// Begins to change a tenant's settings, once nobody else does.
    pub async fn change_settings(&mut self, tenant: TenantId) -> Result<Change<'_>, StoreError> {
        const DOING: &str = "reading a tenant's settings";
        // For changes made here: there may be no row yet that could be locked.
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended('worker_settings', $1::bigint))";
        // And for those in SQL, which know nothing of that.
        let select = format!("SELECT {COLUMNS} FROM worker_settings WHERE tenant_id = $1::bigint FOR UPDATE");
        let transaction = answer(DOING, self.client.transaction()).await?;
        answer(DOING, transaction.execute(lock, &[&tenant.get()])).await?;
        let before = one(&answer(DOING, transaction.query(&select, &[&tenant.get()])).await?)?;
        Ok(Change { transaction, tenant, before })
    }
}

impl Change<'_> {
    /// Sets these, by queue type, and returns what is set then; `None`: nothing was changed, because only what was read may be replaced, and
    /// somebody has set something since.
    pub async fn set(
        self,
        queues: &BTreeMap<QueueType, Override>,
        by: &str,
        only_what_was_read: bool,
    ) -> Result<Option<TenantOverrides>, StoreError> {
        const DOING: &str = "writing a tenant's settings";
        let set = "INSERT INTO worker_settings (tenant_id, queue_type, workers, workers_max, memory_soft, paused_until)
            VALUES ($1::bigint, $2::text, $3::int, $4::int, $5::bigint, $6::timestamptz)
            ON CONFLICT (tenant_id, queue_type) DO UPDATE SET workers = excluded.workers,
            workers_max = excluded.workers_max, memory_soft = excluded.memory_soft, paused_until = excluded.paused_until
            WHERE $7::bool";
        let (transaction, tenant) = (self.transaction, self.tenant);
        // The trigger notes it.
        let by_whom = "SELECT set_config('etl.settings_by', $1::text, true)";
        answer(DOING, transaction.execute(by_whom, &[&by])).await?;
        for (queue_type, settings) in queues {
            let (workers, most) = (settings.workers.map(i32::from), settings.workers_max.map(i32::from));
            let memory = settings.memory_soft.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
            // A row that is new to us could not be locked.
            let may_replace = !only_what_was_read || self.before.queues.contains_key(queue_type);
            let queue_type = queue_type.as_str();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&tenant.get(), &queue_type, &workers, &most, &memory, &settings.paused_until, &may_replace];
            if answer(DOING, transaction.execute(set, &values)).await? == 0 {
                return Ok(None);
            }
        }
        let select = format!("SELECT {COLUMNS} FROM worker_settings WHERE tenant_id = $1::bigint");
        let after = one(&answer(DOING, transaction.query(&select, &[&tenant.get()])).await?)?;
        answer(DOING, transaction.commit()).await?;
        Ok(Some(after))
    }
}

fn one(rows: &[Row]) -> Result<TenantOverrides, StoreError> {
    let all = gather(rows).map_err(|source| StoreError::Failed { doing: "reading a tenant's settings", source })?;
    Ok(all.0.into_values().next().unwrap_or_default())
}

/// Rows of no possible tenant or queue type mean nobody.
fn gather(rows: &[Row]) -> Result<Overrides, Error> {
    let mut all = Overrides::default();
    for row in rows {
        let (tenant, queue_type): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (Ok(tenant), Ok(queue_type)) = (TenantId::try_from(tenant), queue_type.parse::<QueueType>()) else {
            continue;
        };
        // The table holds only numbers that fit.
        let number = |number: Option<i32>| number.and_then(|number| u16::try_from(number).ok());
        let settings = Override {
            workers: number(row.try_get(2)?),
            workers_max: number(row.try_get(3)?),
            memory_soft: row.try_get::<_, Option<i64>>(4)?.and_then(|bytes| u64::try_from(bytes).ok()),
            paused_until: row.try_get(5)?,
        };
        let (revision, updated_at, updated_by) = (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?);
        let of_tenant = all.0.entry(tenant).or_default();
        of_tenant.queues.insert(queue_type, settings);
        if revision > of_tenant.revision {
            (of_tenant.revision, of_tenant.updated_at, of_tenant.updated_by) = (revision, updated_at, updated_by);
        }
    }
    Ok(all)
}
