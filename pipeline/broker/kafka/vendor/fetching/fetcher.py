"""The client's fetcher: a poll does not wake the client's own thread, and a fetch gathers records.

K38: each poll goes to the client's own thread and back up to three times, also if a fetch is on its
way already: to look for the coordinator, to send fetches, and to wait. A trip is two switches of
threads and a task of the client's loop; at a steady rate they cost more than decoding the frames.
"""

# ruff: noqa: SLF001 - the client has no public name for its fetcher
import threading
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, cast

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher

GATHERED_BYTES = 128 << 10
ANSWER_S = 0.05  # how long a broker holds a fetch for which it has nothing


class GatheringFetcher(Fetcher):
    """The vendor's fetcher, which goes to the client's thread only to send a fetch.

    A broker answers a fetch as soon as it has a record. But where records come all the time, it
    gathers them for `gather_s`, or until it has `GATHERED_BYTES`: each answer costs the client as
    much as decoding several frames.
    """

    config: MutableMapping[str, Any]  # type: ignore[assignment]
    _fetch_futures: Iterable[Any]
    _fetchable_partitions: Callable[[], Iterable[TopicPartition]]
    _nodes_with_pending_fetch_requests: set[Any]
    _reset_task: Any
    _select_read_replica: Callable[[TopicPartition], Any]
    _gather_s = 0.0
    _flowing = False  # whether the newest answer held records; used by the client's own thread

    @classmethod
    def install(cls, consumer: KafkaConsumer, *, gather_s: float) -> None:
        """Give this class to the fetcher of a consumer that has not fetched yet."""
        fetcher = cast(Any, consumer)._fetcher
        fetcher.__class__ = cls
        fetcher._gather_s = gather_s

    def send_fetches(self) -> Any:
        """Send the fetches that no other one on its way holds up."""
        places = self._fetchable_partitions()
        nodes = {self._select_read_replica(place) for place in places}
        ended = any(fetch.is_done for fetch in list(self._fetch_futures))  # to be forgotten there
        if nodes <= self._nodes_with_pending_fetch_requests and not ended:
            return []
        return super().send_fetches()  # type: ignore[no-untyped-call]

    def fetch_records(
        self,
        max_records: int | None = None,
        update_offsets: Any = True,  # noqa: FBT002 - the vendor's
        timeout_ms: float | None = None,
    ) -> Any:
        """Return records, and whether there is nothing to wait for. Wait in the caller's thread."""
        records, partial = self.fetched_records(max_records, update_offsets=update_offsets)
        if not partial:
            self.send_fetches()
        if records or (timeout_ms is not None and timeout_ms <= 0):
            return records, False
        awaited = list(self._fetch_futures)
        if self._reset_task is not None and not self._reset_task.is_done:
            awaited.append(self._reset_task)
        if not awaited:
            return records, True
        ended = threading.Event()
        for one in awaited:
            one.add_both(lambda _: ended.set())
        ended.wait(None if timeout_ms is None else timeout_ms / 1000)
        records, _ = self.fetched_records(max_records, update_offsets=update_offsets)
        return records, False

    def _create_fetch_requests(self) -> Any:
        gathers = self._flowing and self._gather_s > 0
        self.config["fetch_min_bytes"] = GATHERED_BYTES if gathers else 1
        self.config["fetch_max_wait_ms"] = int(1000 * (self._gather_s if gathers else ANSWER_S))
        return super()._create_fetch_requests()  # type: ignore[misc]

    def _handle_fetch_response(self, node: Any, offsets: Any, sent: Any, response: Any) -> None:
        self._flowing = any(
            part.records for topic in response.responses for part in topic.partitions
        )
        super()._handle_fetch_response(node, offsets, sent, response)  # type: ignore[misc]
