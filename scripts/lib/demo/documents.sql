-- Three tenants with a Jira integration each, and raw createmeta documents as an extraction leaves them behind:
-- :documents for tenant 2, one tenth of that for the others.
SET client_min_messages = warning;
CREATE SCHEMA demo;

CREATE FUNCTION demo.field(number int, name text, kind text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'required', false,
        'schema', jsonb_build_object('type', kind, 'custom',
            'com.atlassian.jira.plugin.system.customfieldtypes:' || kind || 'field', 'customId', number),
        'name', name,
        'key', 'customfield_' || number,
        'hasDefaultValue', false,
        'operations', CASE kind WHEN 'array' THEN '["add", "set", "remove"]'::jsonb ELSE '["set"]' END,
        'allowedValues', CASE kind WHEN 'option' THEN
            (SELECT jsonb_agg(jsonb_build_object('self', 'https://example.atlassian.net/rest/api/3/customFieldOption/' || v,
                'value', name || ' ' || v, 'id', v::text)) FROM generate_series(1, 12) v) END)
$$;

-- What every issue type of a document offers: the four fields with a meaning of their own, some that all documents share,
-- and one that ten documents in a row share.
CREATE FUNCTION demo.fields(document int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg('customfield_' || number, demo.field(number, name, kind))
        || '{"summary": {"required": true, "schema": {"type": "string", "system": "summary"}, "name": "Summary",
             "key": "summary", "operations": ["set"]}}'
    FROM (VALUES (10000, 'Development', 'any'), (10001, 'Team', 'team'), (10021, 'Sprint', 'array'),
                 (10024, 'Story Points', 'number'), (10030, 'Target start', 'date'), (10031, 'Target end', 'date'),
                 (10032, 'Severity', 'option'), (10033, 'Customer impact', 'option'), (10034, 'Root cause', 'string'),
                 (10035, 'Reviewer', 'user'), (10036, 'Cost centre', 'option'), (10037, 'Größe', 'number'),
                 (20000 + document / 10, 'Release checklist ' || document / 10, 'option')) f (number, name, kind)
$$;

CREATE FUNCTION demo.project(number int, key text, name text, types int, fields jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('expand', 'issuetypes', 'id', number::text, 'key', key, 'name', name,
        'self', 'https://example.atlassian.net/rest/api/3/project/' || number,
        'avatarUrls', jsonb_build_object('48x48', 'https://example.atlassian.net/avatar/' || number),
        'issuetypes', (
            SELECT jsonb_agg(jsonb_build_object('id', (10100 + t)::text, 'name', type, 'untranslatedName', type,
                'description', 'Issues of the kind ' || type, 'subtask', level = -1, 'hierarchyLevel', level,
                'expand', 'fields', 'fields', fields) ORDER BY t)
            FROM (VALUES (1, 'Epic', 1), (2, 'Story', 0), (3, 'Task', 0), (4, 'Bug', 0), (5, 'Sub-task', -1),
                         (6, 'Incident', 0)) k (t, type, level)
            WHERE t <= types))
$$;

-- One project that is in every document of the tenant, and one of the document's own.
CREATE FUNCTION demo.createmeta(tenant bigint, document int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('expand', 'projects', 'projects', jsonb_build_array(
        demo.project(10001, 'CORE', 'Core platform', 6, fields),
        demo.project(30000 + document, 'T' || tenant || 'P' || document, 'Project ' || document, 3 + document % 4, fields)))
    FROM demo.fields(document) fields
$$;

INSERT INTO tenants (name) VALUES ('Acme Logistics'), ('Borealis Bank'), ('Cobalt Games');
INSERT INTO integrations (tenant_id, name) SELECT id, 'Jira' FROM tenants ORDER BY id;
INSERT INTO raw_extraction_data (tenant_id, integration_id, type, raw_data)
SELECT i.tenant_id, i.id, 'jira_custom_fields', demo.createmeta(i.tenant_id, document)
FROM integrations i,
     generate_series(1, CASE i.tenant_id WHEN 2 THEN :documents ELSE :documents / 10 END) document
ORDER BY i.tenant_id, document;
