//! `changelogs`: the changes of status, and how long each status had lasted.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::{
    job::rows::{Change, Issue, IssueRows, Key},
    store::{
        columns::{column, keys},
        upsert::{Column, Table, by_mask, field, mask},
        write::Write,
    },
};

const TABLE: Table = Table {
    name: "changelogs",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::input("issue", "text"),
        Column::computed("work_item_id", "w.id").once(),
        Column::input("from_status", "text"),
        Column::computed("from_status_id", "f.id").if_not_null(),
        Column::input("to_status", "text"),
        Column::computed("to_status_id", "s.id").if_not_null(),
        Column::new("transition_change_date", "timestamptz"),
        // As the document has it. For a stored row, and where stored changes say otherwise, the next statement decides.
        Column::new("transition_start_date", "timestamptz").once(),
        Column::new("time_in_status_seconds", "float8").once(),
        Column::new("changed_by", "text").if_given(0),
    ],
    joins: "JOIN LATERAL (
    SELECT id FROM work_items
    WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND external_id = n.issue LIMIT 1
) w ON true
LEFT JOIN LATERAL (
    SELECT * FROM statuses
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.from_status) LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT * FROM statuses
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.to_status) LIMIT 1
) s ON true",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| TABLE.lock());

// The first change of all begins with the issue, unless entries are missing before it. Only a document that reaches back to
// the first change can tell; after one that does not, what is known of the beginning stays known.
const STARTS: &str = "
UPDATE changelogs AS t
SET transition_start_date = n.start, time_in_status_seconds = n.seconds, last_updated_at = now()
FROM (
    SELECT o.id, o.tenant_id, o.start,
        -- The greatest of nothing and zero would be zero.
        CASE WHEN o.start IS NOT NULL
            THEN extract(epoch FROM greatest(o.at - o.start, interval '0'))::float8 END AS seconds
    FROM (
        SELECT c.id, d.tenant_id, c.transition_change_date AS at,
            CASE WHEN row_number() OVER changes > 1 THEN lag(c.transition_change_date) OVER changes
                WHEN d.oldest IS NULL OR d.oldest > c.transition_change_date THEN c.transition_start_date
                WHEN NOT d.truncated THEN d.created
            END AS start
        FROM (
            SELECT n.tenant_id, n.integration_id, n.oldest, n.truncated, w.id, w.created
            FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::boolean[])
                AS n (tenant_id, integration_id, external_id, oldest, truncated)
            JOIN LATERAL (
                SELECT id, created FROM work_items
                WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND external_id = n.external_id LIMIT 1
            ) w ON true
        ) d
        JOIN LATERAL (
            SELECT id, external_id, transition_change_date, transition_start_date FROM changelogs
            WHERE tenant_id = d.tenant_id AND integration_id = d.integration_id AND work_item_id = d.id OFFSET 0
        ) c ON true
        WINDOW changes AS (
            PARTITION BY d.id ORDER BY c.transition_change_date, length(c.external_id), c.external_id COLLATE \"C\"
        )
    ) o
) n
WHERE t.id = n.id AND t.tenant_id = n.tenant_id
    AND ROW(t.transition_start_date, t.time_in_status_seconds) IS DISTINCT FROM ROW(n.start, n.seconds)";

pub(super) fn write(rows: &IssueRows) -> Vec<Write> {
    type Row<'a> = (&'a str, &'a Change);
    let given = |(_, change): &Row<'_>| mask(&[change.changed_by.is_some()]);
    by_mask(&rows.changes(), (TABLE.name, &UPSERT, &LOCK), given, |rows| {
        vec![
            field(rows, |(issue, _): &Row<'_>| (*issue).to_owned()),
            field(rows, |(_, change): &Row<'_>| change.from.clone()),
            field(rows, |(_, change): &Row<'_>| change.to.clone()),
            field(rows, |(_, change): &Row<'_>| change.at),
            field(rows, |(_, change): &Row<'_>| change.start),
            field(rows, |(_, change): &Row<'_>| change.seconds()),
            field(rows, |(_, change): &Row<'_>| change.changed_by.clone().flatten()),
        ]
    })
}

pub(super) fn write_starts(issues: &BTreeMap<Key, Issue>) -> Option<Write> {
    if issues.is_empty() {
        return None;
    }
    let mut parameters = keys(issues.keys());
    parameters.push(column(issues.values().map(|issue| issue.coverage.map(|coverage| coverage.oldest))));
    parameters.push(column(issues.values().map(|issue| issue.coverage.is_some_and(|coverage| coverage.truncated))));
    Some(Write { table: TABLE.name, sql: STARTS, parameters })
}
