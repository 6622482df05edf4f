"""Carries out the schedule: deals the deck over the time, reads the traps' hits, ends faults."""

import faulthandler
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.chaos.crew import Crew
from tests.chaos.schedule import RARE, Card, Later, deck, kind_of
from tests.chaos.troubles import Troubles

TICK_S = 0.1
LONGEST_PAUSE_S = 3.4  # ten minutes are four decks: each named step four times
STALL_S = 20.0
STUBBORN_S = 4.0  # a rare step that no worker has reached for this long is provoked again
GIVE_UP_S = 90.0
STUCK_S = 30.0  # if this thread hangs in a call for this long, it prints its stack


class Storm:
    """Owner: the thread that calls `blow`, maybe `finish`, `calm`, `tend` until the end, `rest`."""

    def __init__(
        self,
        troubles: Troubles,
        crew: Crew,
        *,
        later: Later,
        rng: random.Random,
        session_s: float,
        silent_for: Callable[[float], frozenset[int]],
    ) -> None:
        self._troubles, self._crew = troubles, crew
        self._later, self._rng, self._session_s = later, rng, session_s
        self._first: list[Card] = deck(rng)
        self._silent_for = silent_for
        self.stalls: list[tuple[float, frozenset[int]]] = []  # when, and which partitions
        self._explained_s = 0.0
        self._heard = 0  # number of the crew's hits that have been recorded

    @property
    def counts(self) -> Counter[str]:
        """Return how often each kind of fault happened."""
        return Counter(fault.kind for fault in self._troubles.faults)

    def blow(self, seconds: float, say: Callable[[str], None]) -> None:
        """Deal the deck repeatedly, evenly over the time."""
        end_s = time.monotonic() + seconds
        cards = list(self._first)
        while (left_s := end_s - time.monotonic()) > 0:
            cards = cards or deck(self._rng)
            pause_s = min(max(1.0, left_s / len(cards)), LONGEST_PAUSE_S)
            card = cards.pop()
            if not self._troubles.deal(card):
                cards.insert(0, card)
                if card[0] == "step":
                    self._troubles.provoke()  # all armed steps are ones that no worker reaches
                else:
                    pause_s = min(pause_s, TICK_S * len(cards))
            say(f"{left_s:.0f} s left, {len(self._troubles.faults)} faults, {kind_of(card)}")
            self._tend(pause_s * self._rng.uniform(0.6, 1.4))

    def calm(self) -> None:
        """End every lasting fault, so that nothing is armed, frozen, stalled or down any more."""
        self._crew.disarm()
        self._later.do_all()
        self._crew.wake()

    def rest(self) -> None:
        """Stop restarting workers and doing later actions."""
        faulthandler.cancel_dump_traceback_later()

    def tend(self) -> None:
        """Do due actions and restart dead workers, until `rest` is called."""
        assert sys.__stderr__ is not None
        faulthandler.dump_traceback_later(STUCK_S, file=sys.__stderr__)
        self._crew.tend()
        self._later.do_due()
        self._hear()
        self._troubles.look()
        self._explain()

    def _explain(self) -> None:
        """Make all workers print what they do if a partition stands still for too long."""
        still = self._silent_for(STALL_S)
        if still and time.monotonic() - self._explained_s > STALL_S:
            self._explained_s = time.monotonic()
            self.stalls.append((time.time(), still))
            for post in self._crew.posts.values():
                if post.alive and not post.frozen:
                    self._crew.signal(post, signal.SIGUSR1)

    def finish(self, say: Callable[[str], None]) -> None:
        """Deal the faults that have not happened yet, and wait until they have."""
        deadline_s = time.monotonic() + GIVE_UP_S
        while missing := [card for card in self._first if kind_of(card) not in self.counts]:
            if time.monotonic() > deadline_s:
                return
            card = missing[0]
            say(f"still to come: {', '.join(kind_of(card) for card in missing)}")
            if not self._armed(card) and not self._troubles.deal(card):
                self._tend(1.0)
            self._await(kind_of(card))
            if kind_of(card) not in self.counts and card[1].endswith(RARE):
                self._troubles.provoke()

    def _armed(self, card: Card) -> bool:
        return any(arm.read_text() == card[1] for arm in self._crew.folder.glob("*.arm"))

    def _await(self, kind: str) -> None:
        deadline_s = time.monotonic() + STUBBORN_S
        while kind not in self.counts and time.monotonic() < deadline_s:
            self._tend(TICK_S)

    def _tend(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.tend()
            time.sleep(TICK_S)

    def _hear(self) -> None:
        """Record the hits that the workers' traps have written."""
        hits = self._crew.hits()
        for hit in hits[self._heard :]:
            if "worker" in hit:
                self._troubles.names[hit["name"]] = hit["worker"]
            elif "step" in hit:
                post = self._crew.posts[hit["name"]]
                self._troubles.note(f"{hit['action']} {hit['step']}", post, hit["t"])
                if hit["action"] == "stop":
                    post.frozen = True
                    frozen_s = self._session_s + self._rng.uniform(0.5, 3)
                    self._later.add(frozen_s, self._waker(hit["pid"]))
        self._heard = len(hits)

    def _waker(self, pid: int) -> Callable[[], None]:
        def wake() -> None:
            for post in self._crew.posts.values():
                if post.process is not None and post.process.pid == pid:
                    self._crew.signal(post, signal.SIGCONT)

        return wake
