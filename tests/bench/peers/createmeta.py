"""What both peers have in common: where broker and database are, and a createmeta document turned into rows."""

import json
import os

import pika
import psycopg2


def consume(queue, prefetch):
    """A channel that consumes the queue, and its connection."""
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=prefetch)
    return connection, channel


def database():
    return psycopg2.connect(os.environ["DATABASE_URL"])


def rows(document):
    """Projects, types, their relations and custom fields, each once, in the order in which the document names them."""
    projects, types, pairs, fields = {}, {}, {}, {}
    for project in document["projects"]:
        projects.setdefault(project["id"], (project["key"], project["name"]))
        for kind in project["issuetypes"]:
            types.setdefault(kind["id"], (kind["name"], kind.get("description", ""), kind.get("hierarchyLevel", 0)))
            pairs.setdefault((project["id"], kind["id"]))
            for key, field in kind["fields"].items():
                if key.startswith("customfield_"):
                    known = (field["name"], field["schema"]["type"], json.dumps(field["operations"]))
                    fields.setdefault(key, known)
    return projects, types, pairs, fields
