"""Capture, replay, and what may not be done meanwhile, through the genuine cuda.bindings."""

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from doubles.cuda import elsewhere
from doubles.cuda.arrays import LENGTH, SIZE, UNTOUCHED, pageable, pinned, seen
from doubles.tensorrt import driver

GLOBAL, THREAD_LOCAL, RELAXED = 0, 1, 2  # of CUstreamCaptureMode
WRONG_THREAD = 908


class Capture:
    """Records one stream. Answers of the driver are the names of its codes."""

    def __init__(self, raw: Any, stream: Any) -> None:
        self._raw, self.stream = raw, stream.handle
        self.graph: Any = None

    def begin(self, mode: int = THREAD_LOCAL) -> None:
        assert self.name(self._raw.cuStreamBeginCapture(self.stream, self._mode(mode))) == "SUCCESS"

    def end(self) -> str:
        answer = self._raw.cuStreamEndCapture(self.stream)
        self.graph = answer[1]
        return self.name(answer)

    def ready(self) -> Callable[[], str]:
        """End it and instantiate; the result launches."""
        assert self.end() == "SUCCESS"
        _, ready = self._raw.cuGraphInstantiate(self.graph, 0)
        self._raw.cuGraphDestroy(self.graph)
        return lambda: self.name(self._raw.cuGraphLaunch(ready, self.stream))

    def _mode(self, mode: int) -> Any:
        return self._raw.CUstreamCaptureMode(mode)

    @staticmethod
    def name(answer: tuple[Any, ...]) -> str:
        return str(answer[0].name).removeprefix("CUDA_").removeprefix("ERROR_")


@pytest.fixture
def capture(raw: Any, stream: Any) -> Capture:
    return Capture(raw, stream)


def test_what_is_captured_is_done_at_each_launch_and_not_before(
    cuda: Any, block: Any, stream: Any, capture: Capture
) -> None:
    source = pinned(cuda, 1)
    capture.begin()
    cuda.memcpy_htod_async(block, source, stream)
    launch = capture.ready()
    stream.synchronize()
    assert seen(block) == UNTOUCHED
    for value in (2, 3):
        source[:] = value
        assert launch() == "SUCCESS"
        assert seen(block) != value
        stream.synchronize()
        assert seen(block) == value


WAITS: dict[str, Callable[[Any, Any, Any], object]] = {
    "a wait for the stream": lambda cuda, block, stream: stream.synchronize(),
    "a wait for another stream": lambda cuda, block, stream: cuda.Stream().synchronize(),
    "a question to the stream": lambda cuda, block, stream: stream.is_done(),
    "a wait for an event": lambda cuda, block, stream: cuda.Event().synchronize(),
    "a question to an event": lambda cuda, block, stream: cuda.Event().query(),
    "a wait for everything": lambda cuda, block, stream: cuda.Context.synchronize(),
    "device memory": lambda cuda, block, stream: cuda.mem_alloc(SIZE),
    "pinned memory": lambda cuda, block, stream: pinned(cuda, 0),
    "a copy without a stream": lambda cuda, block, stream: cuda.memcpy_htod(block, pageable(0)),
    "a fill without a stream": lambda cuda, block, stream: cuda.memset_d8(block, 0, SIZE),
    "pageable memory read": lambda cuda, block, stream: cuda.memcpy_htod_async(
        block, pageable(0), stream
    ),
    "pageable memory written": lambda cuda, block, stream: cuda.memcpy_dtoh_async(
        pageable(0), block, stream
    ),
}


@pytest.mark.parametrize("what", WAITS)
def test_what_cannot_be_captured_is_refused_and_spoils_the_capture(
    cuda: Any, block: Any, stream: Any, capture: Capture, what: str
) -> None:
    capture.begin()
    with pytest.raises(cuda.Error, match="STREAM_CAPTURE_UNSUPPORTED"):
        WAITS[what](cuda, block, stream)
    with pytest.raises(cuda.Error, match="STREAM_CAPTURE_INVALIDATED"):
        cuda.memset_d8_async(block, 0, SIZE, stream)
    assert capture.end() == "STREAM_CAPTURE_INVALIDATED"
    cuda.memset_d32_async(block, 7, LENGTH, stream)  # the stream is as good as before
    stream.synchronize()
    assert seen(block) == 7


def test_a_relaxed_capture_minds_a_wait_for_its_stream_but_no_allocation(
    cuda: Any, stream: Any, capture: Capture
) -> None:
    capture.begin(RELAXED)
    cuda.mem_alloc(SIZE).free()
    with pytest.raises(cuda.Error, match="STREAM_CAPTURE_UNSUPPORTED"):
        stream.synchronize()
    assert capture.end() == "STREAM_CAPTURE_INVALIDATED"


