-- What must stand in the final tables, computed from the raw documents alone, against what stands there.
CREATE TEMPORARY TABLE expected AS
WITH projects AS MATERIALIZED (
    SELECT tenant_id, p ->> 'id' AS project, p ->> 'key' AS key, p ->> 'name' AS name, p
    FROM raw_extraction_data, jsonb_array_elements(raw_data -> 'projects') p
), types AS MATERIALIZED (
    SELECT tenant_id, project, t ->> 'id' AS type, t ->> 'name' AS name, t -> 'hierarchyLevel' AS level, t
    FROM projects, jsonb_array_elements(p -> 'issuetypes') t
), fields AS (
    SELECT tenant_id, f.key AS field, f.value ->> 'name' AS name, f.value #>> '{schema,type}' AS kind
    FROM types, jsonb_each(t -> 'fields') f WHERE f.key LIKE 'customfield\_%'
)
SELECT DISTINCT 'projects' AS "table", tenant_id, concat_ws('|', project, key, name) AS row FROM projects
UNION SELECT 'wits', tenant_id, concat_ws('|', type, name, level) FROM types
UNION SELECT 'projects_wits', tenant_id, concat_ws('|', project, type) FROM types
UNION SELECT 'custom_fields', tenant_id, concat_ws('|', field, name, kind) FROM fields
UNION SELECT 'custom_fields_mappings', tenant_id,
             'customfield_10000|customfield_10001|customfield_10021|customfield_10024' FROM raw_extraction_data;

CREATE TEMPORARY TABLE stored AS
SELECT 'projects' AS "table", tenant_id, concat_ws('|', external_id, key, name) AS row FROM projects
UNION ALL SELECT 'wits', tenant_id, concat_ws('|', external_id, original_name, hierarchy_level) FROM wits
UNION ALL SELECT 'projects_wits', r.tenant_id, concat_ws('|', p.external_id, w.external_id)
    FROM projects_wits r JOIN projects p ON p.id = r.project_id JOIN wits w ON w.id = r.wit_id
UNION ALL SELECT 'custom_fields', tenant_id, concat_ws('|', external_id, name, field_type) FROM custom_fields
UNION ALL SELECT 'custom_fields_mappings', m.tenant_id,
             concat_ws('|', d.external_id, t.external_id, s.external_id, p.external_id)
    FROM custom_fields_mappings m LEFT JOIN custom_fields d ON d.id = development_field_id
    LEFT JOIN custom_fields t ON t.id = team_field_id LEFT JOIN custom_fields s ON s.id = sprints_field_id
    LEFT JOIN custom_fields p ON p.id = story_points_field_id;

SELECT coalesce(e."table", s."table") AS "table",
       coalesce(e.tenant_id, s.tenant_id) AS tenant,
       count(e.row) AS expected, count(s.row) AS stored,
       count(*) FILTER (WHERE s.row IS NULL) AS missing,
       count(*) FILTER (WHERE e.row IS NULL) AS unexpected
FROM expected e FULL JOIN stored s ON (s."table", s.tenant_id, s.row) = (e."table", e.tenant_id, e.row)
GROUP BY 1, 2 ORDER BY 1, 2;
