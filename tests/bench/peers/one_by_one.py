"""A worker as one writes it first: a message, a transaction, a statement for every row, an acknowledgement.

Usage: one_by_one.py QUEUE, with AMQP_URL and DATABASE_URL in the environment.
"""

import json
import sys

from createmeta import consume, database, rows

PREFETCH = 50

PROJECT = """
    INSERT INTO projects AS t (tenant_id, integration_id, external_id, key, name) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, integration_id, external_id)
    DO UPDATE SET key = excluded.key, name = excluded.name, last_updated_at = now() RETURNING id"""
TYPE = """
    INSERT INTO wits AS t (tenant_id, integration_id, external_id, original_name, description, hierarchy_level)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, integration_id, external_id)
    DO UPDATE SET original_name = excluded.original_name, description = excluded.description,
        hierarchy_level = excluded.hierarchy_level, last_updated_at = now() RETURNING id"""
PAIR = """
    INSERT INTO projects_wits (tenant_id, integration_id, project_id, wit_id) VALUES (%s, %s, %s, %s)
    ON CONFLICT DO NOTHING"""
FIELD = """
    INSERT INTO custom_fields AS t (tenant_id, integration_id, external_id, name, field_type, operations)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, integration_id, external_id)
    DO UPDATE SET name = excluded.name, field_type = excluded.field_type, operations = excluded.operations,
        last_updated_at = now()"""


def transform(cursor, message):
    tenant, integration, raw = message["tenant_id"], message["integration_id"], message["raw_data_id"]
    cursor.execute(
        "SELECT raw_data FROM raw_extraction_data WHERE id = %s AND tenant_id = %s AND status <> 'completed' FOR UPDATE",
        (raw, tenant),
    )
    found = cursor.fetchone()
    if found is None:
        return
    projects, types, pairs, fields = rows(found[0])
    project_ids, type_ids = {}, {}
    for external, values in projects.items():
        cursor.execute(PROJECT, (tenant, integration, external, *values))
        project_ids[external] = cursor.fetchone()[0]
    for external, values in types.items():
        cursor.execute(TYPE, (tenant, integration, external, *values))
        type_ids[external] = cursor.fetchone()[0]
    for project, kind in pairs:
        cursor.execute(PAIR, (tenant, integration, project_ids[project], type_ids[kind]))
    for external, values in fields.items():
        cursor.execute(FIELD, (tenant, integration, external, *values))
    cursor.execute(
        "UPDATE raw_extraction_data SET status = 'completed', last_updated_at = now() WHERE id = %s AND tenant_id = %s",
        (raw, tenant),
    )


def main(queue):
    connection, channel = consume(queue, PREFETCH)
    store = database()
    for method, _, body in channel.consume(queue):
        with store, store.cursor() as cursor:
            transform(cursor, json.loads(body))
        channel.basic_ack(method.delivery_tag)
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
