"""What a backend written in Python does after it has stored raw documents: publishes a message for each of them with pika.

Reads JSON lines {"queue": ..., "message": {...}} from its standard input and prints one word for each: "confirmed", or "unroutable"
where the broker has no such queue. The address stands in AMQP_URL.
"""

import json
import os
import sys

import pika


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    # Without this a publish always looks like a success.
    channel.confirm_delivery()
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent,
        headers={"x-request-id": "a backend's own header"},
    )
    for line in sys.stdin:
        order = json.loads(line)
        try:
            channel.basic_publish(
                exchange="",
                routing_key=order["queue"],
                body=json.dumps(order["message"]).encode(),
                properties=properties,
                mandatory=True,
            )
            print("confirmed")
        except pika.exceptions.UnroutableError:
            print("unroutable")
    connection.close()


if __name__ == "__main__":
    main()
