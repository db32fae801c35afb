//! `custom_fields` and `custom_fields_mappings`

use std::collections::{BTreeMap, BTreeSet};

use super::{
    columns::{column, keys, scopes},
    write::Write,
};
use crate::job::{
    Scope,
    rows::{CustomField, Key},
    transform::SpecialFields,
};

// $7 and $8: whether type and operations are given, as with the description of a work item type.
const UPSERT: &str = "
INSERT INTO custom_fields AS t (tenant_id, integration_id, external_id, name, field_type, operations)
SELECT n.tenant_id, n.integration_id, n.external_id, n.name,
    coalesce(n.field_type, 'string'), coalesce(n.operations::jsonb, '[]')
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS n (tenant_id, integration_id, external_id, name, field_type, operations)
ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, integration_id, external_id) DO UPDATE
SET name = excluded.name,
    field_type = CASE WHEN $7::bool THEN excluded.field_type ELSE t.field_type END,
    operations = CASE WHEN $8::bool THEN excluded.operations ELSE t.operations END,
    last_updated_at = now()
WHERE t.name IS DISTINCT FROM excluded.name
    OR ($7 AND t.field_type IS DISTINCT FROM excluded.field_type)
    OR ($8 AND t.operations IS DISTINCT FROM excluded.operations)";

// Fills only what is null, so an operator's choice stands; two workers that each found another field both get theirs in.
const MAP: &str = "
INSERT INTO custom_fields_mappings AS t
    (tenant_id, integration_id, team_field_id, development_field_id, sprints_field_id, story_points_field_id)
SELECT n.tenant_id, n.integration_id, team.id, development.id, sprints.id, story_points.id
FROM unnest($1::bigint[], $2::bigint[]) AS n (tenant_id, integration_id)
LEFT JOIN custom_fields team ON
    (team.tenant_id, team.integration_id, team.external_id) = (n.tenant_id, n.integration_id, $3)
LEFT JOIN custom_fields development ON
    (development.tenant_id, development.integration_id, development.external_id) = (n.tenant_id, n.integration_id, $4)
LEFT JOIN custom_fields sprints ON
    (sprints.tenant_id, sprints.integration_id, sprints.external_id) = (n.tenant_id, n.integration_id, $5)
LEFT JOIN custom_fields story_points ON
    (story_points.tenant_id, story_points.integration_id, story_points.external_id) = (n.tenant_id, n.integration_id, $6)
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
    let mut by_shape: BTreeMap<(bool, bool), Vec<(&Key, &CustomField)>> = BTreeMap::new();
    for (key, field) in rows {
        by_shape.entry((field.field_type.is_some(), field.operations.is_some())).or_default().push((key, field));
    }
    by_shape
        .into_iter()
        .map(|((field_type, operations), rows)| {
            let mut parameters = keys(rows.iter().map(|(key, _)| *key));
            parameters.push(column(rows.iter().map(|(_, field)| field.name.clone())));
            parameters.push(column(rows.iter().map(|(_, field)| field.field_type.clone())));
            parameters.push(column(rows.iter().map(|(_, field)| field.operations.clone())));
            parameters.push(Box::new(field_type));
            parameters.push(Box::new(operations));
            Write { table: "custom_fields", sql: UPSERT, parameters }
        })
        .collect()
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
