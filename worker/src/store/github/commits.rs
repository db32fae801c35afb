//! `prs_commits`

use std::{collections::BTreeMap, sync::LazyLock};

use super::given::given_columns;
use crate::{
    job::rows::github::{Commit, CommitColumns, CommitKey},
    store::{
        columns::{Parameter, column, scopes},
        upsert::{Column, Table, field},
        write::Write,
    },
};

const TABLE: Table = Table {
    name: "prs_commits",
    key: &["pr_id", "external_id"],
    columns: COLUMNS,
    joins: "JOIN LATERAL (
    SELECT * FROM prs
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.pr) LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT * FROM prs_commits
    WHERE (tenant_id, integration_id, pr_id, external_id) = (n.tenant_id, n.integration_id, p.id, n.external_id) LIMIT 1
) o ON true",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());

given_columns! {
    Commit, CommitColumns,
    [
        Column::input("pr", "text"),
        Column::new("external_id", "text"),
        Column::computed("pr_id", "p.id"),
    ],
    0 author_name "text",
    1 author_email "text",
    2 committer_name "text",
    3 committer_email "text",
    4 message "text",
    5 authored_date "timestamptz",
    6 committed_date "timestamptz",
}

pub(super) fn write(rows: &BTreeMap<CommitKey, Commit>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = scopes(rows.keys().map(|key| &key.scope));
    parameters.push(column(rows.keys().map(|key| key.pr.clone())));
    parameters.push(column(rows.keys().map(|key| key.external_id.clone())));
    parameters.extend(given(&rows.iter().collect::<Vec<_>>()));
    Some(Write { table: TABLE.name, sql: &UPSERT, parameters })
}
