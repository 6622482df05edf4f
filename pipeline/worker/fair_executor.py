"""Shares an executor fairly between partitions, so that one's backlog does not delay the others.

A worker that takes over the partitions of a dead one finds hundreds of frames in each. In order of
arrival, it would decode all frames of the first partition before any of the last.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class FairExecutor(Generic[Result]):
    """Runs calls on an executor, partition by turns: the first of each before the second of any."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, deque[tuple[Future[Result], Callable[[], Result]]]]
        self._waiting = OrderedDict()  # the partition whose turn is next comes first

    def submit(self, partition: int, call: Callable[[], Result]) -> Future[Result]:
        """Queue `call` behind the other calls of its partition."""
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.setdefault(partition, deque()).append((future, call))
        self._executor.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        """Run one call. The executor runs this once for each submitted call."""
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
