"""The seeded schedule: which fault comes next, whom it meets, and when it ends."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kafka.errors import KafkaError

from pipeline.errors import LocalKafkaError
from tests.chaos.brokers import Brokers
from tests.chaos.cameras import Cameras
from tests.chaos.crew import Crew, Post
from tests.chaos.logs import Watcher
from tests.chaos.steps import STEPS

Card = tuple[str, str]  # the kind of fault, and for arms the order
TICK_S = 0.1
HEALTH_S = 1.0
STOPS = ("before flush", "before offsets", "before commit", "after commit", "before restore")
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
    """Every fault at least once: a death at each step, a few freezes at steps, all the others."""
    cards = [("step", f"kill {step}") for step in STEPS]
    cards += [("step", f"stop {step}") for step in rng.sample(STOPS, 2)]
    cards += [(kind, "") for kind in PLAIN]
    rng.shuffle(cards)
    return cards


class Storm:
    """Makes faults happen. Owner: the thread that calls `blow`, and then `calm`."""

    def __init__(
        self,
        brokers: Brokers,
        crew: Crew,
        cameras: Cameras,
        watcher: Watcher,
        *,
        rng: random.Random,
        topics: Sequence[str],
        session_s: float,
        ttl_s: float,
    ) -> None:
        self.faults: list[Fault] = []
        self._brokers, self._crew, self._cameras, self._watcher = brokers, crew, cameras, watcher
        self._rng, self._topics, self._session_s, self._ttl_s = rng, topics, session_s, ttl_s
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._heard = 0  # hits of the crew that have been taken note of
        self._healthy, self._health_s = True, 0.0
        self._names: dict[str, str] = {}  # post -> the worker's own name
        self._mains = list(crew.posts)

    @property
    def counts(self) -> Counter[str]:
        """How often each kind of fault happened."""
        return Counter(fault.kind for fault in self.faults)

    def blow(self, seconds: float, say: Callable[[str], None]) -> None:
        """Deal the deck again and again, evenly over the time; each card once at least."""
        end_s = time.monotonic() + seconds
        cards: list[Card] = []
        while time.monotonic() < end_s:
            cards = cards or deck(self._rng)
            pause_s = min(max(1.0, (end_s - time.monotonic()) / len(cards)), 4.0)
            card = cards.pop()
            if not self._deal(card):
                cards.insert(0, card)
            say(f"{end_s - time.monotonic():.0f} s left, {len(self.faults)} faults, {card[0]}")
            self._tend(pause_s * self._rng.uniform(0.6, 1.4))
        self._finish(cards)

    def calm(self) -> None:
        """End every fault that lasts: nothing is armed, frozen, stalled, or down any more."""
        self._crew.disarm()
        for _, act in self._later:
            act()
        self._later = []
        self._crew.wake()
        self._brokers.proxy.heal()
        self._cameras.silent.clear()

    def tend(self) -> None:
        """Whatever has become due; and the dead are started again."""
        self._crew.tend()
        now_s = time.monotonic()
        due = [act for due_s, act in self._later if due_s <= now_s]
        self._later = [entry for entry in self._later if entry[0] > now_s]
        for act in due:
            act()
        self._hear()
        if now_s - self._health_s > HEALTH_S and not self._healthy:
            self._healthy = self._brokers.healthy(self._topics)
            self._health_s = time.monotonic()

    def _finish(self, cards: list[Card]) -> None:
        """Deal what the time was too short for, and give arms a while to be met."""
        for card in [card for card in cards if card[0] not in self.counts]:
            self._tend(1.0)
            self._deal(card)
        deadline_s = time.monotonic() + 5 * self._session_s
        while any(self._crew.armed(n) for n in ("any", *self._crew.posts)):
            if time.monotonic() > deadline_s:
                return
            self._tend(2.0)
            self._provoke(self._idle() or None)

    def _tend(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.tend()
            time.sleep(TICK_S)

    def _hear(self) -> None:
        hits = self._crew.hits()
        for hit in hits[self._heard :]:
            if "worker" in hit:
                self._names[hit["name"]] = hit["worker"]
            elif "step" in hit:
                post = self._crew.posts[hit["name"]]
                self._note(f"{hit['action']} {hit['step']}", post, hit["t"])
                if hit["action"] == "stop":
                    post.frozen = True
                    self._soon(self._session_s + self._rng.uniform(0.5, 3), self._waker(hit["pid"]))
        self._heard = len(hits)

    def _waker(self, pid: int) -> Callable[[], None]:
        def wake() -> None:
            for post in self._crew.posts.values():
                if post.process is not None and post.process.pid == pid:
                    self._crew.signal(post, signal.SIGCONT)

        return wake

    def _note(self, kind: str, post: Post | None, at_s: float | None = None) -> None:
        at_s = at_s or time.time()
        if post is None:
            everything = frozenset(a.place[0] for a in list(self._watcher.arrivals))
            self.faults.append(Fault(at_s, kind, "all", everything))
        else:
            name = self._names.get(post.name, post.name)
            mine = self._watcher.partitions_of(name)
            self.faults.append(Fault(at_s, kind, post.name, mine, static=post.static))

    def _soon(self, seconds: float, act: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, act))

    def _idle(self) -> list[Post]:
        """The main posts whose process runs, undisturbed as far as we know."""
        posts = (self._crew.posts[name] for name in self._mains)
        return [p for p in posts if p.alive and not p.frozen and p.wanted]

    # --------------------------------------------------------------------------- dealing a card

    def _deal(self, card: Card) -> bool:
        """Make it happen; False if it has to wait for better days."""
        kind, order = card
        idle = self._idle()
        if kind.startswith(("broker", "leaders")):
            return self._healthy and self._trouble_brokers(kind)
        if kind == "step":
            return self._arm(order, idle)
        if kind == "join":
            return self._join()
        if kind == "leave":
            return self._leave()
        if kind == "silence":
            return self._silence()
        return bool(idle) and self._trouble_worker(kind, self._rng.choice(idle))

    def _arm(self, order: str, idle: list[Post]) -> bool:
        free = [n for n in ("any", *(p.name for p in idle)) if not self._crew.armed(n)]
        if not free or not idle:
            return False
        self._crew.arm(free[0], order)
        rare = order.split()[-1] in ("init", "restore", "revoke")
        if rare:
            self._provoke([p for p in idle if free[0] in ("any", p.name)])
        return True

    def _provoke(self, idle: list[Post] | None) -> None:
        """Make somebody begin anew, or take partitions from somebody: steps that are rare."""
        if self._rng.random() < 0.5 and (self._join() or self._leave()):
            return
        if idle:
            self._kill(self._rng.choice(idle))

    def _kill(self, post: Post) -> None:
        self._note("kill", post)
        self._crew.signal(post, signal.SIGKILL)

    def _trouble_worker(self, kind: str, post: Post) -> bool:
        proxy, rng = self._brokers.proxy, self._rng
        if kind == "kill":
            self._kill(post)
            return True
        self._note(kind, post)
        if kind == "zombie":
            self._crew.signal(post, signal.SIGSTOP)
            frozen_s = self._session_s + rng.uniform(0.5, 4)
            self._soon(frozen_s, lambda: self._crew.signal(post, signal.SIGCONT))
        elif kind == "twin":
            self._twin(post)
        elif kind == "term":
            self._crew.signal(post, signal.SIGTERM)
            self._soon(rng.uniform(1, 3), lambda: setattr(post, "wanted", True))
        elif kind == "cut worker":
            proxy.cut(lambda wire: wire[0] == post.address)
        elif kind == "stall worker":
            self._soon(rng.uniform(1, 9), proxy.stall(lambda wire: wire[0] == post.address))
        else:
            self._trouble_wires(kind, post)
        return True

    def _trouble_wires(self, kind: str, post: Post) -> None:
        proxy, rng = self._brokers.proxy, self._rng
        broker = rng.choice(self._brokers.ids)
        if kind == "cut broker":
            proxy.cut(lambda wire: wire[1] == broker)
        elif kind == "stall broker":
            self._soon(rng.uniform(1, 7), proxy.stall(lambda wire: wire[1] == broker))
        elif kind == "slow":
            held_s = rng.uniform(0.02, 0.2)
            slow = proxy.slow(lambda wire: wire[0] == post.address, held_s)
            self._soon(rng.uniform(3, 8), slow)
        else:
            raise ValueError(f"no such fault: {kind}")

    def _twin(self, post: Post) -> None:
        """Freeze it and let its supervisor put another in its place; then it wakes up."""
        twin = self._crew.replace(post)
        if twin is None:
            return
        self._crew.twins.append(twin)
        self._soon(self._rng.uniform(3, 8), lambda: twin.send_signal(signal.SIGCONT))
        self._soon(40, lambda: twin.kill() if twin.poll() is None else None)

    def _join(self) -> bool:
        extra = f"extra-{len(self._crew.posts) - len(self._mains)}"
        away = [p for n, p in self._crew.posts.items() if n not in self._mains and not p.alive]
        if not away and len(self._crew.posts) - len(self._mains) >= 2:
            return False
        if away:
            away[0].wanted = True
            post = away[0]
        else:
            post = self._crew.hire(extra, static=False)
        self.faults.append(Fault(time.time(), "join", post.name, frozenset()))
        return True

    def _leave(self) -> bool:
        here = [p for n, p in self._crew.posts.items() if n not in self._mains and p.alive]
        if not here or here[0].frozen:
            return False
        self._note("leave", here[0])
        self._crew.signal(here[0], signal.SIGTERM)
        return True

    def _silence(self) -> bool:
        """One camera is switched off for longer than streams are remembered."""
        camera = self._rng.choice(self._cameras.cameras).stream
        self._cameras.silent.add(camera)
        self._soon(self._ttl_s + 3, lambda: self._cameras.silent.discard(camera))
        self.faults.append(Fault(time.time(), "silence", camera, frozenset()))
        return True

    def _trouble_brokers(self, kind: str) -> bool:
        node, rng = self._rng.choice(self._brokers.ids), self._rng
        try:
            if kind == "leaders":
                self._brokers.move_leaders(self._topics, 2, rng)
            elif kind == "broker kill":
                self._brokers.kafka.kill(node)
                self._soon(rng.uniform(1, 7), lambda: self._brokers.kafka.launch(node))
                self._healthy = False
            else:
                self._brokers.kafka.stop_node(node, signal.SIGSTOP)
                thaw = signal.SIGCONT
                self._soon(rng.uniform(2, 7), lambda: self._brokers.kafka.stop_node(node, thaw))
                self._healthy = False
        except (KafkaError, LocalKafkaError):
            return False
        self._note(kind, None)
        return True
