"""What is queued is done when somebody waits for it: not before, and in order."""

import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from doubles.cuda import elsewhere
from doubles.cuda.arrays import SIZE, UNTOUCHED, pageable, pinned, seen
from doubles.tensorrt import driver

NON_BLOCKING = 1


def test_what_is_read_without_a_wait_is_stale(cuda: Any, block: Any, stream: Any) -> None:
    target = pinned(cuda, 0)
    cuda.memcpy_htod_async(block, pinned(cuda, 7), stream)
    cuda.memcpy_dtoh_async(target, block, stream)
    assert (target == 0).all()
    stream.synchronize()
    assert (target == 7).all()


def test_a_pinned_buffer_that_changes_too_early_arrives_changed(
    cuda: Any, block: Any, stream: Any
) -> None:
    source = pinned(cuda, 1)
    cuda.memcpy_htod_async(block, source, stream)
    source[:] = 2
    stream.synchronize()
    assert seen(block) == 2


def test_a_pageable_buffer_may_change_at_once(cuda: Any, block: Any, stream: Any) -> None:
    source = pageable(1)
    cuda.memcpy_htod_async(block, source, stream)
    source[:] = 2
    stream.synchronize()
    assert seen(block) == 1


def test_a_copy_into_pageable_memory_is_done_when_it_returns(
    cuda: Any, block: Any, stream: Any
) -> None:
    target = pageable(0)
    cuda.memset_d32_async(block, 7, 4, stream)
    cuda.memcpy_dtoh_async(target, block, stream)
    assert (target == 7).all()


def test_what_has_no_stream_is_done_when_it_returns(cuda: Any, block: Any) -> None:
    cuda.memcpy_htod(block, pinned(cuda, 1))
    assert seen(block) == 1
    cuda.memset_d32(block, 2, 4)
    assert seen(block) == 2
    copied = cuda.mem_alloc(SIZE)
    cuda.memcpy_dtod(copied, block, SIZE)
    assert seen(copied) == 2


@pytest.mark.parametrize("flags", [None, 0, NON_BLOCKING])
def test_waiting_for_a_context_is_waiting_for_all_its_streams(
    cuda: Any, block: Any, flags: int | None
) -> None:
    stream = None if flags is None else cuda.Stream(flags)
    cuda.memset_d32_async(block, 7, 4, stream)
    assert seen(block) == UNTOUCHED
    cuda.Context.synchronize()
    assert seen(block) == 7


def test_a_stream_does_its_work_before_it_is_destroyed(cuda: Any, block: Any) -> None:
    stream = cuda.Stream()
    cuda.memset_d32_async(block, 7, 4, stream)
    del stream
    assert seen(block) == 7


