"""How far a long job is: what the jobs of this room call while they work."""

from collections.abc import Callable

StepsDone = Callable[[str, int, int], None]  # called with (what, steps done, steps in all)


def unwatched(what: str, done: int, total: int) -> None:
    """A `StepsDone` for a job that nobody watches."""
    del what, done, total
