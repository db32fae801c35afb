//! The counts of a pull request, made of everything that is stored of it. Its row is locked since before the first of that was
//! written, so no other worker's part can be missing.

use std::collections::BTreeMap;

use crate::{
    job::rows::{Key, github::PullRequest},
    store::{columns::keys, write::Write},
};

const COUNT: &str = "
UPDATE prs AS t
SET commit_count = m.commit_count, discussion_comment_count = m.discussion_comment_count,
    review_comment_count = m.review_comment_count, reviewers = m.reviewers, first_review_at = m.first_review_at,
    review_cycles = m.review_cycles, rework_commit_count = m.rework_commit_count, last_updated_at = now()
FROM (
    SELECT p.tenant_id, p.integration_id, p.id, r.reviewers, r.first_review_at, r.review_cycles,
        c.commit_count, c.rework_commit_count, d.discussion_comment_count, d.review_comment_count
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS n (tenant_id, integration_id, external_id)
    JOIN LATERAL (
        SELECT * FROM prs
        WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.external_id) LIMIT 1
    ) p ON true
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT author_login)::int AS reviewers,
            min(submitted_at) FILTER (WHERE state IS DISTINCT FROM 'PENDING') AS first_review_at,
            (count(*) FILTER (WHERE state = 'CHANGES_REQUESTED'))::int AS review_cycles
        FROM prs_reviews WHERE (tenant_id, integration_id, pr_id) = (p.tenant_id, p.integration_id, p.id)
    ) AS r
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS commit_count,
            (count(*) FILTER (WHERE coalesce(committed_date, authored_date) > r.first_review_at))::int
                AS rework_commit_count
        FROM prs_commits WHERE (tenant_id, integration_id, pr_id) = (p.tenant_id, p.integration_id, p.id)
    ) AS c
    CROSS JOIN LATERAL (
        SELECT (count(*) FILTER (WHERE comment_type = 'discussion'))::int AS discussion_comment_count,
            (count(*) FILTER (WHERE comment_type = 'review'))::int AS review_comment_count
        FROM prs_comments WHERE (tenant_id, integration_id, pr_id) = (p.tenant_id, p.integration_id, p.id)
    ) AS d
) AS m
WHERE (t.tenant_id, t.integration_id, t.id) = (m.tenant_id, m.integration_id, m.id)
    AND ROW(t.commit_count, t.discussion_comment_count, t.review_comment_count, t.reviewers, t.first_review_at,
        t.review_cycles, t.rework_commit_count)
    IS DISTINCT FROM ROW(m.commit_count, m.discussion_comment_count, m.review_comment_count, m.reviewers,
        m.first_review_at, m.review_cycles, m.rework_commit_count)";

pub(super) fn write(rows: &BTreeMap<Key, PullRequest>) -> Option<Write> {
    (!rows.is_empty()).then(|| Write { table: "prs", sql: COUNT, parameters: keys(rows.keys()) })
}
