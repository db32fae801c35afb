//! Raw rows that wait for too long, and those that failed, tenant by tenant.

use std::time::Duration;

use etl_shared::TenantId;
use tokio_postgres::{Client, error::SqlState};

use crate::{
    cli::finding::Finding,
    settings::{Reconcile, Settings},
};

/// So many tenants are named; the rest is counted.
const NAMED: usize = 5;
/// Nobody counts further: the answer is the same.
const MOST: i64 = 10_000;

/// What one tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    tenant: i64,
    /// Pending for longer than `reconcile.after`.
    waiting: i64,
    /// Of all times, as far as it is remembered.
    republished: i64,
    /// Published again longer than `reconcile.after` ago, and still pending.
    stuck: i64,
    failed: i64,
}

/// What was found; nothing where the tables are not there yet, which is said elsewhere.
pub(super) async fn look(client: &Client, settings: &Settings, tenants: &[TenantId]) -> Vec<Finding> {
    let after = settings.reconcile.after.or(Reconcile::default().after).unwrap_or_default();
    match count(client, tenants, after).await {
        Ok(counts) => findings(&counts, after, settings.reconcile.after.is_some()),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
        Err(error) => {
            let words = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
            vec![Finding::fail("raw rows", words, "let the supervisor's role read raw_extraction_data")]
        }
    }
}

async fn count(client: &Client, tenants: &[TenantId], after: Duration) -> Result<Vec<Counts>, tokio_postgres::Error> {
    let pending = "FROM raw_extraction_data AS r WHERE r.tenant_id = t.id AND r.status::text = 'pending'";
    let select = format!(
        "SELECT * FROM unnest($1::bigint[]) AS t (id),
           LATERAL (SELECT count(*) FROM (SELECT 1 {pending} AND r.created_at < now() - make_interval(secs => $2::float8)
                    LIMIT {MOST}) AS x) AS waiting,
           LATERAL (SELECT count(*) FROM (SELECT 1 FROM reconciliations AS c WHERE c.tenant_id = t.id
                    LIMIT {MOST}) AS x) AS republished,
           LATERAL (SELECT count(*) FROM (SELECT 1 FROM reconciliations AS c WHERE c.tenant_id = t.id
                    AND c.published_at < now() - make_interval(secs => $2::float8)
                    AND EXISTS (SELECT 1 {pending} AND r.id = c.raw_data_id) LIMIT {MOST}) AS x) AS stuck,
           LATERAL (SELECT count(*) FROM (SELECT 1 FROM raw_extraction_data AS r WHERE r.tenant_id = t.id
                    AND r.status::text = 'failed' LIMIT {MOST}) AS x) AS failed
         ORDER BY 1"
    );
    let ids: Vec<i64> = tenants.iter().map(|tenant| tenant.get()).collect();
    let rows = client.query(&select, &[&ids, &after.as_secs_f64()]).await?;
    let counts = rows.iter().map(|row| Counts {
        tenant: row.get(0),
        waiting: row.get(1),
        republished: row.get(2),
        stuck: row.get(3),
        failed: row.get(4),
    });
    Ok(counts.collect())
}

fn findings(counts: &[Counts], after: Duration, switched_on: bool) -> Vec<Finding> {
    let concerned: Vec<_> = counts.iter().filter(|tenant| tenant.waiting + tenant.failed > 0).collect();
    let after = humantime::format_duration(after);
    if concerned.is_empty() {
        return vec![Finding::ok("raw rows", format!("none is pending for longer than {after}, none has failed"))];
    }
    let mut findings: Vec<_> = concerned
        .iter()
        .take(NAMED)
        .map(|tenant| {
            let Counts { tenant, waiting, republished, stuck, failed } = **tenant;
            let [waiting_shown, republished, stuck_shown, failed] = [waiting, republished, stuck, failed].map(shown);
            let detail = format!(
                "tenant {tenant}: {waiting_shown} pending for longer than {after}, {republished} published again, \
                 {stuck_shown} stuck, {failed} failed"
            );
            let advice = match () {
                () if stuck > 0 => format!(
                    "stuck rows had a second message and are not done: see `etl-supervisor logs {tenant}` and \
                     `etl-supervisor dead-letters list --tenant {tenant}`"
                ),
                () if waiting > 0 && switched_on => format!(
                    "they wait for the worker (`etl-supervisor status {tenant}`), or are published again within two \
                     rounds of reconcile.every"
                ),
                () if waiting > 0 => {
                    "reconciliation is switched off: publish their messages, or set reconcile.after".to_owned()
                }
                () => format!("`etl-supervisor dead-letters list --tenant {tenant}` says why"),
            };
            Finding::warn("raw rows", detail, advice)
        })
        .collect();
    if let Some(more) = concerned.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let advice =
            "the same question for these: SELECT tenant_id, status, count(*) FROM raw_extraction_data GROUP BY 1, 2";
        findings.push(Finding::warn("raw rows", format!("… and {more} more tenants"), advice));
    }
    findings
}

fn shown(count: i64) -> String {
    if count < MOST { count.to_string() } else { format!("{MOST} or more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::Mark;

    #[test]
    fn only_tenants_with_something_wrong_are_named_and_not_all_of_them() {
        let tenant = |tenant, waiting, stuck, failed| Counts { tenant, waiting, republished: stuck, stuck, failed };
        let hour = Duration::from_hours(1);
        let fine = findings(&[tenant(1, 0, 0, 0)], hour, true);
        assert_eq!((fine.len(), fine[0].mark), (1, Mark::Ok));
        let some = findings(&[tenant(1, 0, 0, 0), tenant(7, 3, 2, 10_000)], hour, true);
        assert_eq!(some.len(), 1);
        assert_eq!(
            some[0].detail,
            "tenant 7: 3 pending for longer than 1h, 2 published again, 2 stuck, 10000 or more failed"
        );
        assert!(some[0].advice.as_ref().is_some_and(|advice| advice.contains("--tenant 7")), "{some:?}");
        let many: Vec<_> = (1..=9).map(|id| tenant(id, 1, 0, 0)).collect();
        let many = findings(&many, hour, false);
        assert_eq!(many.len(), NAMED + 1);
        assert_eq!(many[NAMED].detail, "… and 4 more tenants");
        assert!(many[0].advice.as_ref().is_some_and(|advice| advice.contains("switched off")), "{many:?}");
    }
}
