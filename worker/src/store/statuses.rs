//! `statuses` and `projects_statuses`

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{
    columns::{column, scopes},
    upsert::{Column, Table, by_mask, field, mask},
    write::Write,
};
use crate::job::rows::{Key, NO_CATEGORY, ProjectName, ProjectStatus, Status};

const STATUSES: Table = Table {
    name: "statuses",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("original_name", "text"),
        // Where the category is not given, the row carries what a new status gets.
        Column::new("category", "text").if_given(0),
        Column::new("description", "text").if_given(1),
        Column::computed("status_mapping_id", "m.id"),
    ],
    joins: "LEFT JOIN statuses_mappings m ON
    m.tenant_id = n.tenant_id AND m.status_from = n.original_name AND m.active",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| STATUSES.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| STATUSES.lock());

// A key that a renamed project has left may be another one's by now: the younger one, whose number is greater.
const PROJECTS_STATUSES: Table = Table {
    name: "projects_statuses",
    key: &["project_id", "status_id"],
    columns: &[
        Column::input("project_key", "text"),
        Column::input("project", "text"),
        Column::input("status", "text"),
        Column::computed("project_id", "p.id"),
        Column::computed("status_id", "s.id"),
    ],
    joins: "JOIN LATERAL (
    SELECT id FROM projects
    WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND external_id = n.project
    UNION ALL
    (SELECT id FROM projects
    WHERE tenant_id = n.tenant_id AND integration_id = n.integration_id AND key = n.project_key
    ORDER BY length(external_id) DESC, external_id COLLATE \"C\" DESC LIMIT 1)
) p ON true
JOIN LATERAL (
    SELECT * FROM statuses
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.status) LIMIT 1
) s ON true",
    newer_by: None,
};
static RELATE: LazyLock<String> = LazyLock::new(|| PROJECTS_STATUSES.upsert());

pub(super) fn write(rows: &BTreeMap<Key, Status>) -> Vec<Write> {
    let given = |row: &Status| mask(&[row.category.is_some(), row.description.is_some()]);
    by_mask(rows, (STATUSES.name, &UPSERT, &LOCK), given, |rows| {
        vec![
            field(rows, |row: &Status| row.original_name.clone()),
            field(rows, |row: &Status| row.category.clone().unwrap_or_else(|| NO_CATEGORY.to_owned())),
            field(rows, |row: &Status| row.description.clone().flatten()),
        ]
    })
}

pub(super) fn write_relations(rows: &BTreeSet<ProjectStatus>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let names = rows.iter().map(|row| match &row.project {
        ProjectName::ProjectKey(key) => (Some(key.clone()), None),
        ProjectName::ProjectId(id) => (None, Some(id.clone())),
    });
    let mut parameters = scopes(rows.iter().map(|row| &row.scope));
    parameters.push(column(names.clone().map(|(key, _)| key)));
    parameters.push(column(names.map(|(_, id)| id)));
    parameters.push(column(rows.iter().map(|row| row.status.clone())));
    Some(Write { table: PROJECTS_STATUSES.name, sql: &RELATE, parameters })
}
