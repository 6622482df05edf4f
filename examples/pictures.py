"""Reads frames with kafka-python, and turns pictures and H.264 units back into RGB arrays.

Uses longtake's own reader, which loads no model and no worker: docs/library.md has its rules.
"""

import argparse
import sys
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

from pipeline.media.picture_reader import PictureReader
from pipeline.records import Record

SILENT_MS = 1000


def frames(bootstrap: str, topic: str, *, once: bool) -> Iterator[Record]:
    """Read the committed records of all partitions from the start; `once` ends at today's end."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    while not once or any((consumer.position(place) or 0) < ends[place] for place in places):
        for batch in consumer.poll(timeout_ms=SILENT_MS).values():
            for raw in batch:
                headers = tuple(raw.headers)
                yield Record(raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, headers)
    consumer.close()


def main() -> None:
    """Print one line for each record: the size and the mean colour of its picture, or why none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="frames")
    parser.add_argument("--once", action="store_true", help="end at what is there now")
    options = parser.parse_args()
    reader = PictureReader()
    for record in frames(options.bootstrap, options.topic, once=options.once):
        found = reader.follow(record)
        stream = "-" if found.frame is None else found.frame.stream
        if found.picture is None:
            words = f"{found.reason} {found.words}".strip()
        else:
            pixels = found.rgb()  # (H, W, 3)
            red, green, blue = pixels.reshape(-1, 3).mean(axis=0).round().astype(int)
            words = f"{pixels.shape[1]} x {pixels.shape[0]}, mean colour {red} {green} {blue}"
        line = f"{stream} {record.partition} {record.offset}: {words}"
        print(ascii(line)[1:-1])  # a terminal must not obey what stands in a record


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
