//! `custom_fields` and `custom_fields_mappings`

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{
    columns::scopes,
    upsert::{Column, Table, by_mask, field, mask},
    write::Write,
};
use crate::job::{
    Scope,
    rows::{CustomField, Key},
    transform::SpecialFields,
};

const TABLE: Table = Table {
    name: "custom_fields",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("name", "text"),
        // Where the type is not given, the row carries what a new field gets.
        Column::new("field_type", "text").if_given(0),
        Column::new("operations", "text").stored_as("n.operations::jsonb").if_given_else(1, "'[]'"),
    ],
    joins: "",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| TABLE.lock());

// Fills only what is null, so an operator's choice stands; two workers that each found another field both get theirs in.
const MAP: &str = "
INSERT INTO custom_fields_mappings AS t
    (tenant_id, integration_id, team_field_id, development_field_id, sprints_field_id, story_points_field_id)
SELECT n.tenant_id, n.integration_id, team.id, development.id, sprints.id, story_points.id
FROM unnest($1::bigint[], $2::bigint[]) AS n (tenant_id, integration_id)
LEFT JOIN LATERAL (
    SELECT * FROM custom_fields
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, $3) LIMIT 1
) team ON true
LEFT JOIN LATERAL (
    SELECT * FROM custom_fields
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, $4) LIMIT 1
) development ON true
LEFT JOIN LATERAL (
    SELECT * FROM custom_fields
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, $5) LIMIT 1
) sprints ON true
LEFT JOIN LATERAL (
    SELECT * FROM custom_fields
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, $6) LIMIT 1
) story_points ON true
ORDER BY 1, 2
ON CONFLICT (tenant_id, integration_id) DO UPDATE
SET team_field_id = coalesce(t.team_field_id, excluded.team_field_id),
    development_field_id = coalesce(t.development_field_id, excluded.development_field_id),
    sprints_field_id = coalesce(t.sprints_field_id, excluded.sprints_field_id),
    story_points_field_id = coalesce(t.story_points_field_id, excluded.story_points_field_id),
    last_updated_at = now()
WHERE (t.team_field_id IS NULL AND excluded.team_field_id IS NOT NULL)
    OR (t.development_field_id IS NULL AND excluded.development_field_id IS NOT NULL)
    OR (t.sprints_field_id IS NULL AND excluded.sprints_field_id IS NOT NULL)
    OR (t.story_points_field_id IS NULL AND excluded.story_points_field_id IS NOT NULL)";

pub(super) fn write(rows: &BTreeMap<Key, CustomField>) -> Vec<Write> {
    let given = |row: &CustomField| mask(&[row.field_type.is_some(), row.operations.is_some()]);
    by_mask(rows, (TABLE.name, &UPSERT, &LOCK), given, |rows| {
        vec![
            field(rows, |row: &CustomField| row.name.clone()),
            field(rows, |row: &CustomField| row.field_type.clone().unwrap_or_else(|| row.default_type.to_owned())),
            field(rows, |row: &CustomField| row.operations.clone()),
        ]
    })
}

pub(super) fn write_mappings(rows: &BTreeSet<Scope>, special: &SpecialFields) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = scopes(rows.iter());
    for id in [&special.team, &special.development, &special.sprints, &special.story_points] {
        parameters.push(Box::new(id.clone()));
    }
    Some(Write { table: "custom_fields_mappings", sql: MAP, parameters })
}
