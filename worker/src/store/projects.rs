//! `projects`

use std::collections::BTreeMap;

use super::{
    columns::{column, keys},
    write::Write,
};
use crate::job::rows::{Key, Project};

const UPSERT: &str = "
INSERT INTO projects AS t (tenant_id, integration_id, external_id, key, name)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])
    AS n (tenant_id, integration_id, external_id, key, name)
ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, integration_id, external_id) DO UPDATE
SET key = excluded.key, name = excluded.name, last_updated_at = now()
WHERE (t.key, t.name) IS DISTINCT FROM (excluded.key, excluded.name)";

pub(super) fn write(rows: &BTreeMap<Key, Project>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = keys(rows.keys());
    parameters.push(column(rows.values().map(|row| row.key.clone())));
    parameters.push(column(rows.values().map(|row| row.name.clone())));
    Some(Write { table: "projects", sql: UPSERT, parameters })
}
