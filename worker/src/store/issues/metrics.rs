//! What follows from the stored history of an issue.

use std::collections::BTreeMap;

use crate::{
    job::rows::{Issue, Key},
    store::{columns::keys, write::Write},
};

// Sums are of exact numbers, so that they do not depend on the order of the rows.
const METRICS: &str = "
UPDATE work_items AS t
SET total_backlog_returns = m.returns, total_work_starts = m.starts, total_completions = m.completions,
    work_first_committed_at = m.first_committed, work_first_started_at = m.first_started,
    work_last_started_at = m.last_started, work_first_completed_at = m.first_completed,
    work_last_completed_at = m.last_completed,
    total_work_time_seconds = m.work_time, total_review_time_seconds = m.review_time,
    total_cycle_time_seconds = m.cycle_time, total_lead_time_seconds = m.lead_time,
    workflow_complexity_score = m.complexity, rework_indicator = m.rework, direct_completion = m.direct,
    last_updated_at = now()
FROM (
    SELECT s.*,
        CASE WHEN last_completed >= first_started
            THEN extract(epoch FROM last_completed - first_started)::float8 END AS cycle_time,
        CASE WHEN last_completed >= first_committed
            THEN extract(epoch FROM last_completed - first_committed)::float8 END AS lead_time,
        2 * returns + greatest(0, completions - 1) AS complexity,
        starts > 1 AS rework,
        changes = 1 AND completions = 1 AND starts = 0 AS direct
    FROM (
        SELECT c.issue_id, c.tenant_id,
            count(c.at)::int AS changes,
            count(*) FILTER (WHERE c.entered = 'to do' AND c.left_behind <> 'to do')::int AS returns,
            count(*) FILTER (WHERE c.entered = 'in progress')::int AS starts,
            count(*) FILTER (WHERE c.entered = 'done')::int AS completions,
            min(c.at) FILTER (WHERE c.entered = 'to do') AS first_committed,
            min(c.at) FILTER (WHERE c.entered = 'in progress') AS first_started,
            max(c.at) FILTER (WHERE c.entered = 'in progress') AS last_started,
            min(c.at) FILTER (WHERE c.entered = 'done') AS first_completed,
            max(c.at) FILTER (WHERE c.entered = 'done') AS last_completed,
            coalesce(sum(c.seconds) FILTER (WHERE c.left_behind = 'in progress'), 0)::float8 AS work_time,
            coalesce(sum(c.seconds) FILTER (WHERE c.left_behind = 'to do' AND c.is_after_start), 0)::float8 AS review_time
        FROM (
            SELECT w.id AS issue_id, n.tenant_id, h.at, h.entered, h.left_behind,
                extract(epoch FROM greatest(h.at - h.start, interval '0')) AS seconds,
                coalesce(bool_or(h.entered = 'in progress') OVER (
                    PARTITION BY w.id ORDER BY h.at, length(h.external_id), h.external_id COLLATE \"C\"
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS is_after_start
            FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS n (tenant_id, integration_id, external_id)
            JOIN LATERAL (
                SELECT id FROM work_items
                WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND external_id = n.external_id LIMIT 1
            ) w ON true
            LEFT JOIN LATERAL (
                SELECT c.external_id, c.transition_change_date AS at, c.transition_start_date AS start,
                    (SELECT lower(coalesce(nullif(m.status_category, ''), s.category))
                        FROM statuses s
                        LEFT JOIN statuses_mappings m ON m.tenant_id = s.tenant_id AND m.id = s.status_mapping_id
                        WHERE s.tenant_id = c.tenant_id AND s.id = c.to_status_id) AS entered,
                    (SELECT lower(coalesce(nullif(m.status_category, ''), s.category))
                        FROM statuses s
                        LEFT JOIN statuses_mappings m ON m.tenant_id = s.tenant_id AND m.id = s.status_mapping_id
                        WHERE s.tenant_id = c.tenant_id AND s.id = c.from_status_id) AS left_behind
                FROM changelogs c
                WHERE c.tenant_id = n.tenant_id AND c.integration_id = n.integration_id AND c.work_item_id = w.id
                OFFSET 0
            ) h ON true
        ) c
        GROUP BY c.issue_id, c.tenant_id
    ) s
) m
WHERE t.id = m.issue_id AND t.tenant_id = m.tenant_id
    AND ROW(t.total_backlog_returns, t.total_work_starts, t.total_completions, t.work_first_committed_at,
        t.work_first_started_at, t.work_last_started_at, t.work_first_completed_at, t.work_last_completed_at,
        t.total_work_time_seconds, t.total_review_time_seconds, t.total_cycle_time_seconds, t.total_lead_time_seconds,
        t.workflow_complexity_score, t.rework_indicator, t.direct_completion)
    IS DISTINCT FROM ROW(m.returns, m.starts, m.completions, m.first_committed,
        m.first_started, m.last_started, m.first_completed, m.last_completed,
        m.work_time, m.review_time, m.cycle_time, m.lead_time,
        m.complexity, m.rework, m.direct)";

pub(super) fn write(issues: &BTreeMap<Key, Issue>) -> Option<Write> {
    (!issues.is_empty()).then(|| Write { table: "work_items", sql: METRICS, parameters: keys(issues.keys()) })
}
