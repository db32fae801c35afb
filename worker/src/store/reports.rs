//! What sprint reports write into `sprints` and `work_items_sprints`.

use super::{
    columns::{Parameter, column, keys, scopes},
    write::Write,
};
use crate::job::{
    reading::Moment,
    rows::{Estimate, Key, NewSprint, Report, ReportRows, Reported},
};

// A sprint that is stored keeps all that is not the report's, and the report of another board changes nothing. Without name and
// state only a stored sprint's can stand in, so that nothing is inserted.
const SPRINTS: &str = "
INSERT INTO sprints AS t (tenant_id, integration_id, external_id, name, state, goal, start_date, end_date, complete_date,
    board_id, completed_estimate, not_completed_estimate, punted_estimate, total_estimate, completion_percentage, velocity,
    scope_change_count, carry_over_count)
SELECT n.tenant_id, n.integration_id, n.external_id, coalesce(n.name, s.name), coalesce(n.state, s.state), n.goal,
    n.start_date, n.end_date, n.complete_date, n.board_id, n.completed, n.not_completed, n.punted, n.total, n.percentage,
    n.completed, n.scope_changes, n.carried_over
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::float8[], $12::float8[], $13::float8[], $14::float8[],
    $15::float8[], $16::int[], $17::int[])
    AS n (tenant_id, integration_id, external_id, name, state, goal, start_date, end_date, complete_date, board_id,
        completed, not_completed, punted, total, percentage, scope_changes, carried_over)
LEFT JOIN LATERAL (
    SELECT * FROM sprints
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.external_id) LIMIT 1
) s ON true
WHERE coalesce(n.name, s.name) IS NOT NULL AND coalesce(n.state, s.state) IS NOT NULL
ORDER BY n.tenant_id, n.integration_id, n.external_id
ON CONFLICT (tenant_id, integration_id, external_id) DO UPDATE
SET board_id = coalesce(t.board_id, excluded.board_id),
    completed_estimate = excluded.completed_estimate,
    not_completed_estimate = excluded.not_completed_estimate,
    punted_estimate = excluded.punted_estimate,
    total_estimate = excluded.total_estimate,
    completion_percentage = excluded.completion_percentage,
    velocity = excluded.velocity,
    scope_change_count = excluded.scope_change_count,
    carry_over_count = excluded.carry_over_count,
    last_updated_at = now()
WHERE (t.board_id IS NULL OR excluded.board_id IS NULL OR t.board_id = excluded.board_id)
    AND ROW(t.board_id, t.completed_estimate, t.not_completed_estimate, t.punted_estimate, t.total_estimate,
        t.completion_percentage, t.velocity, t.scope_change_count, t.carry_over_count)
    IS DISTINCT FROM ROW(coalesce(t.board_id, excluded.board_id), excluded.completed_estimate,
        excluded.not_completed_estimate, excluded.punted_estimate, excluded.total_estimate,
        excluded.completion_percentage, excluded.velocity, excluded.scope_change_count, excluded.carry_over_count)";

// An issue that has left the sprint has no row from its sprint field, so it gets one here. Where there is no date for it, the
// stored row's is looked up, because a row without one is refused before it can be found to be there already. A key that a
// moved issue has left may be another one's by now: the younger one, whose number is greater.
const MEMBERSHIPS: &str = "
INSERT INTO work_items_sprints AS t (tenant_id, integration_id, work_item_id, sprint_id, added_date, sprint_outcome,
    added_during_sprint, committed, estimate_at_end)
SELECT n.tenant_id, n.integration_id, w.id, s.id, d.added_date, n.outcome, n.added,
    n.committed, n.estimate
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bool[], $8::bool[],
    $9::float8[])
    AS n (tenant_id, integration_id, sprint, board_id, issue_key, outcome, added, committed, estimate)
JOIN LATERAL (
    SELECT * FROM sprints
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.sprint) LIMIT 1
) s ON true
    AND (n.board_id IS NULL OR s.board_id = n.board_id)
