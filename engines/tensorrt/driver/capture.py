"""CUDA graphs: a recorded sequence of calls is queued again with one call.

pycuda has none, so they come from cuda-bindings, on pycuda's stream. Without it, or where a plan
cannot be captured, everything is queued call by call.
"""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

from engines.errors import DeviceError

log = logging.getLogger(__name__)


class Recorder:
    """Records what is queued on one stream. `failure` says why it cannot, empty if it can."""

    def __init__(self, stream: int) -> None:
        self.failure = ""
        self._driver: Any = None
        try:
            self._driver = import_module("cuda.bindings.driver")
            self._stream = self._driver.CUstream(stream)
        except ImportError as exc:
            self.failure = f"cuda-bindings cannot be imported ({exc})"

    def record(self, enqueue: Callable[[], None]) -> "Recording | None":
        """Record what `enqueue` queues, without running it. Returns None where that fails."""
        if self.failure:
            return None
        driver = self._driver
        try:
            mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            self._call("cuStreamBeginCapture", self._stream, mode)
            try:
                enqueue()
            finally:
                (graph,) = self._call("cuStreamEndCapture", self._stream)
            (ready,) = self._call("cuGraphInstantiate", graph, 0)
            self._call("cuGraphDestroy", graph)
        except CaptureError as exc:
            self.failure = str(exc)
            log.warning("no CUDA graphs: %s", exc)
            return None
        return Recording(self._call, self._stream, ready)

    def _call(self, name: str, *arguments: object) -> tuple[Any, ...]:
        code, *answers = getattr(self._driver, name)(*arguments)
        if code != self._driver.CUresult.CUDA_SUCCESS:
            raise CaptureError(f"the GPU failed at {name} ({code.name})")
        return tuple(answers)


class CaptureError(DeviceError):
    """A call cannot be part of a CUDA graph, or a recorded graph cannot be run."""


class Recording:
    """One CUDA graph, ready to be queued on the stream that it was recorded on."""

    def __init__(self, call: Callable[..., tuple[Any, ...]], stream: object, ready: object) -> None:
        self._call, self._stream, self._ready = call, stream, ready

    def replay(self) -> None:
        """Queue it. Raises `CaptureError`."""
        self._call("cuGraphLaunch", self._ready, self._stream)

    def close(self) -> None:
        """Free it. It must not be running."""
        self._call("cuGraphExecDestroy", self._ready)