def test_an_eager_double_does_it_at_once(
    cuda: Any, block: Any, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUBLE_EAGER", "1")
    cuda.memset_d32_async(block, 7, 4, stream)
    assert seen(block) == 7


@pytest.mark.parametrize(("waits", "found"), [(1, 7), (0, UNTOUCHED)])
def test_a_missing_wait_between_streams_shows(
    cuda: Any, block: Any, stream: Any, waits: int, found: int
) -> None:
    other, copied, written = cuda.Stream(), cuda.mem_alloc(SIZE), cuda.Event()
    cuda.memset_d32_async(block, 7, 4, stream)
    written.record(stream)
    for _ in range(waits):
        other.wait_for_event(written)
    cuda.memcpy_dtod_async(copied, block, SIZE, other)
    other.synchronize()
    assert seen(copied) == found


def test_waiting_for_an_event_does_what_is_before_it_and_no_more(
    cuda: Any, block: Any, stream: Any
) -> None:
    between = cuda.Event()
    cuda.memset_d32_async(block, 1, 4, stream)
    between.record(stream)
    cuda.memset_d32_async(block, 2, 4, stream)
    assert not between.query()
    between.synchronize()
    assert between.query()
    assert seen(block) == 1
    assert not stream.is_done()


def test_a_wait_is_for_where_the_event_was_recorded_then(
    cuda: Any, block: Any, stream: Any
) -> None:
    waiting, event = cuda.Stream(), cuda.Event()
    cuda.memset_d32_async(block, 7, 4, stream)
    event.record(stream)
    waiting.wait_for_event(event)
    event.record(cuda.Stream())
    waiting.synchronize()
    assert seen(block) == 7


def test_an_event_that_was_never_recorded_is_not_waited_for(
    cuda: Any, block: Any, stream: Any
) -> None:
    stream.wait_for_event(cuda.Event())
    cuda.memset_d32_async(block, 7, 4, stream)
    stream.synchronize()
    assert seen(block) == 7


def test_time_between_events_is_told_once_both_are_reached(cuda: Any, stream: Any) -> None:
    began, ended = cuda.Event().record(stream), cuda.Event().record(stream)
    with pytest.raises(cuda.Error, match="NOT_READY"):
        began.time_till(ended)
    stream.synchronize()
    assert began.time_till(ended) >= 0


@pytest.mark.parametrize(("flags", "found"), [(0, 7), (NON_BLOCKING, UNTOUCHED)])
def test_a_copy_without_a_stream_comes_after_what_is_on_blocking_streams(
    cuda: Any, block: Any, flags: int, found: int
) -> None:
    target, stream = pageable(0), cuda.Stream(flags)
    cuda.memset_d32_async(block, 7, 4, stream)
    cuda.memcpy_dtoh(target, block)
    assert set(target.tolist()) == {found}


@pytest.mark.parametrize(("flags", "found"), [(0, 7), (NON_BLOCKING, UNTOUCHED)])
def test_what_is_on_a_blocking_stream_comes_after_what_is_on_the_default_one(
    cuda: Any, block: Any, flags: int, found: int
) -> None:
    copied, stream = cuda.mem_alloc(SIZE), cuda.Stream(flags)
    cuda.memset_d32_async(block, 7, 4)
    cuda.memcpy_dtod_async(copied, block, SIZE, stream)
    stream.synchronize()
    assert seen(copied) == found


@pytest.mark.parametrize(("flags", "found"), [(0, 7), (NON_BLOCKING, UNTOUCHED)])
def test_waiting_for_the_default_stream_is_waiting_for_blocking_ones(
    cuda: Any, raw: Any, block: Any, flags: int, found: int
) -> None:
    stream = cuda.Stream(flags)
    cuda.memset_d32_async(block, 7, 4, stream)
    raw.cuStreamSynchronize(0)
    assert seen(block) == found


class Elsewhere:
    """A kernel that lasts until it may end, and threads that wait for its stream."""

    def __init__(self, stream: Any) -> None:
        self._handle = ctypes.c_void_p(stream.handle)
        self._begun, self._may_end = threading.Event(), threading.Event()
        self._kernel = driver.HostFunction(self._work)
        self._threads: list[threading.Thread] = []
        self.done: list[str] = []
        driver.launch(stream.handle, self._kernel, 0)

    def wait(self) -> threading.Thread:
        """Let one more thread wait; return once the kernel is under way."""
        self._threads.append(elsewhere.start(self._wait))
        self._begun.wait()
        return self._threads[-1]

    def end(self) -> None:
        self._may_end.set()
        for thread in self._threads:
            thread.join()

    def _work(self, _: int) -> None:
        self._begun.set()
        self._may_end.wait()
        self.done.append("kernel")

    def _wait(self, libcuda: ctypes.CDLL) -> None:
        libcuda.cuStreamSynchronize(self._handle)
        self.done.append("wait")


@pytest.fixture
def threads(stream: Any) -> Iterator[Elsewhere]:
    threads = Elsewhere(stream)
    yield threads
    threads.end()  # else a test that fails would never come to its end


def test_a_second_thread_waits_for_what_the_first_is_in_the_middle_of(threads: Elsewhere) -> None:
    threads.wait()
    threads.wait().join(0.2)
    assert threads.done == []
    threads.end()
    assert threads.done == ["kernel", "wait", "wait"]