def test_freeing_is_refused_in_a_capture(block: Any, raw: Any, capture: Capture) -> None:
    capture.begin()
    assert capture.name(raw.cuMemFree(int(block))) == "STREAM_CAPTURE_UNSUPPORTED"
    assert capture.end() == "STREAM_CAPTURE_INVALIDATED"


def test_the_default_stream_cannot_be_used_next_to_a_capture(
    block: Any, raw: Any, capture: Capture
) -> None:
    capture.begin()
    assert capture.name(raw.cuMemsetD8Async(int(block), 0, SIZE, 0)) == "STREAM_CAPTURE_IMPLICIT"
    assert capture.end() == "STREAM_CAPTURE_INVALIDATED"


@pytest.mark.parametrize(
    ("mode", "ended"), [(THREAD_LOCAL, "SUCCESS"), (GLOBAL, "STREAM_CAPTURE_INVALIDATED")]
)
def test_another_thread_may_allocate_unless_the_capture_is_global(
    capture: Capture, mode: int, ended: str
) -> None:
    address = ctypes.c_ulonglong()
    capture.begin(mode)
    elsewhere.start(lambda lib: lib.cuMemAlloc_v2(ctypes.byref(address), SIZE)).join()
    assert capture.end() == ended
    assert bool(address.value) == (ended == "SUCCESS")


def test_a_capture_is_ended_by_the_thread_that_began_it(capture: Capture) -> None:
    codes, stream, graph = list[int](), ctypes.c_void_p(capture.stream), ctypes.c_void_p()
    capture.begin()
    elsewhere.start(
        lambda lib: codes.append(lib.cuStreamEndCapture(stream, ctypes.byref(graph)))
    ).join()
    assert codes == [WRONG_THREAD]
    assert capture.end() == "SUCCESS"


def test_a_capture_is_of_a_stream_of_ones_own_and_one_at_a_time(
    raw: Any, stream: Any, capture: Capture
) -> None:
    mode = raw.CUstreamCaptureMode(THREAD_LOCAL)
    assert capture.name(raw.cuStreamBeginCapture(0, mode)) == "STREAM_CAPTURE_UNSUPPORTED"
    assert capture.end() == "ILLEGAL_STATE"  # nothing was begun
    capture.begin()
    assert capture.name(raw.cuStreamBeginCapture(stream.handle, mode)) == "ILLEGAL_STATE"
    assert capture.end() == "SUCCESS"


def test_a_capture_goes_with_its_stream(cuda: Any, raw: Any) -> None:
    before = driver.live()
    stream = cuda.Stream()
    Capture(raw, stream).begin()
    del stream
    assert driver.live() == before
    cuda.mem_alloc(SIZE)  # nobody captures any more


def test_a_wait_for_what_is_not_captured_is_refused(
    cuda: Any, stream: Any, capture: Capture
) -> None:
    outside = cuda.Event().record(cuda.Stream())
    capture.begin()
    with pytest.raises(cuda.Error, match="STREAM_CAPTURE_ISOLATION"):
        stream.wait_for_event(outside)
    assert capture.end() == "STREAM_CAPTURE_INVALIDATED"


def test_an_event_of_a_capture_is_reached_by_no_launch(
    cuda: Any, stream: Any, capture: Capture
) -> None:
    event = cuda.Event()
    capture.begin()
    event.record(stream)
    stream.wait_for_event(event)  # order within the stream: there is nothing to do
    launch = capture.ready()
    assert launch() == "SUCCESS"
    with pytest.raises(cuda.Error, match="CAPTURED_EVENT"):
        event.synchronize()
    stream.synchronize()
    with pytest.raises(cuda.Error, match="INVALID_HANDLE"):
        event.time_till(event)


def test_graphs_that_were_not_destroyed_are_counted(raw: Any, capture: Capture) -> None:
    before = driver.live()["graphs"]
    capture.begin()
    raw.cuStreamSynchronize(capture.stream)  # spoils it
    capture.end()
    assert driver.live()["graphs"] == before
    capture.begin()
    capture.end()
    _, ready = raw.cuGraphInstantiate(capture.graph, 0)
    assert driver.live()["graphs"] == before + 2
    raw.cuGraphDestroy(capture.graph)
    raw.cuGraphExecDestroy(ready)
    assert driver.live()["graphs"] == before


@pytest.mark.parametrize("freed", ["device memory", "pinned memory"])
def test_a_graph_that_comes_to_freed_memory_breaks_its_context_for_ever(
    cuda: Any, block: Any, stream: Any, capture: Capture, freed: str
) -> None:
    source: Any = pinned(cuda, 1)
    capture.begin()
    cuda.memcpy_htod_async(block, source, stream)
    launch = capture.ready()
    (block if freed == "device memory" else source.base).free()
    assert launch() == "SUCCESS"
    for call in (stream.synchronize, cuda.Context.synchronize, lambda: cuda.mem_alloc(SIZE)):
        with pytest.raises(cuda.Error, match="ILLEGAL_ADDRESS"):
            call()
    driver.reset()
