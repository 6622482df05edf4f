"""Ends a command that runs until a signal stops it."""

import signal
from collections.abc import Callable
from types import FrameType


def until_signalled(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGINT or SIGTERM; a second one kills as usual."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        stop()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
