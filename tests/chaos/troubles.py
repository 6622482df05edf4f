"""Causes every kind of fault in workers, brokers, the network and cameras."""

import random
import signal
import time
from collections.abc import Sequence

from kafka.errors import KafkaError

from pipeline.errors import BrokerUnavailableError, LocalKafkaError
from tests.chaos.brokers import Brokers
from tests.chaos.cameras import Cameras
from tests.chaos.crew import Crew, Post
from tests.chaos.logs import Watcher
from tests.chaos.schedule import RARE, Card, Fault, Later

HEALTH_S = 1.0
TWIN_S = 40.0  # a woken twin that has not ended by itself after this long is ended
MOST_EXTRAS = 2


class Troubles:
    """Deals cards. `faults` lists the faults that happened. One owner thread.

    `topics` are checked to find out whether the brokers have recovered from their last fault: only
    one broker has a fault at a time.
    """

    def __init__(
        self,
        brokers: Brokers,
        crew: Crew,
        cameras: Cameras,
        watcher: Watcher,
        *,
        later: Later,
        rng: random.Random,
        topics: Sequence[str],
        session_s: float,
        ttl_s: float,
    ) -> None:
        self.faults: list[Fault] = []
        self.names: dict[str, str] = {}  # post -> the worker's own name
        self._brokers, self._crew, self._cameras, self._watcher = brokers, crew, cameras, watcher
        self._later, self._rng, self._topics = later, rng, topics
        self._session_s, self._ttl_s = session_s, ttl_s
        self._healthy, self._looked_s = True, 0.0
        self._mains = list(crew.posts)

    def note(self, kind: str, post: Post, at_s: float) -> None:
        """Record a fault of a worker, and the partitions that it had."""
        mine = self._watcher.partitions_of(self.names.get(post.name, post.name))
        self.faults.append(Fault(at_s, kind, post.name, mine, static=post.static))

    def look(self) -> None:
        """Check whether the brokers have recovered."""
        if not self._healthy and time.monotonic() - self._looked_s > HEALTH_S:
            self._healthy = self._brokers.healthy(self._topics)
            self._looked_s = time.monotonic()

    def deal(self, card: Card) -> bool:
        """Cause the fault. Returns False if it must wait until the cluster has recovered."""
        kind, order = card
        if kind == "step":
            return self._arm(order)
        if kind == "join":
            return self._join()
        if kind == "leave":
            return self._leave()
        if kind == "silence":
            return self._silence()
        if kind in ("leaders", "broker kill", "broker freeze"):
            return self._healthy and self._trouble_brokers(kind)
        idle = self._idle()
        if not idle:
            return False
        post = self._rng.choice(idle)
        self.note(kind, post, time.time())
        if kind in ("cut worker", "cut broker", "stall worker", "stall broker", "slow"):
            self._trouble_wires(kind, post)
        else:
            self._trouble_worker(kind, post)
        return True

    def provoke(self) -> None:
        """Restart a worker, or take partitions from one, so that rare steps happen."""
        if self._rng.random() < 0.5 and (self._join() or self._leave()):
            return
        self.deal(("kill", ""))

    def _idle(self) -> list[Post]:
        """Return the main posts whose process runs, without a fault that we know of."""
        posts = (self._crew.posts[name] for name in self._mains)
        return [post for post in posts if post.alive and not post.frozen and post.wanted]

    def _arm(self, order: str) -> bool:
        free = [n for n in ("any", *(p.name for p in self._idle())) if not self._crew.armed(n)]
        if not free or (len(free) == 1 and free[0] != "any"):
            return False
        self._crew.arm(free[0], order)
        if order.endswith(RARE):
            self.provoke()
        return True

    # ---------------------------------------------------------------------------------- workers

    def _trouble_worker(self, kind: str, post: Post) -> None:
        if kind == "kill":
            self._crew.signal(post, signal.SIGKILL)
        elif kind == "zombie":
            self._crew.signal(post, signal.SIGSTOP)
            frozen_s = self._session_s + self._rng.uniform(0.5, 4)
            self._later.add(frozen_s, lambda: self._crew.signal(post, signal.SIGCONT))
        elif kind == "term":
            self._crew.signal(post, signal.SIGTERM)
            self._later.add(self._rng.uniform(1, 3), lambda: setattr(post, "wanted", True))
        elif kind == "twin":
            self._twin(post)
        else:
            raise ValueError(f"no such fault: {kind}")

    def _twin(self, post: Post) -> None:
        """Freeze a process, start another in its place, then wake the frozen one."""
        twin = self._crew.replace(post)
        if twin is not None:
            self._later.add(self._rng.uniform(3, 8), lambda: twin.send_signal(signal.SIGCONT))
            self._later.add(TWIN_S, lambda: twin.kill() if twin.poll() is None else None)

    def _join(self) -> bool:
        extras = [p for name, p in self._crew.posts.items() if name not in self._mains]
        away = [post for post in extras if not post.alive and not post.wanted]
        if away:
            post = away[0]
            post.wanted = True
        elif len(extras) < MOST_EXTRAS:
            post = self._crew.hire(f"extra-{len(extras)}", static=False)
        else:
            return False
        self.faults.append(Fault(time.time(), "join", post.name, frozenset()))
        return True

    def _leave(self) -> bool:
        extras = [p for name, p in self._crew.posts.items() if name not in self._mains]
        here = [post for post in extras if post.alive and not post.frozen]
        if not here:
            return False
        self.note("leave", here[0], time.time())
        self._crew.signal(here[0], signal.SIGTERM)
        return True

    # --------------------------------------------------------------- network, brokers, cameras

    def _trouble_wires(self, kind: str, post: Post) -> None:
        broker = self._rng.choice(self._brokers.ids)
        proxy = self._brokers.proxy

        def wires(wire: tuple[str, int]) -> bool:
            return wire[1] == broker if kind.endswith("broker") else wire[0] == post.address

        if kind.startswith("cut"):
            proxy.cut(wires)
        elif kind.startswith("stall"):
            self._later.add(self._rng.uniform(1, self._session_s + 3), proxy.stall(wires))
        else:
            held_s = self._rng.uniform(0.02, 0.2)
            self._later.add(self._rng.uniform(3, 8), proxy.slow(wires, held_s))

    def _trouble_brokers(self, kind: str) -> bool:
        node, kafka = self._rng.choice(self._brokers.ids), self._brokers.kafka
        away_s = self._rng.uniform(1, 7)
        try:
            if kind == "leaders":
                self._brokers.move_leaders(self._topics, 2, self._rng)
            elif kind == "broker kill":
                kafka.kill(node)
                self._later.add(away_s, lambda: kafka.launch(node))
            else:
                kafka.stop_node(node, signal.SIGSTOP)
                self._later.add(away_s, lambda: kafka.stop_node(node, signal.SIGCONT))
        except (KafkaError, LocalKafkaError, BrokerUnavailableError):
            return False
        self._healthy = kind == "leaders"
        everywhere = self._watcher.partitions
        self.faults.append(Fault(time.time(), kind, f"broker {node}", everywhere))
        return True

    def _silence(self) -> bool:
        """Switch one camera off for longer than the streams' time to live."""
        camera = self._rng.choice(self._cameras.cameras).stream
        self._cameras.silent.add(camera)
        self._later.add(self._ttl_s + 3, lambda: self._cameras.silent.discard(camera))
        self.faults.append(Fault(time.time(), "silence", camera, frozenset()))
        return True