JOIN LATERAL (
    SELECT id, created FROM work_items
    WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND key = n.issue_key
    ORDER BY length(external_id) DESC, external_id COLLATE \"C\" DESC LIMIT 1
) w ON true
JOIN LATERAL (
    SELECT coalesce(s.start_date, w.created, (
        SELECT m.added_date FROM work_items_sprints m
        WHERE m.tenant_id = n.tenant_id AND m.integration_id = n.integration_id AND m.work_item_id = w.id
            AND m.sprint_id = s.id)) AS added_date
) d ON d.added_date IS NOT NULL
ORDER BY n.tenant_id, n.integration_id, w.id, s.id
ON CONFLICT (tenant_id, integration_id, work_item_id, sprint_id) DO UPDATE
SET sprint_outcome = excluded.sprint_outcome,
    added_during_sprint = excluded.added_during_sprint,
    committed = excluded.committed,
    estimate_at_end = excluded.estimate_at_end,
    last_updated_at = now()
WHERE ROW(t.sprint_outcome, t.added_during_sprint, t.committed, t.estimate_at_end)
    IS DISTINCT FROM ROW(excluded.sprint_outcome, excluded.added_during_sprint, excluded.committed, excluded.estimate_at_end)";

pub(super) fn write_sprints(rows: &ReportRows) -> Option<Write> {
    let reports = &rows.reports;
    if reports.is_empty() {
        return None;
    }
    let mut parameters = keys(reports.keys());
    let new = |value: fn(&NewSprint) -> Option<String>| -> Parameter {
        column(reports.values().map(move |report| report.sprint.as_ref().and_then(value)))
    };
    parameters.push(new(|sprint| Some(sprint.name.clone())));
    parameters.push(new(|sprint| Some(sprint.state.clone())));
    parameters.push(new(|sprint| sprint.goal.clone()));
    let dates: [fn(&NewSprint) -> Option<Moment>; 3] =
        [|sprint| sprint.start_date, |sprint| sprint.end_date, |sprint| sprint.complete_date];
    for date in dates {
        parameters.push(column(reports.values().map(|report| report.sprint.as_ref().and_then(date))));
    }
    parameters.push(column(reports.values().map(|report| report.board_id)));
    let estimates: [fn(&Report) -> Option<Estimate>; 5] = [
        |report| report.completed_estimate,
        |report| report.not_completed_estimate,
        |report| report.punted_estimate,
        |report| report.total_estimate,
        Report::completion_percentage,
    ];
    for estimate in estimates {
        parameters.push(column(reports.values().map(|report| estimate(report).map(Estimate::get))));
    }
    parameters.push(column(reports.values().map(|report| report.scope_change_count)));
    parameters.push(column(reports.values().map(Report::carry_over_count)));
    Some(Write { table: "sprints", sql: SPRINTS, parameters })
}

pub(super) fn write_memberships(rows: &ReportRows) -> Option<Write> {
    let all: Vec<(&Key, &Report, &String, &Reported)> = (rows.reports.iter())
        .flat_map(|(sprint, report)| report.issues.iter().map(move |(key, issue)| (sprint, report, key, issue)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let mut parameters = scopes(all.iter().map(|(sprint, ..)| &sprint.scope));
    parameters.push(column(all.iter().map(|(sprint, ..)| sprint.external_id.clone())));
    parameters.push(column(all.iter().map(|(_, report, ..)| report.board_id)));
    parameters.push(column(all.iter().map(|(_, _, key, _)| (*key).clone())));
    parameters.push(column(all.iter().map(|(.., issue)| issue.sprint_outcome.as_str())));
    parameters.push(column(all.iter().map(|(.., issue)| issue.added_during_sprint)));
    parameters.push(column(all.iter().map(|(.., issue)| issue.is_committed())));
    parameters.push(column(all.iter().map(|(.., issue)| issue.estimate_at_end.map(Estimate::get))));
    Some(Write { table: "work_items_sprints", sql: MEMBERSHIPS, parameters })
}
