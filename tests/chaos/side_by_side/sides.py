"""The two groups: their models, topics, and the slots of their workers."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Side:
    """One of the groups: its model, its topics, and the slots of its workers."""

    group: str
    bundle: str
    predictions: str
    dead_letters: str
    slots: tuple[str, ...]


def two_sides(prefix: str, bundles: Sequence[str], *, workers: int = 2) -> tuple[Side, Side]:
    """Return a group `side` and a group `side.by`, with slots that a dot joins to the same name."""
    slots = [f"worker-{n}" for n in range(workers - 1)]
    one, other = f"{prefix}side", f"{prefix}side.by"
    return (
        Side(one, bundles[0], f"{one}.predictions", f"{one}.dlq", ("by.here", *slots)),
        Side(other, bundles[1], f"{other}.predictions", f"{other}.dlq", ("here", *slots)),
    )
