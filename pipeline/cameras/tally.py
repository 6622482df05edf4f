"""What one camera has done so far: plain numbers, for metrics and for people."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.cameras.values import Left, Lost, NewEpoch, State


@dataclass(slots=True)
class CameraTally:
    """One camera's account. It outlives the camera's restarts, so that no counter goes back.

    Each number is written by one thread: the camera's own, or the relay's (published, overflowed,
    expired, oversized). Anybody may read.
    """

    state: State = State.CONNECTING
    why: str = ""  # it is not live
    left: Counter[Left] = field(default_factory=Counter)
    lost: Counter[Lost] = field(default_factory=Counter)
    epochs: Counter[NewEpoch] = field(default_factory=Counter)
    captured_us: int = 0  # of the newest shot; 0 before the first
