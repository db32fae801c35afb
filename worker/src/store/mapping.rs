//! Which custom fields of an integration fill which columns, for transforms that need to know beforehand.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::job::{FieldMapping, Scope, context::MAPPED_COLUMNS};

/// One row for each integration that has a mapping: the external ids of the four special fields, then those of the columns.
pub(super) const READ: &str = "
SELECT m.tenant_id, m.integration_id, team.external_id, sprints.external_id, development.external_id, points.external_id,
    ARRAY(SELECT f.external_id
        FROM unnest(ARRAY[
            m.custom_field_01_id, m.custom_field_02_id, m.custom_field_03_id, m.custom_field_04_id, m.custom_field_05_id,
            m.custom_field_06_id, m.custom_field_07_id, m.custom_field_08_id, m.custom_field_09_id, m.custom_field_10_id,
            m.custom_field_11_id, m.custom_field_12_id, m.custom_field_13_id, m.custom_field_14_id, m.custom_field_15_id,
            m.custom_field_16_id, m.custom_field_17_id, m.custom_field_18_id, m.custom_field_19_id, m.custom_field_20_id])
            WITH ORDINALITY AS c (field_id, place)
        LEFT JOIN custom_fields f ON
            f.id = c.field_id AND f.tenant_id = m.tenant_id AND f.integration_id = m.integration_id
        ORDER BY c.place)
FROM custom_fields_mappings m
LEFT JOIN custom_fields team ON
    team.id = m.team_field_id AND team.tenant_id = m.tenant_id AND team.integration_id = m.integration_id
LEFT JOIN custom_fields sprints ON
    sprints.id = m.sprints_field_id AND sprints.tenant_id = m.tenant_id AND sprints.integration_id = m.integration_id
LEFT JOIN custom_fields development ON development.id = m.development_field_id
    AND development.tenant_id = m.tenant_id AND development.integration_id = m.integration_id
LEFT JOIN custom_fields points ON
    points.id = m.story_points_field_id AND points.tenant_id = m.tenant_id AND points.integration_id = m.integration_id
WHERE (m.tenant_id, m.integration_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))";

/// The mappings by integration.
pub(super) fn read(rows: &[Row]) -> Result<BTreeMap<Scope, FieldMapping>, tokio_postgres::Error> {
    rows.iter().map(one).collect()
}

fn one(row: &Row) -> Result<(Scope, FieldMapping), tokio_postgres::Error> {
    let tenant: i64 = row.try_get(0)?;
    let scope = Scope {
        // The statement asked for tenants that are valid.
        tenant: tenant.try_into().expect("a tenant that was asked for"),
        integration: row.try_get(1)?,
    };
    let columns: Vec<Option<String>> = row.try_get(6)?;
    let mut custom: [Option<String>; MAPPED_COLUMNS] = Default::default();
    for (place, field) in custom.iter_mut().zip(columns) {
        *place = field;
    }
    let mapping = FieldMapping {
        team: row.try_get(2)?,
        sprints: row.try_get(3)?,
        development: row.try_get(4)?,
        story_points: row.try_get(5)?,
        custom,
    };
    Ok((scope, mapping))
}
