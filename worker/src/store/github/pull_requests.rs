//! `prs`
//!
//! Every pull request is there as a placeholder before anything else is said of it, in the order of the keys: so all of them can
//! be locked, the new ones too, and a page needs no pull request of its own.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{given::given_columns, links::repositories_named};
use crate::{
    job::rows::{
        Key,
        github::{PullRequest, PullRequestColumns, WholePullRequest},
    },
    store::{
        columns::{Parameter, column, keys},
        upsert::{Column, Table, field},
        write::Write,
    },
};

const PLACEHOLDERS: Table = Table {
    name: "prs",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("repo_full_name", "text").once(),
        Column::computed("repository_id", "r.id").once(),
        Column::computed("external_repo_id", "r.external_id").once(),
        Column::computed("active", "false").once(),
    ],
    joins: concat!(
        "LEFT JOIN ",
        repositories_named!("$4"),
        " AS r ON (r.tenant_id, r.integration_id, r.name) = (n.tenant_id, n.integration_id, lower(n.repo_full_name))"
    ),
    newer_by: None,
};
static INSERT: LazyLock<String> = LazyLock::new(|| PLACEHOLDERS.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| PLACEHOLDERS.lock());

const WHOLE: Table = Table {
    name: "prs",
    key: &["external_id"],
    columns: COLUMNS,
    joins: concat!(
        "LEFT JOIN ",
        repositories_named!("$4"),
        " AS r ON (r.tenant_id, r.integration_id, r.name) = (n.tenant_id, n.integration_id, lower(n.repo_full_name))
LEFT JOIN LATERAL (
    SELECT * FROM prs
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.external_id) LIMIT 1
) o ON true"
    ),
    newer_by: Some("pr_updated_at"),
};
static UPSERT: LazyLock<String> = LazyLock::new(|| WHOLE.upsert());

given_columns! {
    WholePullRequest, PullRequestColumns,
    [
        Column::new("external_id", "text"),
        Column::new("repo_full_name", "text"),
        // What is not known any more, because the repository has another name now, was known before.
        Column::computed("repository_id", "r.id").if_not_null(),
        Column::computed("external_repo_id", "r.external_id").if_not_null(),
        Column::computed("active", "true"),
    ],
    0 number "int",
    1 name "text",
    2 user_name "text",
    3 body "text",
    4 source "text",
    5 destination "text",
    6 status "text",
    7 pr_created_at "timestamptz",
    8 pr_updated_at "timestamptz",
    9 closed_at "timestamptz",
    10 merged_at "timestamptz",
    11 additions "int",
    12 deletions "int",
    13 changed_files "int",
}

pub(super) fn write(rows: &BTreeMap<Key, PullRequest>) -> Vec<Write> {
    if rows.is_empty() {
        return Vec::new();
    }
    let write = |sql, parameters| Write { table: WHOLE.name, sql, parameters };
    let mut placeholders = keys(rows.keys());
    placeholders.push(column(rows.values().map(|row| row.repo_full_name.clone())));
    let mut writes = vec![write(&INSERT, placeholders), write(&LOCK, keys(rows.keys()))];

    let whole: Vec<(&Key, &WholePullRequest)> =
        rows.iter().filter_map(|(key, row)| Some((key, row.whole.as_ref()?))).collect();
    if !whole.is_empty() {
        let mut parameters = keys(whole.iter().map(|(key, _)| *key));
        parameters.push(field(&whole, |row: &WholePullRequest| row.repo_full_name.clone()));
        parameters.extend(given(&whole));
        writes.push(write(&UPSERT, parameters));
    }
    writes
}
