//! `repositories`

use std::{collections::BTreeMap, sync::LazyLock};

use super::given::given_columns;
use crate::{
    job::rows::{
        Key,
        github::{Repository, RepositoryColumns},
    },
    store::{
        columns::{Parameter, keys},
        upsert::{Column, Table, field},
        write::Write,
    },
};

const TABLE: Table = Table {
    name: "repositories",
    key: &["external_id"],
    columns: COLUMNS,
    joins: "LEFT JOIN LATERAL (
    SELECT * FROM repositories
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.external_id) LIMIT 1
) o ON true",
    newer_by: Some("repo_updated_at"),
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());

given_columns! {
    Repository, RepositoryColumns,
    [
        Column::new("external_id", "text"),
        Column::new("full_name", "text"),
        Column::new("topics", "text").stored_as("n.topics::jsonb"),
    ],
    0 name "text",
    1 owner "text",
    2 description "text",
    3 language "text",
    4 default_branch "text",
    5 visibility "text",
    6 is_private "boolean",
    7 archived "boolean",
    8 disabled "boolean",
    9 fork "boolean",
    10 is_template "boolean",
    11 allow_forking "boolean",
    12 web_commit_signoff_required "boolean",
    13 has_issues "boolean",
    14 has_wiki "boolean",
    15 has_discussions "boolean",
    16 has_projects "boolean",
    17 has_downloads "boolean",
    18 has_pages "boolean",
    19 license "text",
    20 stargazers_count "bigint",
    21 forks_count "bigint",
    22 open_issues_count "bigint",
    23 size "bigint",
    24 repo_created_at "timestamptz",
    25 repo_updated_at "timestamptz",
    26 pushed_at "timestamptz",
}

pub(super) fn write(rows: &BTreeMap<Key, Repository>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = keys(rows.keys());
    let rows: Vec<(&Key, &Repository)> = rows.iter().collect();
    parameters.push(field(&rows, |row: &Repository| row.full_name.clone()));
    parameters.push(field(&rows, |row: &Repository| row.topics.clone()));
    parameters.extend(given(&rows));
    Some(Write { table: TABLE.name, sql: &UPSERT, parameters })
}
