"""One run of chaos from start to verdict: brokers, workers, cameras, faults, and the settling."""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.base import EngineName
from engines.model.bundle import find_bundle
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.config import Delivery, Overload
from pipeline.connection import Connection
from pipeline.records import Topics
from tests.chaos.brokers import Brokers
from tests.chaos.cameras import Cameras
from tests.chaos.crew import Crew
from tests.chaos.logs import Ledger, Watcher, read_all
from tests.chaos.replayed import audit_breaks, replay_differences
from tests.chaos.report import Report, recoveries, restore_times
from tests.chaos.schedule import Later
from tests.chaos.storm import Storm
from tests.chaos.troubles import Troubles
from tests.chaos.unit_cameras import mixed_cameras
from tests.chaos.verdict import judge

GROUP = "chaos"
SETTINGS = "longtake.toml"
TOPICS = Topics("frames", "predictions", "frames.dlq", f"{GROUP}.state")
GAP_RESET_S, STREAM_TTL_S = 2.0, 25.0
KEYFRAME_S = 6.0  # less than the longest groups of units have
MAX_DECODERS = 2  # less than a worker has streams of units
WARM_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a run. The same plan gives the same cameras and the same deck of faults;

    the exact moment and the target of each fault depend on the machine.
    """

    seconds: float
    seed: int = 1
    workers: int = 3
    streams: int = 24
    partitions: int = 8
    fps: float = 70.0
    bundle: str = "actions"
    engine: EngineName = "onnxruntime"  # tensorrt: on doubles
    delivery: Delivery = Delivery.EXACTLY_ONCE
    overload: Overload = Overload.PROCESS_ALL
    session_s: float = 5.0
    patience_s: float = 180.0
    whole_deck: bool = True  # go on after the time until each fault has happened once


def run(plan: Plan, say: Callable[[str], None], *, folder: Path | None = None) -> Report:
    """Run the plan. `folder` takes the workers' logs and the cameras' diary; it must be empty."""
    folder = folder or Path(tempfile.mkdtemp(prefix="longtake-chaos-"))
    say("starting three brokers")
    with Brokers() as brokers:
        admin = TopicAdmin(Connection(brokers.straight), TOPICS)
        admin.create(plan.partitions)
        admin.close()
        return _Run(plan, brokers, folder, say).report()


class _Run:
    def __init__(
        self, plan: Plan, brokers: Brokers, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._plan, self._brokers, self._folder, self._say = plan, brokers, folder, say
        rng = random.Random(plan.seed)  # noqa: S311 - a schedule, not a secret
        self._crew = Crew(folder, _options(plan, brokers, folder), rng=rng)
        self._cameras = Cameras(
            mixed_cameras(plan.streams, seed=plan.seed),
            brokers.straight,
            TOPICS.frames,
            partitions=plan.partitions,
            fps=plan.fps,
            diary=folder / "acknowledged.jsonl",
        )
        self._watcher = Watcher(brokers.straight, TOPICS.predictions)
        self._ledger = Ledger(brokers.straight, state=TOPICS.state, frames=TOPICS.frames)
        for number in range(plan.workers):
            self._crew.hire(f"worker-{number}", static=number % 2 == 0)
        later = Later()
        self._troubles = Troubles(
            brokers,
            self._crew,
            self._cameras,
            self._watcher,
            later=later,
            rng=rng,
            topics=[TOPICS.frames, TOPICS.predictions, TOPICS.state],
            session_s=plan.session_s,
            ttl_s=STREAM_TTL_S,
        )
        self._storm = Storm(
            self._troubles,
            self._crew,
            later=later,
            rng=rng,
            session_s=plan.session_s,
            silent_for=self._watcher.silent_for,
        )

    def report(self) -> Report:
        try:
            unsettled = self._blow()
        finally:
            self._storm.rest()
            self._crew.close()
            self._ledger.close()
        self._say("comparing with the oracle")
        self._watcher.stop()
        self._keep_traces()
        return self._judge(unsettled)

    def _blow(self) -> str | None:
        """Cause all faults, then wait. Returns the partitions still behind after the time limit."""
        self._watcher.start()
        self._cameras.start()
        self._await_first()
        self._storm.blow(self._plan.seconds, self._say)
        if self._plan.whole_deck:
            self._storm.finish(self._say)
        self._storm.calm()
        self._brokers.proxy.heal()
        self._cameras.silent.clear()
        self._say("no more faults: cameras end, the rest is awaited")
        self._cameras.stop()
        try:
            self._ledger.settle(self._plan.patience_s, self._storm.tend)
        except TimeoutError as exc:
            return str(exc)
        return None

    def _await_first(self) -> None:
        deadline_s = time.monotonic() + WARM_S
        while len(self._watcher.partitions) < self._plan.partitions:
            if time.monotonic() > deadline_s:
                words = self._crew.log_lines()[-20:]
                raise TimeoutError("no predictions to begin with:\n" + "\n".join(words))
            self._storm.tend()
            time.sleep(0.1)

    def _keep_traces(self) -> None:
        """Write the times of all events to files, to help to explain a violation."""
        lines = [json.dumps(asdict(f) | {"partitions": sorted(f.partitions)})
                 for f in self._troubles.faults]  # fmt: skip
        (self._folder / "faults.jsonl").write_text("\n".join(lines))
        seen = [f"{a.seen_s:.3f} {a.frozen_s:.3f} {a.worker} {a.stream} {a.place[0]} {a.place[1]}"
                for a in self._watcher.arrivals]  # fmt: skip
        (self._folder / "arrivals.txt").write_text("\n".join(seen))

    def _judge(self, unsettled: str | None) -> Report:
        straight, plan = self._brokers.straight, self._plan
        repeats_allowed = plan.delivery is Delivery.LOW_LATENCY
        verdict = judge(
            bundle=find_bundle(plan.bundle),
            taken=self._cameras.taken,
            frames=read_all(straight, TOPICS.frames),
            predictions=read_all(straight, TOPICS.predictions),
            dead_letters=read_all(straight, TOPICS.dead_letters),
            manifests=self._ledger.manifests,
            gap_reset_s=GAP_RESET_S,
            stream_ttl_s=STREAM_TTL_S,
            keyframe_s=KEYFRAME_S,
            skipped=self._ledger.skipped,
            repeats_allowed=repeats_allowed,
        )
        settings = str(self._folder / SETTINGS)
        judged = ["--bootstrap", straight, "--group", GROUP, "--config", settings]
        aborts: Counter[str] = Counter()
        for hit in self._crew.hits():
            aborts.update(hit.get("aborts", {}))
        return Report(
            seed=plan.seed,
            seconds=plan.seconds,
            workers=plan.workers,
            acknowledged=len(self._cameras.taken),
            unknown=self._cameras.unknown,
            verdict=verdict,
            troubles=self._cameras.told,
            faults=self._troubles.faults,
            recoveries=recoveries(self._troubles.faults, self._watcher.arrivals, verdict.expected),
            restores=restore_times(self._crew.log_lines()),
            rewinds=[hit["rewound"] for hit in self._crew.hits() if hit.get("rewound")],
            aborts=aborts,
            exits=self._crew.exits,
            replay_differences=replay_differences(
                [*judged, "--bundle", plan.bundle], repeats_allowed=repeats_allowed
            ),
            audit_breaks=audit_breaks(judged),
            unsettled=unsettled,
            stalls=len(self._storm.stalls),
        )


def _options(plan: Plan, brokers: Brokers, folder: Path) -> list[str]:
    """Return the command line of every worker; settings without a flag go into a file."""
    settings = folder / SETTINGS
    settings.write_text(
        f"gap_reset_s = {GAP_RESET_S}\nstream_ttl_s = {STREAM_TTL_S}\nmetrics_port = 0\n"
        f"keyframe_s = {KEYFRAME_S}\nmax_decoders = {MAX_DECODERS}\n"
        f'delivery = "{plan.delivery}"\noverload = "{plan.overload}"\n'
        f"session_timeout_s = {plan.session_s}\nheartbeat_s = 0.5\n"
        f"transaction_timeout_s = {plan.session_s / 2}\n"
        'gpu_precision = "float32"\n'
        # fewer commits, because one costs 60 ms of CPU with three brokers on the same two cores
        "checkpoint_s = 0.25\n"
    )
    return [
        *("--bootstrap", brokers.proxied, "--group", GROUP, "--bundle", plan.bundle),
        *("--start", "earliest", "--config", str(settings), "--engine", plan.engine),
    ]
