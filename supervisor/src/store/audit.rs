//! `audit_log`: written, read in pages, pruned.

use std::time::{Duration, SystemTime};

use etl_shared::{
    TenantId,
    api::{AuditEntry, AuditResult, Role},
};
use serde_json::Value;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::operators::{Session, StoreError, answer};
use crate::{audit::Entry, clock::rfc3339};

/// Rows that one statement deletes: a table of years must not be locked by its pruning.
const PRUNED_AT_ONCE: i64 = 5_000;

/// Which entries; a field that is `None` does not limit.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this tenant.
    pub tenant: Option<TenantId>,
    /// By this actor.
    pub actor: Option<String>,
    /// This action.
    pub action: Option<String>,
    /// With this result.
    pub result: Option<AuditResult>,
    /// Then or later.
    pub since: Option<SystemTime>,
    /// Before.
    pub until: Option<SystemTime>,
}

impl Session<'_> {
    /// Writes entries; those that are there already are left alone.
    pub async fn add_audit(&self, entries: &[Entry]) -> Result<(), StoreError> {
        // One parameter, whatever their number.
        let insert = "INSERT INTO audit_log
                (entry, at, actor, role, source, action, tenant_id, result, status, detail, correlation_id)
            SELECT e ->> 'entry', (e ->> 'at')::timestamptz, e ->> 'actor', e ->> 'role', e ->> 'source', e ->> 'action',
                (e ->> 'tenant_id')::bigint, e ->> 'result', (e ->> 'status')::int, e -> 'detail', e ->> 'correlation_id'
            FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS given (e, place) ORDER BY place
            ON CONFLICT (entry) DO NOTHING";
        let given = serde_json::to_value(entries).unwrap_or_default();
        answer("writing the audit log", self.client.execute_typed(insert, &[(&given, Type::JSONB)])).await.map(drop)
    }

    /// The newest entries behind the cursor.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let select = "SELECT id, at, actor, role, source, action, tenant_id, result, status, detail, correlation_id
            FROM audit_log
            WHERE ($1::bigint IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR actor = $2)
              AND ($3::text IS NULL OR action = $3) AND ($4::text IS NULL OR result = $4)
              AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
              AND ($7::bigint IS NULL OR id < $7)
            ORDER BY id DESC LIMIT $8";
        let tenant = filter.tenant.map(i64::from);
        let result = filter.result.map(|result| match result {
            AuditResult::Ok => "ok",
            AuditResult::Refused => "refused",
            AuditResult::Failed => "failed",
        });
        let parameters: [(&(dyn ToSql + Sync), Type); 8] = [
            (&tenant, Type::INT8),
            (&filter.actor, Type::TEXT),
            (&filter.action, Type::TEXT),
            (&result, Type::TEXT),
            (&filter.since, Type::TIMESTAMPTZ),
            (&filter.until, Type::TIMESTAMPTZ),
            (&before, Type::INT8),
            (&limit, Type::INT8),
        ];
        let rows = self.client.query_typed(select, &parameters);
        Ok(answer("reading the audit log", rows).await?.iter().map(entry).collect())
    }

    /// Deletes what is older than this; says how many.
    pub async fn prune_audit(&self, keep: Duration) -> Result<u64, StoreError> {
        let delete = "DELETE FROM audit_log WHERE id IN
            (SELECT id FROM audit_log WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2)";
        let mut pruned = 0;
        loop {
            let parameters: [(&(dyn ToSql + Sync), Type); 2] =
                [(&keep.as_secs_f64(), Type::FLOAT8), (&PRUNED_AT_ONCE, Type::INT8)];
            let deleted = answer("pruning the audit log", self.client.execute_typed(delete, &parameters)).await?;
            pruned += deleted;
            if deleted == 0 {
                return Ok(pruned);
            }
        }
    }
}

fn entry(row: &Row) -> AuditEntry {
    let role = row.get::<_, Option<String>>("role");
    AuditEntry {
        id: row.get("id"),
        at: rfc3339(row.get("at")),
        actor: row.get("actor"),
        role: role.and_then(|role| serde_json::from_value::<Role>(Value::String(role)).ok()),
        source: row.get("source"),
        action: row.get("action"),
        tenant_id: row.get::<_, Option<i64>>("tenant_id").and_then(|tenant| TenantId::try_from(tenant).ok()),
        result: match row.get("result") {
            "ok" => AuditResult::Ok,
            "refused" => AuditResult::Refused,
            _ => AuditResult::Failed,
        },
        status: u16::try_from(row.get::<_, i32>("status")).unwrap_or_default(),
        detail: row.get("detail"),
        correlation_id: row.get("correlation_id"),
    }
}
