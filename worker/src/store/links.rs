//! `work_items_prs_links`

use super::{
    columns::{column, scopes},
    write::Write,
};
use crate::job::rows::LinkRows;

// Two names of one issue may bring the same link, hence the grouping: an upsert refuses to change a row twice. Where Jira did
// not name the repository, its full name stands in, which a known id never gives way to.
const UPSERT: &str = "
INSERT INTO work_items_prs_links AS t (tenant_id, integration_id, work_item_id, repo_full_name, pull_request_number,
    external_repo_id, branch_name, commit_sha, pr_status)
SELECT n.tenant_id, n.integration_id, w.id, n.repo, n.number,
    coalesce((array_agg(n.repo_id ORDER BY n.place DESC) FILTER (WHERE n.repo_id <> n.repo))[1], n.repo),
    (array_agg(n.branch ORDER BY n.place DESC) FILTER (WHERE n.branch IS NOT NULL))[1],
    (array_agg(n.commit ORDER BY n.place DESC) FILTER (WHERE n.commit IS NOT NULL))[1],
    (array_agg(n.status ORDER BY n.place DESC) FILTER (WHERE n.status IS NOT NULL))[1]
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[],
    $10::text[]) WITH ORDINALITY
    AS n (tenant_id, integration_id, issue_id, issue_key, repo, number, repo_id, branch, commit, status, place)
JOIN LATERAL (
    SELECT id FROM (
        SELECT id, true AS by_id, external_id FROM work_items
        WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND external_id = n.issue_id
        UNION ALL
        SELECT id, false, external_id FROM work_items
        WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND key = n.issue_key
    ) found
    ORDER BY by_id DESC, length(external_id) DESC, external_id COLLATE \"C\" DESC LIMIT 1
) w ON true
GROUP BY n.tenant_id, n.integration_id, w.id, n.repo, n.number
ORDER BY n.tenant_id, n.integration_id, w.id, n.repo, n.number
ON CONFLICT (tenant_id, integration_id, work_item_id, repo_full_name, pull_request_number) DO UPDATE
SET external_repo_id = CASE WHEN excluded.external_repo_id = t.repo_full_name THEN t.external_repo_id
        ELSE excluded.external_repo_id END,
    branch_name = coalesce(excluded.branch_name, t.branch_name),
    commit_sha = coalesce(excluded.commit_sha, t.commit_sha),
    pr_status = coalesce(excluded.pr_status, t.pr_status),
    last_updated_at = now()
WHERE excluded.external_repo_id NOT IN (t.external_repo_id, t.repo_full_name)
    OR (excluded.branch_name IS NOT NULL AND excluded.branch_name IS DISTINCT FROM t.branch_name)
    OR (excluded.commit_sha IS NOT NULL AND excluded.commit_sha IS DISTINCT FROM t.commit_sha)
    OR (excluded.pr_status IS NOT NULL AND excluded.pr_status IS DISTINCT FROM t.pr_status)";

pub(super) fn write(rows: &LinkRows) -> Option<Write> {
    let links = &rows.links;
    if links.is_empty() {
        return None;
    }
    let mut parameters = scopes(links.keys().map(|key| &key.scope));
    parameters.push(column(links.keys().map(|key| key.issue.issue_id.clone())));
    parameters.push(column(links.keys().map(|key| key.issue.issue_key.clone())));
    parameters.push(column(links.keys().map(|key| key.repo_full_name.clone())));
    parameters.push(column(links.keys().map(|key| key.pull_request_number)));
    parameters.push(column(links.values().map(|link| link.external_repo_id.clone())));
    parameters.push(column(links.values().map(|link| link.branch_name.clone())));
    parameters.push(column(links.values().map(|link| link.commit_sha.clone())));
    parameters.push(column(links.values().map(|link| link.pr_status.clone())));
    Some(Write { table: "work_items_prs_links", sql: UPSERT, parameters })
}
