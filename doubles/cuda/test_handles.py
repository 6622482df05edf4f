"""What is no handle any more is refused in every call that takes one."""

from collections.abc import Callable
from typing import Any

import pytest

from doubles.cuda.arrays import SIZE

# Each takes cuda.bindings' driver, a stream and the address of device memory.
CALLS: dict[str, Callable[[Any, Any, int], tuple[Any, ...]]] = {
    "a wait": lambda raw, stream, block: raw.cuStreamSynchronize(stream),
    "a question": lambda raw, stream, block: raw.cuStreamQuery(stream),
    "its end": lambda raw, stream, block: raw.cuStreamDestroy(stream),
    "a capture": lambda raw, stream, block: raw.cuStreamBeginCapture(
        stream, raw.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
    ),
    "a copy to the device": lambda raw, stream, block: raw.cuMemcpyHtoDAsync(
        block, bytes(SIZE), SIZE, stream
    ),
    "a copy to the host": lambda raw, stream, block: raw.cuMemcpyDtoHAsync(
        bytearray(SIZE), block, SIZE, stream
    ),
    "a copy within the device": lambda raw, stream, block: raw.cuMemcpyDtoDAsync(
        block, block, SIZE, stream
    ),
    "a fill": lambda raw, stream, block: raw.cuMemsetD8Async(block, 0, SIZE, stream),
    "an event": lambda raw, stream, block: raw.cuEventRecord(raw.cuEventCreate(0)[1], stream),
    "a wait for an event": lambda raw, stream, block: raw.cuStreamWaitEvent(
        stream, raw.cuEventCreate(0)[1], 0
    ),
    "a host function": lambda raw, stream, block: raw.cuLaunchHostFunc(stream, raw.CUhostFn(0), 0),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_stream_that_was_destroyed_is_no_handle(raw: Any, block: Any, call: str) -> None:
    _, stream = raw.cuStreamCreate(0)
    raw.cuStreamDestroy(stream)
    code, *_ = CALLS[call](raw, stream, int(block))
    assert code.name == "CUDA_ERROR_INVALID_HANDLE"


@pytest.mark.parametrize("call", ["cuEventRecord", "cuStreamWaitEvent"])
def test_an_event_that_was_destroyed_is_no_handle_in_a_stream(
    raw: Any, stream: Any, call: str
) -> None:
    _, event = raw.cuEventCreate(0)
    raw.cuEventDestroy(event)
    arguments = (event, stream.handle) if call == "cuEventRecord" else (stream.handle, event, 0)
    assert getattr(raw, call)(*arguments)[0].name == "CUDA_ERROR_INVALID_HANDLE"
