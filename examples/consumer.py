"""Reads predictions with kafka-python, drops repeats and checks every link of every chain.

The rules are those of docs/formats.md, "The chain". Exit code 1: a link was broken.
"""

import argparse
import json
import sys
import zlib
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

NEW_STREAM = "00000000"
SILENT_MS = 1000
NO_PREDICTION = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Chains:
    """The newest prediction of each stream in each partition."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, int], tuple[int, str]] = {}  # -> frame's offset, chain

    def check(self, value: bytes) -> str:
        """Follow one prediction. Returns `ok`, `first`, `repeat`, or what is broken.

        Others may write into the topic: what is no prediction raises one of `NO_PREDICTION`.
        """
        said = json.loads(value)
        body = value[: value.rindex(b',"prev":')]
        if f"{zlib.crc32(said['prev'].encode() + body):08x}" != said["chain"]:
            return "altered: the bytes do not give the chain"
        place, offset = (said["stream"], said["source"]["partition"]), int(said["source"]["offset"])
        newest = self._newest.get(place)
        if newest is not None and offset <= newest[0]:
            return "repeat"  # of low_latency delivery, after a crash
        self._newest[place] = offset, said["chain"]
        if said["memory"]["reset"] in ("new", "ended"):
            return "ok" if said["prev"] == NEW_STREAM else "unlinked: a new stream with a past"
        if newest is None:
            return "first"  # reading began in the middle: nothing to compare with
        return "ok" if said["prev"] == newest[1] else f"unlinked: prev should be {newest[1]}"


def values(bootstrap: str, topic: str, *, once: bool) -> Iterator[bytes]:
    """Read the committed values of all partitions from the start; `once` ends at today's end."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",  # without it you also see what a crash has undone
        enable_auto_commit=False,
    )
    places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    while not once or any((consumer.position(place) or 0) < ends[place] for place in places):
        for records in consumer.poll(timeout_ms=SILENT_MS).values():
            yield from (record.value for record in records if record.value is not None)
    consumer.close()


def main() -> int:
    """Print one line for each prediction, and say at the end how many there were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="predictions")
    parser.add_argument("--once", action="store_true", help="end at what is there now")
    options = parser.parse_args()
    chains, broken, count = Chains(), 0, 0
    for value in values(options.bootstrap, options.topic, once=options.once):
        try:
            found = chains.check(value)
            said = json.loads(value)
            facts = [str(said[n]) for n in ("captured_at", "stream", "label", "confidence")]
        except NO_PREDICTION as exc:
            found, facts = f"unreadable: {exc!r:.80}", []
        count += 1
        broken += found.startswith(("altered", "unlinked", "unreadable"))
        print(ascii(" ".join([*facts, found]))[1:-1])  # a terminal must not obey a label
    print(f"{count} predictions, {broken} broken links")
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
