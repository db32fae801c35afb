//! `wits` and `projects_wits`

use std::collections::{BTreeMap, BTreeSet};

use super::{
    columns::{column, keys, scopes},
    write::Write,
};
use crate::job::rows::{Key, ProjectWit, Wit};

// $7 and $8 say whether these rows carry a description and a level at all: what is not given is defaulted where the row is new
// and kept where it is not. They are flags of the statement and not of the row, because an upsert sees nothing of a row but its
// columns, and reading the stored values beforehand would race with another worker.
const UPSERT: &str = "
INSERT INTO wits AS t
    (tenant_id, integration_id, external_id, original_name, description, hierarchy_level, wits_mapping_id)
SELECT n.tenant_id, n.integration_id, n.external_id, n.original_name,
    CASE WHEN $7::bool THEN n.description ELSE '' END, coalesce(n.hierarchy_level, 0), m.id
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[])
    AS n (tenant_id, integration_id, external_id, original_name, description, hierarchy_level)
LEFT JOIN LATERAL (
    SELECT id FROM wits_mappings
    WHERE tenant_id = n.tenant_id AND lower(wit_from) = lower(n.original_name) AND active
    ORDER BY wit_from = n.original_name DESC, id LIMIT 1
) m ON true
ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, integration_id, external_id) DO UPDATE
SET original_name = excluded.original_name,
    description = CASE WHEN $7 THEN excluded.description ELSE t.description END,
    hierarchy_level = CASE WHEN $8::bool THEN excluded.hierarchy_level ELSE t.hierarchy_level END,
    wits_mapping_id = excluded.wits_mapping_id,
    last_updated_at = now()
WHERE (t.original_name, t.wits_mapping_id) IS DISTINCT FROM (excluded.original_name, excluded.wits_mapping_id)
    OR ($7 AND t.description IS DISTINCT FROM excluded.description)
    OR ($8 AND t.hierarchy_level IS DISTINCT FROM excluded.hierarchy_level)";

const RELATE: &str = "
INSERT INTO projects_wits (tenant_id, integration_id, project_id, wit_id)
SELECT p.tenant_id, p.integration_id, p.id, w.id
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS n (tenant_id, integration_id, project, wit)
JOIN projects p ON (p.tenant_id, p.integration_id, p.external_id) = (n.tenant_id, n.integration_id, n.project)
JOIN wits w ON (w.tenant_id, w.integration_id, w.external_id) = (n.tenant_id, n.integration_id, n.wit)
ORDER BY 1, 2, 3, 4
ON CONFLICT (tenant_id, integration_id, project_id, wit_id) DO NOTHING";

pub(super) fn write(rows: &BTreeMap<Key, Wit>) -> Vec<Write> {
    let mut by_shape: BTreeMap<(bool, bool), Vec<(&Key, &Wit)>> = BTreeMap::new();
    for (key, wit) in rows {
        by_shape.entry((wit.description.is_some(), wit.hierarchy_level.is_some())).or_default().push((key, wit));
    }
    by_shape
        .into_iter()
        .map(|((description, level), rows)| {
            let mut parameters = keys(rows.iter().map(|(key, _)| *key));
            parameters.push(column(rows.iter().map(|(_, wit)| wit.original_name.clone())));
            parameters.push(column(rows.iter().map(|(_, wit)| wit.description.clone().flatten())));
            parameters.push(column(rows.iter().map(|(_, wit)| wit.hierarchy_level)));
            parameters.push(Box::new(description));
            parameters.push(Box::new(level));
            Write { table: "wits", sql: UPSERT, parameters }
        })
        .collect()
}

pub(super) fn write_relations(rows: &BTreeSet<ProjectWit>) -> Option<Write> {
    if rows.is_empty() {
        return None;
    }
    let mut parameters = scopes(rows.iter().map(|row| &row.scope));
    parameters.push(column(rows.iter().map(|row| row.project.clone())));
    parameters.push(column(rows.iter().map(|row| row.wit.clone())));
    Some(Write { table: "projects_wits", sql: RELATE, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Scope;

    #[test]
    fn rows_of_one_shape_share_a_statement() {
        let scope = Scope { tenant: 7.try_into().unwrap(), integration: 1 };
        let key = |n: i32| Key { scope, external_id: n.to_string() };
        let wit = |description: Option<Option<&str>>, hierarchy_level| Wit {
            original_name: "Bug".to_owned(),
            description: description.map(|text| text.map(str::to_owned)),
            hierarchy_level,
        };
        let mut rows: BTreeMap<Key, Wit> = (0..50).map(|n| (key(n), wit(Some(Some("d")), Some(0)))).collect();
        assert_eq!(write(&rows).len(), 1);
        rows.insert(key(60), wit(None, Some(0)));
        rows.insert(key(61), wit(Some(None), None));
        assert_eq!(write(&rows).len(), 3);
        assert!(write(&BTreeMap::new()).is_empty());
    }
}
