"""Kills one of two workers repeatedly, and measures the parts of each fail-over."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from engines.model.bundle import find_bundle
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics
from tests.chaos.cameras import NO_TROUBLES, Cameras, picture_cameras
from tests.chaos.crew import Crew, Post
from tests.chaos.logs import Arrival, Ledger, Watcher, read_all
from tests.chaos.oracle import Place
from tests.chaos.report import first_after
from tests.chaos.steps import IN_TRANSACTION
from tests.chaos.traces import (
    ASSIGNED,
    BROKER_LINE,
    DETECTED,
    RESTORED,
    STARTED,
    WORKER_LINE,
    lines,
    when,
)
from tests.chaos.verdict import Verdict, judge

PARTITIONS, STREAMS, FPS = 8, 16, 64.0
SESSION_S, TRANSACTION_S, HEARTBEAT_S = 6.0, 3.0, 0.5  # the worker's defaults
IN_TRANSACTION_SHARE = 0.4
PATIENCE_S = 60.0
PARTS = {
    "dynamic": ("detection (session timeout)", "rebalance", "restore", "first prediction"),
    "static": ("start of the process", "rejoin", "restore", "first prediction"),
}


@dataclass(slots=True)
class Kill:
    """One death: its time, its worker, and the durations of its parts in seconds."""

    at_s: float
    victim: str
    step: str  # the step of the protocol, "" for a random moment
    partitions: frozenset[int]
    parts_s: dict[str, float] = field(default_factory=dict)
    waited_s: list[float] = field(default_factory=list)  # by stream


class Failover:
    """Kills one of two workers repeatedly. Either all workers have a slot or none."""

    def __init__(
        self, kafka: LocalKafka, kind: str, folder: Path, *, seed: int, say: Callable[[str], None]
    ) -> None:
        group = f"failover-{kind}"
        self._topics = Topics(
            f"{kind}.frames", f"{kind}.predictions", f"{kind}.dlq", f"{group}.state"
        )
        admin = TopicAdmin(kafka.connection, self._topics)
        admin.create(PARTITIONS)
        admin.close()
        self._kafka, self._kind, self._folder, self._say = kafka, kind, folder, say
        self._rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self._crew = Crew(folder, self._options(group), rng=self._rng)
        self._cameras = Cameras(
            picture_cameras(STREAMS, seed=seed, troubles=NO_TROUBLES),
            kafka.bootstrap,
            self._topics.frames,
            partitions=PARTITIONS,
            fps=FPS,
            diary=folder / "acknowledged.jsonl",
        )
        self._watcher = Watcher(kafka.bootstrap, self._topics.predictions)
        self.kills: list[Kill] = []

    def measure(self, kills: int) -> Verdict:
        """Run the measurement. Returns whether all predictions were right."""
        for number in (0, 1):
            self._crew.hire(f"{self._kind}-{number}", static=self._kind == "static")
        self._watcher.start()
        self._cameras.start()
        try:
            for number in range(kills):
                self._await_both()
                self._say(f"{self._kind}: kill {number + 1} of {kills}")
                self._round(list(self._crew.posts.values())[number % 2])
            verdict = self._judge()
        finally:
            self._crew.close()
            self._watcher.stop()
        self._explain(verdict.expected)
        return verdict

    def _options(self, group: str) -> list[str]:
        settings = self._folder / "longtake.toml"
        settings.write_text(
            f'frames_topic = "{self._topics.frames}"\n'
            f'predictions_topic = "{self._topics.predictions}"\n'
            f'dead_letters_topic = "{self._topics.dead_letters}"\n'
            f"session_timeout_s = {SESSION_S}\nheartbeat_s = {HEARTBEAT_S}\n"
            f"transaction_timeout_s = {TRANSACTION_S}\nmetrics_port = 0\n"
        )
        return [
            *("--bootstrap", self._kafka.bootstrap, "--group", group, "--bundle", "actions"),
            *("--start", "earliest", "--config", str(settings)),
        ]

    def _names(self) -> dict[str, str]:
        """Return the workers' own names by post."""
        return {hit["name"]: hit["worker"] for hit in self._crew.hits() if "worker" in hit}

    def _await_both(self) -> None:
        """Wait until each worker has half of the partitions, and a little longer."""
        deadline_s = time.monotonic() + PATIENCE_S
        while any(
            len(self._watcher.partitions_of(self._names().get(name, ""))) < PARTITIONS // 2
            for name in self._crew.posts
        ):
            if time.monotonic() > deadline_s:
                raise TimeoutError("the workers do not share the partitions")
            time.sleep(0.05)
        time.sleep(self._rng.uniform(0.5, 1.5))

    def _round(self, post: Post) -> None:
        mine = self._watcher.partitions_of(self._names()[post.name])
        if self._rng.random() < IN_TRANSACTION_SHARE:
            step = self._rng.choice(IN_TRANSACTION)
            self._crew.arm(post.name, f"kill {step}")
        else:
            step = ""
            if post.process is not None:
                post.process.kill()
        at_s = time.time()
        if post.process is None:
            raise AssertionError(f"{post.name} had no process to kill")
        post.process.wait(PATIENCE_S)
        if step:
            at_s = [hit["t"] for hit in self._crew.hits() if "step" in hit][-1]
        self.kills.append(Kill(at_s, post.name, step, mine))
        if post.static:
            self._crew.launch(post)
        self._await_streams(mine, at_s)
        if not post.static:
            self._crew.launch(post)

    def _await_streams(self, partitions: frozenset[int], at_s: float) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        wanted = {c.stream for n, c in enumerate(self._cameras.cameras)
                  if n % PARTITIONS in partitions}  # fmt: skip
        while wanted - {a.stream for a in self._watcher.arrivals[-4000:] if a.frozen_s > at_s}:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"after {PATIENCE_S:.0f} s no predictions of {sorted(wanted)}")
            time.sleep(0.02)

    def _judge(self) -> Verdict:
        self._say(f"{self._kind}: comparing with the oracle")
        self._cameras.stop()
        ledger = Ledger(self._kafka.bootstrap, state=self._topics.state, frames=self._topics.frames)
        ledger.settle(PATIENCE_S, self._crew.tend)
        return judge(
            bundle=find_bundle("actions"),
            taken=self._cameras.taken,
            frames=read_all(self._kafka.bootstrap, self._topics.frames),
            predictions=read_all(self._kafka.bootstrap, self._topics.predictions),
            dead_letters=read_all(self._kafka.bootstrap, self._topics.dead_letters),
            manifests=ledger.manifests,
            gap_reset_s=2.0,
            stream_ttl_s=3600.0,
            keyframe_s=60.0,
        )

    def _explain(self, expected: Mapping[Place, bytes]) -> None:
        """Set how long each stream waited, and for what."""
        streams: dict[str, list[Arrival]] = {}
        for arrival in self._watcher.arrivals:
            streams.setdefault(arrival.stream, []).append(arrival)
        broker = [line for log in self._kafka.logs.values() for line in lines(log, BROKER_LINE)]
        said = {name: lines(self._folder / f"{name}.log", WORKER_LINE) for name in self._crew.posts}
        for kill in self.kills:
            waits = [first_after(mine, kill.at_s, expected) for mine in streams.values()
                     if mine[0].place[0] in kill.partitions]  # fmt: skip
            kill.waited_s = [wait for wait in waits if wait is not None]
            until_s = kill.at_s + max(kill.waited_s, default=0.0)
            heir = next(name for name in said if (name == kill.victim) == (self._kind == "static"))
            first = (broker, DETECTED) if self._kind == "dynamic" else (said[heir], STARTED)
            moments = [
                kill.at_s,
                *when(first[0], first[1], kill.at_s, until_s)[:1],
                *when(said[heir], ASSIGNED, kill.at_s, until_s)[:1],
                *when(said[heir], RESTORED, kill.at_s, until_s)[-1:],
                until_s,
            ]
            if len(moments) == 1 + len(PARTS[self._kind]):
                steps = pairwise(moments)
                waits_s = [after - before for before, after in steps]
                kill.parts_s = dict(zip(PARTS[self._kind], waits_s, strict=True))
