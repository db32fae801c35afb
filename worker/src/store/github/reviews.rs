//! `prs_reviews`

use std::{collections::BTreeMap, sync::LazyLock};

use super::given::given_columns;
use crate::{
    job::rows::{
        Key,
        github::{Review, ReviewColumns},
    },
    store::{
        columns::{Parameter, keys},
        upsert::{Column, Table, field},
        write::Write,
    },
};

const TABLE: Table = Table {
    name: "prs_reviews",
    key: &["external_id"],
    columns: COLUMNS,
    joins: "JOIN LATERAL (
    SELECT * FROM prs
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.pr) LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT * FROM prs_reviews
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.external_id) LIMIT 1
) o ON true",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());

given_columns! {
    Review, ReviewColumns,
    [
        Column::new("external_id", "text"),
        Column::input("pr", "text"),
        Column::computed("pr_id", "p.id").once(),
    ],
    0 author_login "text",
    1 state "text",
    2 body "text",
    3 submitted_at "timestamptz",
}

pub(super) fn write(rows: &BTreeMap<Key, Review>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = keys(rows.keys());
    let rows: Vec<(&Key, &Review)> = rows.iter().collect();
    parameters.push(field(&rows, |row: &Review| row.pr.clone()));
    parameters.extend(given(&rows));
    Some(Write { table: TABLE.name, sql: &UPSERT, parameters })
}
