"""Writes the H.264 units of one stream to standard output, from a keyframe on, with kafka-python.

For players and files: pipe it to `ffplay -f h264 -`, or to `ffmpeg -f h264 -i - -c copy gate.mp4`.
"""

import argparse
import re
import sys
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

SILENT_MS = 1000
# a keyframe is an IDR picture with its SPS in the same record (types 5 and 7 of NAL units)
IDR, SPS = re.compile(rb"\x00\x00\x01[\x25\x45\x65]"), re.compile(rb"\x00\x00\x01[\x27\x47\x67]")


def units(bootstrap: str, topic: str, stream: str, *, once: bool) -> Iterator[bytes]:
    """Read the committed units of a stream from the start; `once` ends at today's end."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    while not once or any((consumer.position(place) or 0) < ends[place] for place in places):
        for records in consumer.poll(timeout_ms=SILENT_MS).values():
            for record in records:
                kind = dict(record.headers).get("content-type", b"")
                if record.key == stream.encode() and kind == b"video/h264" and record.value:
                    yield record.value
    consumer.close()


def main() -> None:
    """Write units as soon as they can be decoded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="frames")
    parser.add_argument("--once", action="store_true", help="end at what is there now")
    options = parser.parse_args()
    begun = False
    for unit in units(options.bootstrap, options.topic, options.stream, once=options.once):
        begun = begun or (IDR.search(unit) is not None and SPS.search(unit) is not None)
        if begun:
            sys.stdout.buffer.write(unit)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
