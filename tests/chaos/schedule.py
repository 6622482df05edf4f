"""The seeded deck of faults, the record of each that happened, and a queue of later actions."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.steps import STEPS

Card = tuple[str, str]  # the kind of fault, and for arms the order: `kill`, `stop` or `lose STEP`
STOPS = ("before flush", "before offsets", "before commit", "after commit", "before restore")
LOST = ("after send", "after flush", "after offsets", "before commit", "after commit")
RARE = ("init", "restore", "revoke")  # a worker reaches these steps only if another fault makes it
PLAIN = ("kill", "kill", "kill", "zombie", "zombie", "twin", "join", "leave", "term", "broker kill",
         "broker freeze", "leaders", "leaders", "cut worker", "cut broker", "stall worker",
         "stall broker", "slow", "silence")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happened, at `at_s` since 1970, to the streams of these partitions."""

    at_s: float
    kind: str
    whom: str
    partitions: frozenset[int]
    static: bool = False


def deck(rng: random.Random) -> list[Card]:
    """Return a deck with every fault: a death at each step, freezes, lost answers, the others."""
    cards = [("step", f"kill {step}") for step in STEPS]
    cards += [("step", f"stop {step}") for step in rng.sample(STOPS, 2)]
    cards += [("step", f"lose {step}") for step in LOST]
    cards += [(kind, "") for kind in PLAIN]
    rng.shuffle(cards)
    return cards


def kind_of(card: Card) -> str:
    """Return the name of the fault that this card causes."""
    return card[1] or card[0]


class Later:
    """Actions to do at a later time. One owner thread."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, Callable[[], object]]] = []

    def add(self, seconds: float, act: Callable[[], object]) -> None:
        """Do an action in this many seconds."""
        self._acts.append((time.monotonic() + seconds, act))

    def do_due(self) -> None:
        """Do the actions that are due."""
        self._do(time.monotonic())

    def do_all(self) -> None:
        """Do all actions now."""
        self._do(float("inf"))

    def _do(self, until_s: float) -> None:
        due = [act for due_s, act in self._acts if due_s <= until_s]
        self._acts = [entry for entry in self._acts if entry[0] > until_s]
        for act in due:
            act()
