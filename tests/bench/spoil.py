"""Copies a topic of events twice, once as it is and once with one record in a hundred spoilt; prints what it
did as JSON.

Usage: spoil.py BROKERS FROM COPY SPOILT. The new topics must not be there; they get as many partitions, and
each record goes to the partition it comes from, with its key. Of what is spoilt every other record is cut off in
its middle, which is no JSON, and the others have a text where a number belongs. How large a producer's batches
are is felt by whoever reads them, so what is spoilt is to be compared with the copy, and not with the original.
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ONE_IN = 100
RIGHT, WRONG = b'"schema_version":1,', b'"schema_version":"one",'
PRODUCER = {"compression.codec": "lz4", "linger.ms": 20, "enable.idempotence": True, "acks": "all"}


def spoilt(value, offset):
    """(value as it goes on, whether it is spoilt)."""
    if offset % ONE_IN != ONE_IN // 2:
        return value, False
    if offset // ONE_IN % 2 == 0:
        return value[: len(value) // 2], True
    if RIGHT not in value:
        sys.exit(f"the record at offset {offset} has no {RIGHT.decode()}")
    return value.replace(RIGHT, WRONG, 1), True


def undelivered(error, message):
    """Only hears of failures."""
    if error is not None:
        raise KafkaException(error)


def messages(brokers, topic, n_partitions):
    """Every record of a topic."""
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "lake-bench-spoil",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(n_partitions)])
    n_open = n_partitions
    while n_open > 0:
        for message in consumer.consume(10_000, timeout=0.1):
            if message.error() is None:
                yield message
            elif message.error().code() == KafkaError._PARTITION_EOF:
                n_open -= 1
            else:
                raise KafkaException(message.error())
    consumer.close()


def send(producer, topic, value, message):
    """Sends a value on, to the partition and with the key of the message that it comes from."""
    place = {"key": message.key(), "partition": message.partition(), "on_delivery": undelivered}
    while True:
        try:
            producer.produce(topic, value, **place)
            return
        except BufferError:
            producer.poll(0.1)


def main():
    """Read, spoil, write."""
    brokers, source, copy, target = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": brokers})
    n_partitions = len(admin.list_topics(source, timeout=10).topics[source].partitions)
    for made in admin.create_topics([NewTopic(name, n_partitions) for name in (copy, target)]).values():
        made.result()
    producer = Producer({"bootstrap.servers": brokers, "delivery.report.only.error": True, **PRODUCER})
    records = broken = 0
    for message in messages(brokers, source, n_partitions):
        value, is_broken = spoilt(message.value(), message.offset())
        records, broken = records + 1, broken + is_broken
        send(producer, copy, message.value(), message)
        send(producer, target, value, message)
        producer.poll(0)
    if left := producer.flush(60):
        sys.exit(f"{left} records were not delivered")
    print(json.dumps({"records": records, "broken": broken}))


if __name__ == "__main__":
    main()
