//! Which repository a pull request belongs to: found by its full name, without regard to case. Of several repositories of one
//! name it is the one with the greatest number, which is the newest.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    job::{
        Scope,
        rows::{GithubRows, Key, github::Repository},
    },
    store::{
        columns::{column, keys, scopes},
        write::Write,
    },
};

/// The repositories of the names in the arrays of tenants `$1`, integrations `$2` and this third one, as a table of
/// `tenant_id, integration_id, name, id, external_id`. Digits are compared as a number of any length.
macro_rules! repositories_named {
    ($names:literal) => {
        concat!(
            "(SELECT DISTINCT ON (w.tenant_id, w.integration_id, w.name)
        w.tenant_id, w.integration_id, w.name, b.id, b.external_id
    FROM (SELECT DISTINCT tenant_id, integration_id, lower(name) AS name
        FROM unnest($1::bigint[], $2::bigint[], ",
            $names,
            "::text[]) AS u (tenant_id, integration_id, name)) w
    CROSS JOIN LATERAL (
        SELECT * FROM repositories
        WHERE (tenant_id, integration_id, full_name_lower) = (w.tenant_id, w.integration_id, w.name) OFFSET 0
    ) b
    ORDER BY w.tenant_id, w.integration_id, w.name, b.external_id ~ '^[0-9]+$' DESC,
        length(ltrim(b.external_id, '0')) DESC, ltrim(b.external_id, '0') COLLATE \"C\" DESC, b.id)"
        )
    };
}
pub(super) use repositories_named;

// Neither of two workers sees what the other has not committed: one would store a pull request whose repository is not there,
// the other a repository that no pull request waits for, and they would never be linked. So of one integration, repositories
// are written alone and pull requests together. The locks end with the transaction.
const LOCK: &str = "
SELECT CASE WHEN alone THEN pg_advisory_xact_lock(lock) IS NULL ELSE pg_advisory_xact_lock_shared(lock) IS NULL END
FROM (
    SELECT hashtextextended(concat_ws('/', 'prs and repositories', tenant_id, integration_id), 0) AS lock, alone
    FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS n (tenant_id, integration_id, alone)
    ORDER BY 1
) AS locks";

const LINK: &str = concat!(
    "
UPDATE prs AS t SET repository_id = r.id, external_repo_id = r.external_id, last_updated_at = now()
FROM ",
    repositories_named!("$3"),
    " AS r
WHERE (t.tenant_id, t.integration_id, t.repo_full_name_lower) = (r.tenant_id, r.integration_id, r.name)
    AND t.repository_id IS NULL"
);

/// Comes before everything else.
pub(super) fn lock(rows: &GithubRows) -> Option<Write> {
    let alone: BTreeSet<Scope> = rows.repositories.keys().map(|key| key.scope).collect();
    let together = rows.prs.keys().map(|key| key.scope);
    let all: BTreeSet<Scope> = alone.iter().copied().chain(together).collect();
    if all.is_empty() {
        return None;
    }
    let mut parameters = scopes(all.iter());
    parameters.push(column(all.iter().map(|scope| alone.contains(scope))));
    Some(Write { table: "prs", sql: LOCK, parameters })
}

/// Links the pull requests that were there before their repository.
pub(super) fn write(repositories: &BTreeMap<Key, Repository>) -> Option<Write> {
    if repositories.is_empty() {
        return None;
    }
    let mut parameters = keys(repositories.keys());
    parameters[2] = column(repositories.values().map(|row| row.full_name.clone()));
    Some(Write { table: "prs", sql: LINK, parameters })
}
