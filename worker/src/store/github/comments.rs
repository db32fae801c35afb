//! `prs_comments`

use std::{collections::BTreeMap, sync::LazyLock};

use super::given::given_columns;
use crate::{
    job::rows::{
        Key,
        github::{Comment, CommentColumns},
    },
    store::{
        columns::{Parameter, keys},
        upsert::{Column, Table, field},
        write::Write,
    },
};

const TABLE: Table = Table {
    name: "prs_comments",
    key: &["external_id"],
    columns: COLUMNS,
    joins: "JOIN LATERAL (
    SELECT * FROM prs
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.pr) LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT * FROM prs_comments
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.external_id) LIMIT 1
) o ON true",
    newer_by: Some("updated_at_github"),
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());

given_columns! {
    Comment, CommentColumns,
    [
        Column::new("external_id", "text"),
        Column::input("pr", "text"),
        Column::computed("pr_id", "p.id").once(),
        Column::new("comment_type", "text"),
    ],
    0 author_login "text",
    1 body "text",
    2 path "text",
    3 position "int",
    4 line "int",
    5 created_at_github "timestamptz",
    6 updated_at_github "timestamptz",
}

pub(super) fn write(rows: &BTreeMap<Key, Comment>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = keys(rows.keys());
    let rows: Vec<(&Key, &Comment)> = rows.iter().collect();
    parameters.push(field(&rows, |row: &Comment| row.pr.clone()));
    parameters.push(field(&rows, |row: &Comment| row.comment_type));
    parameters.extend(given(&rows));
    Some(Write { table: TABLE.name, sql: &UPSERT, parameters })
}
