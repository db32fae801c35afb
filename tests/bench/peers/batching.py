"""A worker that does in Python what ours does: a batch of messages, a transaction, a statement for every table, one
acknowledgement for all.

Usage: batching.py QUEUE, with AMQP_URL and DATABASE_URL in the environment.
"""

import json
import sys

from psycopg2.extras import execute_values

from createmeta import consume, database, rows

PREFETCH = 100
BATCH = 50

PROJECTS = """
    INSERT INTO projects AS t (tenant_id, integration_id, external_id, key, name) VALUES %s
    ON CONFLICT (tenant_id, integration_id, external_id)
    DO UPDATE SET key = excluded.key, name = excluded.name, last_updated_at = now() RETURNING external_id, id"""
TYPES = """
    INSERT INTO wits AS t (tenant_id, integration_id, external_id, original_name, description, hierarchy_level) VALUES %s
    ON CONFLICT (tenant_id, integration_id, external_id)
    DO UPDATE SET original_name = excluded.original_name, description = excluded.description,
        hierarchy_level = excluded.hierarchy_level, last_updated_at = now() RETURNING external_id, id"""
PAIRS = """
    INSERT INTO projects_wits (tenant_id, integration_id, project_id, wit_id) VALUES %s ON CONFLICT DO NOTHING"""
FIELDS = """
    INSERT INTO custom_fields AS t (tenant_id, integration_id, external_id, name, field_type, operations) VALUES %s
    ON CONFLICT (tenant_id, integration_id, external_id)
    DO UPDATE SET name = excluded.name, field_type = excluded.field_type, operations = excluded.operations,
        last_updated_at = now()"""


def transform(cursor, messages):
    """All messages of a queue are of one tenant; here also of one integration."""
    tenant, integration = messages[0]["tenant_id"], messages[0]["integration_id"]
    cursor.execute(
        "SELECT id, raw_data FROM raw_extraction_data WHERE id = ANY(%s) AND tenant_id = %s AND status <> 'completed' "
        "ORDER BY id FOR UPDATE",
        ([message["raw_data_id"] for message in messages], tenant),
    )
    found = cursor.fetchall()
    projects, types, pairs, fields = {}, {}, {}, {}
    for _, document in found:
        for everything, more in zip((projects, types, pairs, fields), rows(document)):
            everything.update(more)

    def upsert(statement, values, fetch=False):
        if not values:
            return []
        return execute_values(cursor, statement, values, page_size=len(values), fetch=fetch)

    keyed = lambda table: [(tenant, integration, external, *values) for external, values in sorted(table.items())]
    project_ids = dict(upsert(PROJECTS, keyed(projects), fetch=True))
    type_ids = dict(upsert(TYPES, keyed(types), fetch=True))
    upsert(PAIRS, [(tenant, integration, project_ids[project], type_ids[kind]) for project, kind in sorted(pairs)])
    upsert(FIELDS, keyed(fields))
    cursor.execute(
        "UPDATE raw_extraction_data SET status = 'completed', last_updated_at = now() WHERE id = ANY(%s) AND tenant_id = %s",
        ([raw for raw, _ in found], tenant),
    )


def main(queue):
    connection, channel = consume(queue, PREFETCH)
    store = database()
    batch = []
    # Nothing for a while: whatever has come is a batch too.
    for method, _, body in channel.consume(queue, inactivity_timeout=0.05):
        if method is not None:
            batch.append((method.delivery_tag, json.loads(body)))
        if batch and (method is None or len(batch) == BATCH):
            with store, store.cursor() as cursor:
                transform(cursor, [message for _, message in batch])
            channel.basic_ack(batch[-1][0], multiple=True)
            batch = []
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
