"""How signals end a command."""

import os
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


def end_container_at_sigterm() -> None:
    """Let SIGTERM end this process if it is the first one of a container (process 1).

    The kernel delivers to process 1 only the signals that it handles. Without a handler, a
    container that is stopped while it still starts would be killed at the end of its grace period.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
