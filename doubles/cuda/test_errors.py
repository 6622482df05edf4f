"""Errors that stay, errors that tests plan, and what is left behind; and another GPU."""

import ctypes
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from doubles.cuda.arrays import SIZE, pinned, seen
from doubles.tensorrt import driver


def test_another_thread_has_no_context(raw: Any) -> None:
    codes: list[str] = []
    thread = threading.Thread(target=lambda: codes.append(raw.cuMemAlloc(SIZE)[0].name))
    thread.start()
    thread.join()
    assert codes == ["CUDA_ERROR_INVALID_CONTEXT"]


def test_an_asynchronous_error_is_every_later_calls(cuda: Any, block: Any, stream: Any) -> None:
    driver.fail(stream.handle, driver.LAUNCH_FAILED)
    for call in (stream.synchronize, cuda.Stream, lambda: cuda.mem_alloc(SIZE), stream.is_done):
        with pytest.raises(cuda.Error, match="LAUNCH_FAILED"):
            call()
    driver.reset()
    cuda.memset_d32_async(block, 7, 4, stream)
    stream.synchronize()
    assert seen(block) == 7


def test_what_is_queued_behind_an_error_is_not_done(cuda: Any, block: Any, stream: Any) -> None:
    before = seen(block)
    kernel = driver.HostFunction(lambda _: driver.fail(stream.handle, driver.LAUNCH_FAILED))
    driver.launch(stream.handle, kernel, 0)
    cuda.memset_d8_async(block, 0, SIZE, stream)
    with pytest.raises(cuda.Error):
        stream.synchronize()
    driver.reset()
    stream.synchronize()
    assert seen(block) == before


def test_an_event_that_was_destroyed_is_no_handle(raw: Any) -> None:
    _, event = raw.cuEventCreate(0)
    raw.cuEventDestroy(event)
    for call in (raw.cuEventDestroy, raw.cuEventQuery, raw.cuEventSynchronize):
        assert call(event)[0] == raw.CUresult.CUDA_ERROR_INVALID_HANDLE


@pytest.mark.parametrize("nth", [1, 3])
def test_the_nth_call_of_a_function_fails_once(cuda: Any, nth: int) -> None:
    driver.fail_call("cuMemcpyHtoD_v2", nth, driver.ILLEGAL_ADDRESS)
    block, source = cuda.mem_alloc(SIZE), pinned(cuda, 1)
    for _ in range(nth - 1):
        cuda.memcpy_htod(block, source)
    with pytest.raises(cuda.Error, match="ILLEGAL_ADDRESS"):
        cuda.memcpy_htod(block, source)
    cuda.memcpy_htod(block, source)


def test_every_call_that_does_something_can_be_made_to_fail(cuda: Any) -> None:
    del cuda
    here, libcuda = Path(__file__).parent, ctypes.CDLL("libcuda.so.1")
    sources = [here / f"{name}.c" for name in ("contexts", "copies", "graphs", "memory", "streams")]
    text = "".join(source.read_text() for source in sources)
    functions = re.findall(r"^EXPORT Result (cu\w+)\(", text, re.MULTILINE)
    assert len(functions) > 40
    for function in functions:
        driver.fail_call(function, 1, driver.LAUNCH_FAILED)
        assert libcuda[function]() == driver.LAUNCH_FAILED, function


def test_a_failure_of_one_call_is_not_met_by_another(cuda: Any, block: Any) -> None:
    driver.fail_call("cuMemcpyHtoDAsync_v2", 1, driver.ILLEGAL_ADDRESS)
    cuda.memcpy_htod(block, pinned(cuda, 1))


def test_a_failure_of_what_is_no_function_cannot_be_planned(cuda: Any) -> None:
    del cuda
    with pytest.raises(ValueError, match="cuMemAllok"):
        driver.fail_call("cuMemAllok", 1, driver.ILLEGAL_ADDRESS)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("device memory", lambda cuda: cuda.mem_alloc(SIZE)),
        ("pinned memory", lambda cuda: pinned(cuda, 0)),
        ("streams", lambda cuda: cuda.Stream()),
        ("events", lambda cuda: cuda.Event()),
        ("contexts", lambda cuda: cuda.Device(0).retain_primary_context()),
    ],
)
def test_what_was_not_given_back_is_counted(cuda: Any, kind: str, make: Any) -> None:
    before = driver.live()
    made = make(cuda)
    assert driver.live() == before | {kind: before[kind] + 1}
    if kind == "contexts":
        made.detach()
    del made
    assert driver.live() == before


def test_the_device_is_what_the_environment_says(
    cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"GPU": "Another", "CAPABILITY": "12.1", "MEMORY_BYTES": "5000", "DRIVER": "13010"}
    for name, value in (said | {"MULTIPROCESSORS": "3"}).items():
        monkeypatch.setenv(f"DOUBLE_{name}", value)
    device = cuda.Device(0)
    assert (device.name(), device.compute_capability()) == ("Another", (12, 1))
    assert (device.total_memory(), cuda.get_driver_version()) == (5000, 13010)
    assert device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT) == 3
