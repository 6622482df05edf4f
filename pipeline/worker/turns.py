"""Partitions take turns at the decoder, so that one's backlog does not hold the others up.

When a worker takes a dead one's partitions over it finds hundreds of frames in each: first come,
first served would decode all of the first partition before any of the last.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Turns(Generic[Result]):
    """Calls by partition, run on an executor: the first of each partition before any second."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, deque[tuple[Future[Result], Callable[[], Result]]]]
        self._waiting = OrderedDict()  # the partition whose turn is next comes first

    def submit(self, partition: int, call: Callable[[], Result]) -> Future[Result]:
        """Let `call` wait for its partition's turn."""
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.setdefault(partition, deque()).append((future, call))
        self._executor.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        """Run one call. There are as many of these as there are calls."""
        with self._lock:
            partition, calls = self._waiting.popitem(last=False)
            future, call = calls.popleft()
            if calls:
                self._waiting[partition] = calls
        if not future.set_running_or_notify_cancel():
            return
        try:
            answer = call()
        except BaseException as exc:  # noqa: BLE001 - as an executor does: it is raised by `result`
            future.set_exception(exc)
        else:
            future.set_result(answer)
