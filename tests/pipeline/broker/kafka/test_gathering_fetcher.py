"""K38: a poll goes to the client's thread only to send a fetch, and fetches gather in a flow."""

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.future import Future

from pipeline.broker.kafka.vendor.fetching.fetcher import (
    ANSWER_S,
    GATHERED_BYTES,
    GatheringFetcher,
)

PLACE = TopicPartition("frames", 0)
NODE = 1


class Alone(GatheringFetcher):
    """A fetcher without a client: it counts the trips, and fetches are sent and end by hand."""

    def __init__(self, gather_s: float) -> None:
        self._gather_s = gather_s
        self._fetch_futures = deque[Any]()
        self._nodes_with_pending_fetch_requests = set()
        self._reset_task = None
        self._completed: list[str] = []
        self.config = {}
        self.trips = 0
        self._manager = SimpleNamespace(run=self._trip)

    def _trip(self, send: Any) -> list[Any]:
        """What the client's thread does in `_send_fetches_async`."""
        send().close()
        self.trips += 1
        self._fetch_futures = deque(one for one in self._fetch_futures if not one.is_done)
        if not self._nodes_with_pending_fetch_requests:
            self._fetch_futures.append(Future())
            self._nodes_with_pending_fetch_requests.add(NODE)
        return []

    def _fetchable_partitions(self) -> list[TopicPartition]:
        return [PLACE]

    def _select_read_replica(self, place: TopicPartition) -> int:
        return NODE

    def fetched_records(self, max_records: Any = None, **how: Any) -> Any:  # type: ignore[override]
        found, self._completed = self._completed, []
        return ({PLACE: found} if found else {}), False

    def answer(self, *records: str) -> None:
        self._completed += records
        self._nodes_with_pending_fetch_requests.clear()
        self.sent[-1].success(None)

    @property
    def sent(self) -> deque[Any]:
        """The fetches that are on their way, or ended and not forgotten yet."""
        return deque(self._fetch_futures)

    def send_another(self) -> None:
        """As if another fetch were on its way to the same node."""
        self._nodes_with_pending_fetch_requests.add(NODE)

    def ask(self, records: bytes | None) -> tuple[int, int]:
        """Send a fetch that gets these records. Returns the least bytes and the longest wait."""
        self._create_fetch_requests()
        partition = SimpleNamespace(records=records)
        answer = SimpleNamespace(responses=[SimpleNamespace(partitions=[partition])])
        self._handle_fetch_response(NODE, {}, 0.0, answer)
        return self.config["fetch_min_bytes"], self.config["fetch_max_wait_ms"]


def test_polls_make_no_trip_while_a_fetch_is_on_its_way() -> None:
    fetcher = Alone(0.1)
    for _ in range(20):
        assert fetcher.fetch_records(timeout_ms=0) == ({}, False)
    assert fetcher.trips == 1
    fetcher.answer("a")
    assert fetcher.fetch_records(timeout_ms=0) == ({PLACE: ["a"]}, False)
    assert fetcher.fetch_records(timeout_ms=0) == ({}, False)
    assert fetcher.trips == 2


def test_a_poll_that_waits_returns_with_the_answer() -> None:
    fetcher = Alone(0.1)
    fetcher.send_fetches()
    broker = threading.Timer(0.05, fetcher.answer, ["a"])
    broker.start()
    assert fetcher.fetch_records(timeout_ms=60_000) == ({PLACE: ["a"]}, False)
    broker.join()


def test_an_answer_that_was_taken_wakes_no_later_poll() -> None:
    """It is forgotten in the client's thread, also if nothing else is to be sent there."""
    fetcher = Alone(0.1)
    fetcher.send_fetches()
    fetcher.answer("a")
    fetcher.send_another()
    assert fetcher.fetch_records(timeout_ms=0) == ({PLACE: ["a"]}, False)
    assert fetcher.trips == 2
    assert not fetcher.sent


@pytest.mark.parametrize(("gather_s", "wanted"), [(0.1, (GATHERED_BYTES, 100)), (0.0, (1, 50))])
def test_a_fetch_gathers_only_where_the_last_answer_held_records(
    gather_s: float, wanted: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher = Alone(gather_s)
    for name in ("_create_fetch_requests", "_handle_fetch_response"):
        monkeypatch.setattr(Fetcher, name, lambda *_: None)
    at_once = (1, int(1000 * ANSWER_S))
    asked = [fetcher.ask(records) for records in (None, b"batch", b"", b"batch")]
    assert asked == [at_once, at_once, wanted, at_once]
