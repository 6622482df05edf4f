"""What `execute_async_v3` puts into a stream: a run, with the addresses and shapes of its time."""

import ctypes
import itertools
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from doubles.tensorrt import driver
from doubles.tensorrt.loaded import Loaded
from doubles.tensorrt.ports import Port, Shape
from doubles.tensorrt.trouble import misuse

GARBAGE = 0xEE  # what a run leaves in its scratch memory
_calls: dict[int, tuple[int, Callable[[], None]]] = {}  # of graphs too, whose end nobody tells us
_keys = itertools.count(1)


class IllegalAddressError(Exception):
    """A tensor does not lie in one live block of device memory."""


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor in device memory."""

    port: Port
    shape: Shape
    address: int

    @property
    def size(self) -> int:
        return self.port.size(self.shape)

    def overlaps(self, other: "Place") -> bool:
        """Whether the two share a byte."""
        return (
            self.address < other.address + other.size and other.address < self.address + self.size
        )

    def array(self) -> NDArray[np.generic]:
        """View the memory from the host."""
        return _view(self.address, self.size).view(self.port.numpy_dtype).reshape(self.shape)


@dataclass
class Life:
    """Of a context: what its runs must know when they come to run, perhaps after its end."""

    ended: bool = False
    running: threading.Lock = field(default_factory=threading.Lock)
    unfinished: dict[int, int] = field(default_factory=dict)  # run -> its stream


@dataclass(frozen=True)
class Run:
    """One enqueued inference; in a graph it runs at every launch."""

    loaded: Loaded
    life: Life
    inputs: list[Place]
    outputs: list[Place]
    scratch: tuple[int, int]
    switched: threading.Event  # set when the profile's own work on its stream is done

    def __call__(self) -> None:
        """Compute. Whatever is raised breaks the stream."""
        if self.life.ended:
            misuse("a run was reached after its context had ended")
            raise RuntimeError("the context of this run has ended")
        if not self.switched.is_set():
            raise RuntimeError("the profile was set on a stream that this one did not wait for")
        if not self.life.running.acquire(blocking=False):
            raise RuntimeError("the context runs on two streams at once")
        try:
            self._compute()
        finally:
            self.life.running.release()

    def _compute(self) -> None:
        feeds = {place.port.name: place.array().copy() for place in self.inputs}
        targets = [(place.port.name, place.array()) for place in self.outputs]
        _view(*self.scratch)[...] = GARBAGE
        results = self.loaded.run(feeds)
        for name, target in targets:
            if target.shape != results[name].shape:
                raise ValueError(f"{name} is {results[name].shape}, {target.shape} was said")
            target[...] = results[name]


def enqueue(stream: int, call: Callable[[], None], life: Life | None) -> int:
    """Let `call` run when the stream comes to it, once or with each launch of a graph.

    What it raises becomes the stream's error, as a failing kernel's would. Returns CUDA's code.
    """
    key, captured = next(_keys), driver.capturing(stream)

    def whole() -> None:
        try:
            call()
        finally:
            if not captured:
                _calls.pop(key, None)
                if life is not None:
                    life.unfinished.pop(key, None)

    _calls[key] = (stream, whole)
    if life is not None and not captured:
        life.unfinished[key] = stream
    code = driver.launch(stream, _REACHED, key)
    if code != 0:
        _calls.pop(key, None)
        if life is not None:
            life.unfinished.pop(key, None)
    return code


def _reached(key: int) -> None:
    stream, call = _calls[key]
    try:
        call()
    except IllegalAddressError:
        traceback.print_exc()
        driver.fail(stream, driver.ILLEGAL_ADDRESS)
    except Exception:  # noqa: BLE001 - ctypes would swallow it: it becomes the stream's error
        traceback.print_exc()
        driver.fail(stream, driver.LAUNCH_FAILED)


_REACHED = driver.HostFunction(_reached)  # held here: the driver keeps only its address


def _view(address: int, size: int) -> NDArray[np.uint8]:
    if size == 0:
        return np.empty(0, np.uint8)
    reachable = driver.alias(address, size)
    if reachable is None:
        raise IllegalAddressError(f"{size} bytes at {address:#x} are not in one block")
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(reachable))
