"""Reads topics with plain kafka-python consumers, without any code of the worker."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

QUIET_S = 60.0

Isolation = Literal["read_committed", "read_uncommitted"]


def consumer(bootstrap: str, *, isolation: Isolation = "read_committed") -> KafkaConsumer:
    """Return a consumer without a group that survives a broker's death."""
    return KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
        fetch_max_bytes=16 << 20,
        reconnect_backoff_max_ms=500,
        request_timeout_ms=10_000,
        metadata_max_age_ms=5000,
    )


class Tail:
    """Follows all partitions of a topic from their start, committed records only."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = consumer(bootstrap)
        numbers = self._consumer.partitions_for_topic(topic) or set()
        self._places = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._consumer.assign(self._places)
        self._consumer.seek_to_beginning(*self._places)
        self._ends = consumer(bootstrap, isolation="read_uncommitted")

    def poll(self, timeout_s: float = 0.05) -> list[Any]:
        """Return the records since the last call."""
        try:
            batches = self._consumer.poll(int(timeout_s * 1000), max_records=5000)
        except KafkaError:
            return []
        return [raw for batch in batches.values() for raw in batch]

    def ends(self) -> dict[int, int]:
        """Return the present ends of the log, by partition."""
        return {p.partition: n for p, n in self._ends.end_offsets(self._places).items()}

    def rest(self) -> Iterator[Any]:
        """Return all records up to the present end of the log."""
        ends = self.ends()
        last_s = time.monotonic()
        while any((self._consumer.position(p) or 0) < ends[p.partition] for p in self._places):
            records = self.poll()
            yield from records
            last_s = time.monotonic() if records else last_s
            if time.monotonic() - last_s > QUIET_S:
                raise TimeoutError(f"nothing comes of {self._places[0].topic}, short of {ends}")

    def close(self) -> None:
        """Close both connections."""
        self._consumer.close(timeout_ms=1000)
        self._ends.close(timeout_ms=1000)


def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Return every committed record of a topic, from its start."""
    tail = Tail(bootstrap, topic)
    records = list(tail.rest())
    tail.close()
    return sorted(records, key=lambda raw: (raw.partition, raw.offset))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A prediction that a reader saw. Times in seconds since 1970."""

    seen_s: float
    frozen_s: float  # the time of its checkpoint, by the worker's header
    worker: str
    stream: str
    place: tuple[int, int]
    value: bytes


class Watcher:
    """Reads predictions as they come, in a thread of its own."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.arrivals: list[Arrival] = []
        self._owners: dict[int, str] = {}  # partition -> who made its newest prediction
        self._newest_s: dict[int, float] = {}  # partition -> when that was seen
        self._tail = Tail(bootstrap, topic)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()
        self._tail.close()

    def partitions_of(self, worker: str) -> frozenset[int]:
        """Return the partitions whose newest prediction is this worker's."""
        return frozenset(number for number, name in self._owners.copy().items() if name == worker)

    def silent_for(self, seconds: float) -> frozenset[int]:
        """Return the partitions without a prediction for this long."""
        limit_s = time.time() - seconds
        return frozenset(n for n, at_s in self._newest_s.copy().items() if at_s < limit_s)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that have had a prediction."""
        return frozenset(self._owners.copy())

    def _watch(self) -> None:
        while not self._stop.is_set():
            records = self._tail.poll()
            now_s = time.time()
            arrivals = [arrived(raw, now_s) for raw in records]
            self.arrivals += arrivals
            self._owners |= {arrival.place[0]: arrival.worker for arrival in arrivals}
            self._newest_s |= {arrival.place[0]: now_s for arrival in arrivals}


def arrived(raw: Any, seen_s: float) -> Arrival:
    """Return the fields of a prediction that the harness needs."""
    headers = dict(raw.headers)
    source = json.loads(raw.value)["source"]
    return Arrival(
        seen_s,
        float(headers["processed-at"]) / 1000,
        headers["worker"].decode(),
        raw.key.decode(),
        (source["partition"], source["offset"]),
        raw.value,
    )


class Ledger:
    """Follows the changelog for each partition's newest manifest and the frames it skipped."""

    def __init__(self, bootstrap: str, *, state: str, frames: str) -> None:
        self._state = Tail(bootstrap, state)
        self._frames = Tail(bootstrap, frames)
        self.manifests: dict[int, dict[str, Any]] = {}
        self._skips: dict[tuple[int, bytes], list[list[int]]] = {}  # ranges by partition and key

    @property
    def skipped(self) -> dict[str, list[range]]:
        """The ranges of offsets that were skipped for newer frames (overload `latest`)."""
        found: dict[str, list[range]] = defaultdict(list)
        for (_, key), ranges in self._skips.items():
            stream = key.decode().removeprefix("k:").rpartition(":")[0]
            found[stream] += [range(first, last + 1) for first, last in ranges]
        return found

    def refresh(self) -> None:
        """Read up to the end."""
        for raw in self._state.rest():
            if raw.key == b"m":
                self.manifests[raw.partition] = json.loads(raw.value)
            elif raw.key.startswith(b"k:"):
                told = {"ranges": []} if raw.value is None else json.loads(raw.value)
                self._skips[raw.partition, raw.key] = told["ranges"]

    def behind(self) -> Mapping[int, int]:
        """Return by how many offsets each partition's manifest is behind the end of the frames."""
        self.refresh()
        ends = self._frames.ends()
        standing = {n: self.manifests.get(n, {"next_offset": 0})["next_offset"] for n in ends}
        return {n: ends[n] - standing[n] for n in ends if ends[n] != standing[n]}

    def settle(self, patience_s: float, tend: Callable[[], None]) -> None:
        """Wait until no manifest is behind; calls `tend` meanwhile. Raises `TimeoutError`."""
        deadline_s = time.monotonic() + patience_s
        while behind := self.behind():
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f"after {patience_s:.0f} s without faults still behind: {behind}"
                )
            tend()
            time.sleep(0.2)

    def close(self) -> None:
        """Close all connections."""
        self._state.close()
        self._frames.close()
