"""Live producers for a group that grows, and the verdict on what was predicted of their frames."""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from kafka import KafkaProducer

from pipeline.records import Record, Reset
from pipeline.wire.predictions import NEW_CHAIN, Prediction
from tests.cli.commands import Group
from tests.pipeline.pictures import jpeg


class Producers:
    """Cameras that publish until they are stopped, with metadata of an age of `age_s`."""

    def __init__(self, group: Group, names: Sequence[str], *, age_s: float, rate_hz: float) -> None:
        self._topic, self._names, self._period_s = group.topics.frames, names, 1 / rate_hz
        self._producer = KafkaProducer(
            bootstrap_servers=group.cluster.config.bootstrap,
            metadata_max_age_ms=int(age_s * 1000),
            linger_ms=0,
        )
        self._pictures = [jpeg(16, 16, seed=n) for n in range(32)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._over.wait(self._period_s):
            for name in self._names:
                headers = [("seq", b"%d" % n), ("captured-at", b"%d" % (time.time() * 1000))]
                self._producer.send(
                    self._topic, key=name.encode(), value=self._pictures[n % 32], headers=headers
                )
            n += 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._producer.flush(10)
        self._producer.close(timeout=5)


def by_stream(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each stream: those of a lower partition first, as a growth orders them."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda one: (one.partition, one.offset)):
        found[(record.key or b"").decode()].append(record)
    return found


def remembered(frames: Sequence[Record]) -> list[int]:
    """How many frames of its stream each one follows since the camera's epoch began."""
    epochs = [dict(record.headers).get("epoch") for record in frames]
    return [n - epochs.index(epoch) for n, epoch in enumerate(epochs)]


def judge(group: Group, names: Sequence[str]) -> dict[str, set[int]]:
    """Check each stream's frames against its predictions, once all are there.

    Each frame has one prediction, in the order of `seq`; memory counts every frame of the stream
    and starts afresh only where the camera begins an epoch; chains are whole. Returns each stream's
    partitions.
    """
    frames = group.cluster.committed(group.topics.frames)
    group.flowing(group.topics.predictions, len(frames))
    published = by_stream(group.cluster.committed(group.topics.predictions))
    filmed = by_stream(frames)
    assert set(filmed) == set(names)
    for name in names:
        sent = [(record.partition, record.offset) for record in filmed[name]]
        found = [Prediction.read(record.value) for record in published[name]]
        assert [(one.partition, one.offset) for one in found] == sent
        assert [one.seq for one in found] == sorted(one.seq or 0 for one in found)
        assert [one.prev for one in found] == [NEW_CHAIN, *(one.chain for one in found)][:-1]
        assert [one.frames for one in found] == remembered(filmed[name])
        assert {one.reset for one in found[1:]} <= {None, Reset.EPOCH}
    return {name: {record.partition for record in filmed[name]} for name in names}
