//! `wits` and `projects_wits`

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{
    columns::{column, scopes},
    upsert::{Column, Table, by_mask, field, mask},
    write::Write,
};
use crate::job::rows::{Key, ProjectWit, Wit};

const WITS: Table = Table {
    name: "wits",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("original_name", "text"),
        Column::new("description", "text").if_given_else(0, "''"),
        Column::new("hierarchy_level", "int").if_given_else(1, "0"),
        Column::computed("wits_mapping_id", "m.id"),
    ],
    joins: "LEFT JOIN LATERAL (
    SELECT id FROM wits_mappings
    WHERE tenant_id = n.tenant_id AND lower(wit_from) = lower(n.original_name) AND active
    ORDER BY wit_from = n.original_name DESC, id LIMIT 1
) m ON true",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| WITS.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| WITS.lock());

const PROJECTS_WITS: Table = Table {
    name: "projects_wits",
    key: &["project_id", "wit_id"],
    columns: &[
        Column::input("project", "text"),
        Column::input("wit", "text"),
        Column::computed("project_id", "p.id"),
        Column::computed("wit_id", "w.id"),
    ],
    joins: "JOIN LATERAL (
    SELECT * FROM projects
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.project) LIMIT 1
) p ON true
JOIN LATERAL (
    SELECT * FROM wits
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.wit) LIMIT 1
) w ON true",
    newer_by: None,
};
static RELATE: LazyLock<String> = LazyLock::new(|| PROJECTS_WITS.upsert());

pub(super) fn write(rows: &BTreeMap<Key, Wit>) -> Vec<Write> {
    let given = |row: &Wit| mask(&[row.description.is_some(), row.hierarchy_level.is_some()]);
    by_mask(rows, (WITS.name, &UPSERT, &LOCK), given, |rows| {
        vec![
            field(rows, |row: &Wit| row.original_name.clone()),
            field(rows, |row: &Wit| row.description.clone().flatten()),
            field(rows, |row: &Wit| row.hierarchy_level),
        ]
    })
}

pub(super) fn write_relations(rows: &BTreeSet<ProjectWit>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = scopes(rows.iter().map(|row| &row.scope));
    parameters.push(column(rows.iter().map(|row| row.project.clone())));
    parameters.push(column(rows.iter().map(|row| row.wit.clone())));
    Some(Write { table: PROJECTS_WITS.name, sql: &RELATE, parameters })
}
