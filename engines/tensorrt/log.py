"""TensorRT's log: a failed call returns `None` or `False`, and only the log says why."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import tensorrt as trt

from engines.errors import EngineUnavailableError

log = logging.getLogger(__name__)

KEPT = 8  # newest errors
LEVELS = {
    trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
    trt.ILogger.Severity.ERROR: logging.ERROR,
    trt.ILogger.Severity.WARNING: logging.WARNING,
    trt.ILogger.Severity.INFO: logging.DEBUG,  # hundreds of lines in a build
    trt.ILogger.Severity.VERBOSE: logging.DEBUG,
}


class TensorRtLog(trt.ILogger):
    """Passes messages on to `logging` and keeps the newest errors. Any thread may call it."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._errors: deque[str] = deque(maxlen=KEPT)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """TensorRT calls this."""
        level = LEVELS.get(severity, logging.DEBUG)
        log.log(level, "TensorRT: %s", msg)
        if level == logging.ERROR:
            self._errors.append(msg.strip())

    def trouble(self) -> str:
        """Return the newest errors, and clear them."""
        said = "; ".join(self._errors) or "it did not say why"
        self._errors.clear()
        return said


@contextmanager
def beginning(log: TensorRtLog) -> Iterator[None]:
    """Guard the making of TensorRT's runtime or builder, which fails if the driver is too old.

    Raises `EngineUnavailableError`.
    """
    try:
        yield
    except TypeError as exc:  # what its bindings make of a null pointer
        raise EngineUnavailableError(
            f"TensorRT is installed but does not begin ({log.trouble()}): the driver may be too old"
            " for its CUDA; `nvidia-smi` says the newest that the driver knows"
        ) from exc
