//! `raw_extraction_data`

/// Locks the raw rows of a batch, always in the order of their ids, so that two workers wait for each other in one direction
/// only. Only small documents come along: a big one must not arrive before the flight record names it.
pub(super) const LOCK: &str = "
SELECT t.id::bigint, t.tenant_id::bigint, t.integration_id::bigint, t.type::text, t.status::text = 'completed',
    coalesce(pg_column_size(t.raw_data), 0)::bigint,
    CASE WHEN coalesce(pg_column_size(t.raw_data), 0) <= $3::bigint THEN coalesce(t.raw_data::text, 'null') END
FROM raw_extraction_data t
JOIN unnest($1::bigint[], $2::bigint[]) AS n (id, tenant_id) ON t.id = n.id AND t.tenant_id = n.tenant_id
ORDER BY t.id FOR UPDATE OF t";

/// Which of these rows exist at all. A foreign row is neither locked nor read, only known to be there.
pub(super) const EXIST: &str = "SELECT id::bigint FROM raw_extraction_data WHERE id = ANY($1::bigint[])";

/// The documents as text: the JSON tree that the client library could build takes many times the memory.
pub(super) const DOCUMENTS: &str = "
SELECT t.id::bigint, t.raw_data::text
FROM raw_extraction_data t
JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (id, tenant_id, integration_id)
    ON t.id = n.id AND t.tenant_id = n.tenant_id AND t.integration_id = n.integration_id";

/// Marks the raw rows of a batch as done, and fails (cardinality violation) where not all of them could be marked: the end of
/// the transaction is on its way already, and must not commit then.
pub(super) const COMPLETE: &str = "
WITH marked AS (
    UPDATE raw_extraction_data AS t
    SET status = 'completed', attempts = t.attempts + n.attempts, error_details = n.warnings::jsonb, last_updated_at = now()
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::text[])
        AS n (id, tenant_id, integration_id, attempts, warnings)
    WHERE t.id = n.id AND t.tenant_id = n.tenant_id AND t.integration_id = n.integration_id
    RETURNING 1
)
SELECT (SELECT 1 FROM generate_series(1, CASE WHEN all_of_them.count = $6::bigint THEN 1 ELSE 2 END))
FROM (SELECT count(*) FROM marked) all_of_them";

/// Marks one raw row as given up. What is completed stays completed: a wrong message does not undo the work of a right one.
pub(super) const FAIL: &str = "
UPDATE raw_extraction_data
SET status = 'failed', attempts = attempts + $3::int, last_updated_at = now(),
    error_details = jsonb_build_object('reason', $4::text, 'message', $5::text, 'attempts', $3, 'at', now())
WHERE id = $1::bigint AND tenant_id = $2::bigint AND status::text <> 'completed'";

/// Which integration and type a row has, for a run that is given only its id.
pub(super) const DESCRIBE: &str = "
SELECT integration_id::bigint, type::text FROM raw_extraction_data WHERE id = $1::bigint AND tenant_id = $2::bigint";
