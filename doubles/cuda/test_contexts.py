"""Whose context a call works in, and how long a context lives."""

import ctypes
from typing import Any

import pytest

from doubles.cuda import elsewhere
from doubles.cuda.arrays import SIZE
from doubles.tensorrt import driver

INVALID_CONTEXT = 201


def name(answer: tuple[Any, ...]) -> str:
    return str(answer[0].name).removeprefix("CUDA_").removeprefix("ERROR_")


def test_a_new_context_is_on_top_until_it_is_popped(cuda: Any) -> None:
    before, live = elsewhere.context(), driver.live()["contexts"]
    new = cuda.Device(0).make_context()
    top = elsewhere.context()
    cuda.Context.pop()
    assert (elsewhere.context(), driver.live()["contexts"]) == (before, live + 1)
    new.push()
    assert elsewhere.context() == top != before
    new.detach()  # pops it, too
    assert (elsewhere.context(), driver.live()["contexts"]) == (before, live)


def test_an_error_breaks_its_own_context_only(cuda: Any, block: Any) -> None:
    broken = cuda.Device(0).make_context()
    stream = cuda.Stream()
    driver.fail(stream.handle, driver.LAUNCH_FAILED)
    with pytest.raises(cuda.Error, match="LAUNCH_FAILED"):
        cuda.mem_alloc(SIZE)
    del stream
    broken.detach()
    cuda.memset_d8(block, 0, SIZE)


def test_a_context_that_was_destroyed_is_of_no_use(raw: Any) -> None:
    _, context = raw.cuCtxCreate(None, 0, 0)
    raw.cuCtxPushCurrent(context)  # twice: destroying pops it once
    assert name(raw.cuCtxDestroy(context)) == "SUCCESS"
    assert name(raw.cuMemAlloc(SIZE)) == "CONTEXT_IS_DESTROYED"
    assert name(raw.cuCtxDestroy(context)) == "INVALID_CONTEXT"
    assert name(raw.cuCtxPushCurrent(context)) == "INVALID_CONTEXT"
    raw.cuCtxPopCurrent()
    assert name(raw.cuMemAlloc(SIZE)) == "SUCCESS"


def test_the_context_on_top_can_be_replaced_and_taken_away(raw: Any) -> None:
    before = elsewhere.context()
    _, context = raw.cuCtxCreate(None, 0, 0)
    for _ in range(2):  # replaced by itself: nothing is added
        raw.cuCtxSetCurrent(context)
    assert elsewhere.context() == int(context)
    raw.cuCtxSetCurrent(0)
    assert elsewhere.context() == before
    assert name(raw.cuCtxDestroy(context)) == "SUCCESS"
    assert elsewhere.context() == before


def test_a_thread_that_set_a_context_has_it(cuda: Any) -> None:
    del cuda
    ours, codes, address = ctypes.c_void_p(elsewhere.context()), list[int](), ctypes.c_ulonglong()

    def call(libcuda: ctypes.CDLL) -> None:
        libcuda.cuCtxPopCurrent_v2(None)
        codes.append(libcuda.cuCtxPopCurrent_v2(None))
        libcuda.cuCtxSetCurrent(ours)
        codes.append(libcuda.cuMemAlloc_v2(ctypes.byref(address), SIZE))

    elsewhere.start(call).join()
    assert codes == [INVALID_CONTEXT, 0]
