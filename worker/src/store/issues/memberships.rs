//! `work_items_sprints`, without what sprint reports say.

use crate::{
    job::rows::{IssueRows, Membership, Neighbours, Number},
    store::{
        columns::{column, scopes},
        write::Write,
    },
};

// Older news about an issue only adds what is missing. A history without a change of the estimate, or of the sprints, does not
// make one forgotten that an earlier and longer one has told of.
const UPSERT: &str = "
INSERT INTO work_items_sprints AS t (tenant_id, integration_id, work_item_id, sprint_id, added_date, removed_date,
    estimate_at_start, carried_over_from_sprint_id, carried_over_to_sprint_id)
SELECT n.tenant_id, n.integration_id, w.id, s.id, a.added,
    CASE WHEN n.added IS NOT NULL OR n.removed > a.added THEN n.removed END,
    CASE WHEN s.start_date IS NULL THEN NULL
        WHEN n.estimates IS NULL THEN coalesce(o.estimate_at_start, w.story_points)
        ELSE e.estimate
    END,
    CASE WHEN n.neighbours THEN before.id ELSE o.carried_over_from_sprint_id END,
    CASE WHEN n.neighbours THEN after.id ELSE o.carried_over_to_sprint_id END
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
        $8::text[], $9::boolean[], $10::text[], $11::text[])
    AS n (tenant_id, integration_id, issue, sprint, updated, added, removed, estimates, neighbours, before, after)
JOIN LATERAL (
    SELECT id, created, updated, story_points FROM work_items
    WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND external_id = n.issue LIMIT 1
) w ON true
JOIN LATERAL (
    SELECT * FROM sprints
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.sprint) LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT id, added_date, estimate_at_start, carried_over_from_sprint_id, carried_over_to_sprint_id FROM work_items_sprints
    WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND work_item_id = w.id AND sprint_id = s.id LIMIT 1
) o ON true
LEFT JOIN LATERAL (
    SELECT * FROM sprints
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.before) LIMIT 1
) before ON true
LEFT JOIN LATERAL (
    SELECT * FROM sprints
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.after) LIMIT 1
) after ON true
LEFT JOIN LATERAL (
    SELECT CASE WHEN c.at <= s.start_date THEN c.became ELSE c.was END AS estimate
    FROM (
        SELECT (l.item ->> 0)::timestamptz AS at, (l.item ->> 1)::float8 AS was, (l.item ->> 2)::float8 AS became, l.place
        FROM jsonb_array_elements(n.estimates::jsonb) WITH ORDINALITY AS l (item, place)
    ) c
    ORDER BY c.at <= s.start_date DESC, CASE WHEN c.at <= s.start_date THEN -c.place ELSE c.place END
    LIMIT 1
) e ON true
CROSS JOIN LATERAL (SELECT coalesce(n.added, o.added_date, s.start_date, w.created) AS added) a
WHERE a.added IS NOT NULL
    AND (o.id IS NULL OR n.updated IS NULL OR w.updated IS NULL OR n.updated >= w.updated)
ORDER BY n.tenant_id, n.integration_id, w.id, s.id
ON CONFLICT (tenant_id, integration_id, work_item_id, sprint_id) DO UPDATE
SET added_date = excluded.added_date, removed_date = excluded.removed_date,
    estimate_at_start = excluded.estimate_at_start,
    carried_over_from_sprint_id = excluded.carried_over_from_sprint_id,
    carried_over_to_sprint_id = excluded.carried_over_to_sprint_id, last_updated_at = now()
WHERE ROW(t.added_date, t.removed_date, t.estimate_at_start, t.carried_over_from_sprint_id, t.carried_over_to_sprint_id)
    IS DISTINCT FROM ROW(excluded.added_date, excluded.removed_date, excluded.estimate_at_start,
        excluded.carried_over_from_sprint_id, excluded.carried_over_to_sprint_id)";

pub(super) fn write(rows: &IssueRows) -> Option<Write> {
    let all = || rows.memberships();
    all().next()?;
    let neighbour = |of: fn(&Neighbours) -> &Option<String>| {
        column(all().map(move |(_, _, _, row)| row.neighbours.as_ref().and_then(|both| of(both).clone())))
    };
    let mut parameters = scopes(all().map(|(key, ..)| &key.scope));
    parameters.extend([
        column(all().map(|(key, ..)| key.external_id.clone())),
        column(all().map(|(_, _, sprint, _)| sprint.to_owned())),
        column(all().map(|(_, issue, ..)| issue.item.updated.flatten())),
        column(all().map(|(.., row)| row.added)),
        column(all().map(|(.., row)| row.removed)),
        column(all().map(|(.., row)| estimates(row))),
        column(all().map(|(.., row)| row.neighbours.is_some())),
        neighbour(|(before, _)| before),
        neighbour(|(_, after)| after),
    ]);
    Some(Write { table: "work_items_sprints", sql: UPSERT, parameters })
}

/// The changes of the estimate as JSON, which a row can carry as one value.
fn estimates(row: &Membership) -> Option<String> {
    if row.estimates.is_empty() {
        return None;
    }
    let change = |(at, from, to): &(_, Option<Number>, Option<Number>)| {
        serde_json::json!([at, from.map(Number::get), to.map(Number::get)])
    };
    Some(serde_json::Value::Array(row.estimates.iter().map(change).collect()).to_string())
}
