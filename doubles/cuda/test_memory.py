"""Device memory is full of garbage at first; its use out of bounds or too late is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doubles.cuda.arrays import LENGTH, SIZE, UNTOUCHED, pageable, pinned, seen
from doubles.tensorrt import driver


def test_new_memory_is_full_of_garbage(cuda: Any, block: Any) -> None:
    assert seen(block) == UNTOUCHED
    assert set(cuda.pagelocked_empty(LENGTH, np.uint32).tolist()) == {UNTOUCHED}


@pytest.mark.parametrize(("offset", "size"), [(4, SIZE), (-4, SIZE), (0, SIZE + 4), (SIZE, 4)])
def test_a_copy_out_of_bounds_is_refused_and_breaks_nothing(
    cuda: Any, block: Any, stream: Any, offset: int, size: int
) -> None:
    for source in (pageable(1), pinned(cuda, 1)):
        with pytest.raises(cuda.LogicError, match="INVALID_VALUE"):
            cuda.memcpy_htod_async(int(block) + offset, np.resize(source, size // 4), stream)
    with pytest.raises(cuda.LogicError, match="INVALID_VALUE"):
        cuda.memset_d8_async(int(block) + offset, 0, size, stream)
    stream.synchronize()
    assert seen(block) == UNTOUCHED


# Each takes pycuda's driver, an address that memory does not go on long enough from, and memory.
OUT_OF_BOUNDS: dict[str, Callable[[Any, int, Any], object]] = {
    "to the device": lambda cuda, out, inside: cuda.memcpy_htod(out, pageable(1)),
    "to the host": lambda cuda, out, inside: cuda.memcpy_dtoh(pageable(1), out),
    "from out of bounds": lambda cuda, out, inside: cuda.memcpy_dtod(inside, out, SIZE),
    "to out of bounds": lambda cuda, out, inside: cuda.memcpy_dtod(out, inside, SIZE),
    "a fill": lambda cuda, out, inside: cuda.memset_d32(out, 0, LENGTH),
}


@pytest.mark.parametrize("what", OUT_OF_BOUNDS)
def test_what_is_out_of_bounds_is_refused_without_a_stream_too(
    cuda: Any, block: Any, what: str
) -> None:
    with pytest.raises(cuda.LogicError, match="INVALID_VALUE"):
        OUT_OF_BOUNDS[what](cuda, int(block) + 4, cuda.mem_alloc(SIZE))


def test_only_what_is_within_one_live_block_has_an_alias(cuda: Any, block: Any) -> None:
    start = int(block)
    assert driver.alias(start + 4, SIZE - 4)
    assert driver.alias(start, SIZE + 1) is None
    assert driver.alias(start - 1, 1) is None
    assert driver.alias(start + 4, 2**64 - 8) is None
    block.free()
    assert driver.alias(start, SIZE) is None


def test_memory_that_was_freed_is_refused(cuda: Any, block: Any, stream: Any) -> None:
    address = int(block)
    block.free()
    with pytest.raises(cuda.LogicError, match="INVALID_VALUE"):
        cuda.memcpy_htod_async(address, pageable(1), stream)


def test_no_address_is_given_out_again(cuda: Any) -> None:
    taken = set()
    for _ in range(100):
        block = cuda.mem_alloc(SIZE)
        taken.add(int(block))
        block.free()
    assert len(taken) == 100


def test_what_is_freed_goes_back_to_the_machine(cuda: Any) -> None:
    before = Path("/proc/self/maps").read_text().count("memfd:double")
    block = cuda.mem_alloc(SIZE)
    assert Path("/proc/self/maps").read_text().count("memfd:double") > before
    block.free()
    assert Path("/proc/self/maps").read_text().count("memfd:double") == before


@pytest.mark.parametrize("flags", [None, 0])
def test_freeing_waits_for_what_is_queued(cuda: Any, block: Any, flags: int | None) -> None:
    target, stream = pinned(cuda, 0), None if flags is None else cuda.Stream(flags)
    cuda.memset_d32_async(block, 7, LENGTH, stream)
    cuda.memcpy_dtoh_async(target, block, stream)
    block.free()
    assert (target == 7).all()


def test_what_is_freed_hastily_breaks_its_context_when_work_comes_to_it(
    cuda: Any, block: Any, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUBLE_HASTY_FREE", "1")
    cuda.memset_d32_async(block, 7, LENGTH, stream)
    block.free()
    for call in (stream.synchronize, cuda.Context.synchronize, lambda: cuda.mem_alloc(SIZE)):
        with pytest.raises(cuda.Error, match="ILLEGAL_ADDRESS"):
            call()


def test_only_whole_blocks_are_freed_and_once(raw: Any) -> None:
    _, address = raw.cuMemAlloc(SIZE)
    codes = [raw.cuMemFree(int(address) + offset)[0].name for offset in (4, 0, 0)]
    refused = "CUDA_ERROR_INVALID_VALUE"
    assert codes == [refused, "CUDA_SUCCESS", refused]


def test_a_device_that_shrinks_below_what_is_used_has_nothing_left(
    cuda: Any, block: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del block
    monkeypatch.setenv("DOUBLE_MEMORY_BYTES", "1")
    assert cuda.mem_get_info() == (0, 1)


def test_more_than_the_device_has_is_out_of_memory(
    cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused, _ = cuda.mem_get_info()
    used = cuda.Device(0).total_memory() - unused
    monkeypatch.setenv("DOUBLE_MEMORY_BYTES", str(used + 1000))
    block = cuda.mem_alloc(600)
    assert cuda.mem_get_info() == (400, used + 1000)
    with pytest.raises(cuda.MemoryError):
        cuda.mem_alloc(600)
    block.free()
    cuda.mem_alloc(600).free()


def test_registered_memory_is_pinned_until_it_is_unregistered(
    cuda: Any, raw: Any, block: Any, stream: Any
) -> None:
    source = pageable(1)
    raw.cuMemHostRegister(source.ctypes.data, SIZE, 0)  # pycuda's own frees it too early
    cuda.memcpy_htod_async(block, source, stream)
    source[:] = 2
    stream.synchronize()
    assert seen(block) == 2
    raw.cuMemHostUnregister(source.ctypes.data)
    cuda.memcpy_htod_async(block, source, stream)
    source[:] = 3
    stream.synchronize()
    assert seen(block) == 2
