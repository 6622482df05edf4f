"""Shares an executor fairly between partitions and streams, by the cost of their calls.

A worker that takes over the partitions of a dead one finds hundreds of frames in each. In order of
arrival, it would decode all frames of the first partition before any of the last. And a stream can
have pictures that cost a thousand times as much as those of the others. Turns are therefore counted
in cost, not in calls (self-clocked fair queueing): each call would end at a certain cost if its
stream had an equal share from now on, and the call that would end first is run next.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

Result = TypeVar("Result")


class _Call(NamedTuple, Generic[Result]):
    partition: int
    stream: str
    number: int  # of all calls, in the order in which they were submitted
    cost: int
    run: Callable[[], Result]
    future: Future[Result]


class _Line(Generic[Result]):
    """The calls of one partition: the streams in turn, the calls of a stream in their order.

    `begins` is the cost at which the partition's next call begins. A stream that runs calls is left
    out while its next call would make them cost more than `most_running`.
    """

    def __init__(self, most_running: int) -> None:
        self.begins = 0
        self._most_running = most_running
        self._calls: dict[str, deque[_Call[Result]]] = {}
        # a heap of the next calls of streams, by where they end
        self._turns: list[tuple[int, int, _Call[Result]]] = []
        self._running: dict[str, int] = {}  # cost by stream
        self._reached = 0  # where the last call ended that was taken

    @property
    def waits(self) -> bool:
        """Whether a call is in turn."""
        return bool(self._turns)

    @property
    def idle(self) -> bool:
        """Whether no call waits or runs."""
        return not self._calls and not self._running

    def move_to(self, cost: int) -> None:
        """Let the next call begin at this cost or later."""
        self.begins = max(self.begins, cost)

    def add(self, call: _Call[Result]) -> None:
        """Queue a call behind the others of its stream."""
        calls = self._calls.setdefault(call.stream, deque())
        calls.append(call)
        if len(calls) == 1:
            self._queue(call.stream, self._reached)

    @property
    def first(self) -> _Call[Result]:
        """The call whose turn is next. Only while a call `waits`."""
        return self._turns[0][2]

    def drop(self) -> None:
        """Remove the first call: it is cancelled, and has cost nothing."""
        end, _, call = heappop(self._turns)
        self._calls[call.stream].popleft()
        self._queue(call.stream, end - call.cost)

    def take(self) -> None:
        """Remove the first call, and count it as running."""
        end, _, call = heappop(self._turns)
        self._reached = max(self._reached, end)
        self._calls[call.stream].popleft()
        self._running[call.stream] = self._running.get(call.stream, 0) + call.cost
        self._queue(call.stream, end)

    def finish(self, call: _Call[Result]) -> None:
        """Count a call as no longer running. Its stream may be in turn again by that."""
        calls = self._calls.get(call.stream)
        left_out = calls is not None and not self._fits(calls[0])
        rest = self._running.pop(call.stream) - call.cost
        if rest:
            self._running[call.stream] = rest
        if left_out:
            self._queue(call.stream, self._reached)

    def _queue(self, stream: str, begins: int) -> None:
        """Give the stream's next call its turn, from `begins` on, unless it is left out."""
        calls = self._calls[stream]
        if not calls:
            del self._calls[stream]
        elif self._fits(calls[0]):
            heappush(self._turns, (begins + calls[0].cost, calls[0].number, calls[0]))

    def _fits(self, call: _Call[Result]) -> bool:
        running = self._running.get(call.stream, 0)
        return not running or running + call.cost <= self._most_running


def _end_of_first(line: _Line[Result]) -> tuple[int, int]:
    """Where a line's first call would end, and its number, which decides between equals."""
    first = line.first
    return line.begins + first.cost, first.number


class FairExecutor(Generic[Result]):
    """Runs calls on an executor, partitions in turn, and the streams of a partition in turn.

    A partition waits for at most one call of each other one before its own, and then until that one
    has cost as much. So does a stream in its partition. The calls of one stream that run at the
    same time cost at most `most_running`, or it is a single call.
    """

    def __init__(self, executor: Executor, *, most_running: int) -> None:
        self._executor = executor
        self._most_running = most_running
        self._lock = threading.Lock()
        self._lines: dict[int, _Line[Result]] = {}
        self._reached = 0  # where the last call ended that was taken
        self._submitted = 0
        self._missed = 0  # runs of `_run_next` that found only streams that were left out

    def submit(
        self, partition: int, stream: str, call: Callable[[], Result], *, cost: int
    ) -> Future[Result]:
        """Queue `call` behind the other calls of its stream. `cost` is above 0."""
        future: Future[Result] = Future()
        with self._lock:
            line = self._lines.get(partition)
            if line is None:
                line = self._lines[partition] = _Line(self._most_running)
            if not line.waits:
                line.move_to(self._reached)
            self._submitted += 1
            line.add(_Call(partition, stream, self._submitted, cost, call, future))
        self._executor.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        """Run one call. The executor runs this once for each submitted call."""
        call = self._take()
        if call is None:
            return
        self._make_up()
        try:
            answer = call.run()
        except BaseException as exc:  # noqa: BLE001 - as an executor does: it is raised by `result`
            self._finish(call)
            call.future.set_exception(exc)
        else:
            self._finish(call)
            call.future.set_result(answer)
        self._make_up()

    def _take(self) -> _Call[Result] | None:
        """Take the call that would end first if all partitions had equal shares from now on."""
        with self._lock:
            while waiting := [line for line in self._lines.values() if line.waits]:
                line = min(waiting, key=_end_of_first)
                end, _ = _end_of_first(line)
                call = line.first
                if call.future.set_running_or_notify_cancel():
                    line.take()
                    self._reached = max(self._reached, end)
                    line.move_to(self._reached)
                    return call
                line.drop()
                if line.idle:
                    del self._lines[call.partition]
            self._missed += 1
            return None

    def _finish(self, call: _Call[Result]) -> None:
        with self._lock:
            line = self._lines[call.partition]
            line.finish(call)
            if line.idle:
                del self._lines[call.partition]

    def _make_up(self) -> None:
        """Run `_run_next` again for a call that was left out when it was submitted."""
        if not self._missed:
            return
        with self._lock:
            if not self._missed or not any(line.waits for line in self._lines.values()):
                return
            self._missed -= 1
        self._executor.submit(self._run_next)
