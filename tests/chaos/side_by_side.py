"""Two groups with two models on the same cameras: outputs, audits and alarms stay apart.

`python -m tests.chaos.side_by_side --minutes 10`. Workers of both groups are killed all the time,
and once all of one group stand still. The names are such that `a.b` + `c` and `a` + `b.c` meet.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import KafkaProducer
from rich.console import Console

from pipeline.broker.partitioner import partition_of
from pipeline.connection import Connection
from pipeline.local.cluster import LocalKafka
from pipeline.local.ports import free_ports
from pipeline.wire.belongings.ownership import publisher_of
from pipeline.wire.predictions import Prediction
from tests.chaos.logs import read_all
from tests.deploy.watching import Prometheus, watching
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
PERIOD_S = 0.25
BAD_EVERY = 37  # of a camera's records, one that is no picture
STREAMS = tuple(f"cam-{n}" for n in range(6))
SETTLE_S = 90.0
SILENT_FOR_S = 12.0  # how long one group's workers stand still, if nobody watches
KILL_S = (4.0, 12.0)
OF_ABSENCE = {"GroupWithoutWorkers"}
"""The alert that is judged. Of others both groups may have some: minutes are seconds here, so a
slow machine, a worker that was killed just before, or a bad record is reason enough."""


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


@dataclass(slots=True)
class SideResult:
    """What one group has published, and what its audit says."""

    group: str
    predicted: int
    dead_lettered: int
    breaks: int
    others: list[Any]
    strangers: int  # records in its topics that do not name it
    models: list[str]
    kills: int


@dataclass(slots=True)
class Outcome:
    """The result of a run. `alarms`: the groups that are missing, by the alerts, while the second
    one stands still."""

    published: int
    sides: list[SideResult]
    alarms: list[str] | None
    expected_alarms: list[str]
    exits: list[int] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be."""
        found = [f"a worker ended with {code}" for code in self.exits]
        for one in self.sides:
            if one.predicted + one.dead_lettered != self.published:
                found.append(
                    f"{one.group}: {one.predicted} predicted and {one.dead_lettered} dead-lettered"
                    f" of {self.published} frames"
                )
            counts = {"breaks": one.breaks, "others": one.others, "strangers": one.strangers}
            found += [f"{one.group}: {name} {count}" for name, count in counts.items() if count]
            if len(one.models) != 1:
                found.append(f"{one.group}: models {one.models}")
        if len({tuple(one.models) for one in self.sides}) != len(self.sides):
            found.append("both groups have one model")
        if self.alarms is not None and self.alarms != self.expected_alarms:
            found.append(f"alarms of groups {self.alarms}, wanted {self.expected_alarms}")
        return found


class Cameras:
    """Publishes pictures of all streams, and a bad record now and then, in a thread."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.published = 0
        self._producer = KafkaProducer(bootstrap_servers=connection.bootstrap, linger_ms=0)
        self._topic = topic
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when all is acknowledged."""
        self._over.set()
        self._thread.join()
        self._producer.close(timeout=5)

    def _run(self) -> None:
        turn = 0
        while not self._over.wait(PERIOD_S):
            turn += 1
            sent = [self._send(turn, n, stream) for n, stream in enumerate(STREAMS)]
            for one in sent:
                one.get(30)
            self.published += len(sent)

    def _send(self, turn: int, n: int, stream: str) -> Any:
        bad = (turn + 7 * n) % BAD_EVERY == 0
        headers = [("seq", b"%d" % turn), ("captured-at", b"%.3f" % (time.time() * 1000))]
        return self._producer.send(
            self._topic,
            key=stream.encode(),
            value=b"no picture" if bad else jpeg(64, 64, seed=turn * 31 + n),
            partition=partition_of(stream.encode(), PARTITIONS),
            headers=headers,
        )


class Pair:
    """The workers of both groups, each restarted when it ends unless its group is to be silent."""

    def __init__(self, connection: Connection, frames: str, sides: Sequence[Side], folder: Path):
        self.sides, self._folder = sides, folder
        self._connection, self._frames = connection, frames
        places = [(side, slot) for side in sides for slot in side.slots]
        self.ports = dict(zip(places, free_ports(len(places)), strict=True))
        self.kills: Counter[str] = Counter()
        self.exits: list[int] = []
        self.silent: Side | None = None
        self._processes: dict[tuple[Side, str], subprocess.Popen[bytes]] = {}
        self._settings = folder / "worker.toml"
        self._settings.write_text(
            "session_timeout_s = 6\ntransaction_timeout_s = 3\ncheckpoint_s = 0.2\n"
            f"gap_reset_s = 600\nexpected_streams = {json.dumps(STREAMS)}\n"
            f'frames_topic = "{frames}"\n'
        )

    def options(self, side: Side) -> list[str]:
        """Return the flags of every command of a group."""
        return [
            *("--bootstrap", self._connection.bootstrap, "--config", str(self._settings)),
            *("--group", side.group, "--predictions-topic", side.predictions),
            *("--dead-letters-topic", side.dead_letters),
        ]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )

    def create_topics(self) -> None:
        """Make the topics of both groups."""
        for side in self.sides:
            words = ("topics", "create", *self.options(side), "--partitions", str(PARTITIONS))
            made = self.command(*words)
            assert made.returncode == 0, made.stderr

    def tend(self) -> None:
        """Start what is missing."""
        for (side, slot), port in self.ports.items():
            running = self._processes.get((side, slot))
            if running is not None and running.poll() not in (None, -9):
                self.exits.append(int(running.returncode))
            if (running is None or running.poll() is not None) and side != self.silent:
                self._launch(side, slot, port)

    def _launch(self, side: Side, slot: str, port: int) -> None:
        words = ["worker", *self.options(side), "--bundle", side.bundle, "--slot", slot]
        words += ["--start", "earliest", "--metrics-port", str(port)]
        with (self._folder / f"{side.group}.{slot}.log").open("ab") as log:
            self._processes[side, slot] = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *words], stdout=log, stderr=log, cwd=ROOT
            )

    def kill(self, side: Side, slot: str) -> None:
        """Send SIGKILL."""
        process = self._processes[side, slot]
        process.kill()
        process.wait()
        self.kills[side.group] += 1

    def kill_any(self, rng: random.Random) -> None:
        """Send SIGKILL to one worker of any group."""
        self.kill(*rng.choice(list(self._processes)))

    def stop(self) -> None:
        """End all workers, which commit what they have finished."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()
                process.wait()

    def last_words(self) -> str:
        """Return the ends of the workers' logs."""
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in logs)


def run(
    connection: Connection,
    sides: tuple[Side, Side],
    frames: str,
    *,
    seconds: float,
    seed: int,
    folder: Path,
    prometheus: str | None,
    say: Callable[[str], None],
) -> Outcome:
    """Let both groups work for a while, kill their workers, and judge what came out.

    `prometheus`: its program; None: nobody watches, and alarms are not judged.
    """
    rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    pair = Pair(connection, frames, sides, folder)
    pair.create_topics()
    cameras = Cameras(connection, frames)
    alarms: list[str] | None = None
    with ExitStack() as running:
        running.callback(pair.stop)
        pair.tend()
        watched = None
        if prometheus is not None:
            ports = list(pair.ports.values())
            watched = running.enter_context(
                watching(prometheus, folder / "prometheus", workers=ports, cameras=[])
            )
        cameras.start()
        try:
            _until(lambda: _all_at_work(connection, sides), pair, "predictions of both groups")
            ends_s = time.monotonic() + seconds
            say("killing workers of both groups")
            _kill_for(seconds / 2, pair, rng)
            say(f"all workers of {sides[1].group} stand still")
            alarms = _silence(pair, watched)
            say("killing workers of both groups")
            _kill_for(max(0.0, ends_s - time.monotonic()), pair, rng)
        finally:
            cameras.stop()
        say("no more frames: waiting for the rest")
        _until(lambda: _settled(pair, cameras.published), pair, "the last predictions")
    return Outcome(
        cameras.published,
        [_result(connection, pair, side) for side in sides],
        alarms,
        [sides[1].group],
        pair.exits,
    )


def _all_at_work(connection: Connection, sides: Sequence[Side]) -> bool:
    return all(read_all(connection.bootstrap, side.predictions) for side in sides)


def _until(look: Callable[[], bool], pair: Pair, what: str) -> None:
    deadline_s = time.monotonic() + SETTLE_S
    while not look():
        assert time.monotonic() < deadline_s, f"waited for {what}: {pair.last_words()}"
        pair.tend()
        time.sleep(0.5)


def _kill_for(seconds: float, pair: Pair, rng: random.Random) -> None:
    ends_s = time.monotonic() + seconds
    while (left_s := ends_s - time.monotonic()) > 0:
        next_s = time.monotonic() + min(left_s, rng.uniform(*KILL_S))
        while time.monotonic() < next_s:
            pair.tend()
            time.sleep(0.1)
        pair.kill_any(rng)
    pair.tend()


def _silence(pair: Pair, watched: Prometheus | None) -> list[str] | None:
    """Stop one group, and return the groups of the alerts that fire then."""
    silent = pair.silent = pair.sides[1]
    for slot in silent.slots:
        pair.kill(silent, slot)
    try:
        if watched is None:
            time.sleep(min(SILENT_FOR_S, 2.0))
            return None
        deadline_s = time.monotonic() + SETTLE_S
        while ("GroupWithoutWorkers", silent.group) not in (found := _firing(watched)):
            assert time.monotonic() < deadline_s, f"no alert of {silent.group}: {found}"
            pair.tend()
            time.sleep(0.5)
        time.sleep(SILENT_FOR_S)
        found = _firing(watched)
        print(f"firing: {sorted(found)}", file=sys.stderr)  # noqa: T201 - shown beside the result
        return sorted({group for name, group in found if name in OF_ABSENCE})
    finally:
        pair.silent = None


def _firing(watched: Prometheus) -> set[tuple[str, str]]:
    alerts = watched.get("/api/v1/alerts")["data"]["alerts"]
    return {
        (one["labels"]["alertname"], one["labels"]["group"])
        for one in alerts
        if one["state"] == "firing" and "group" in one["labels"]
    }


def _settled(pair: Pair, published: int) -> bool:
    return all(sum(_audited(pair, side)[1:]) >= published for side in pair.sides)


def _audited(pair: Pair, side: Side) -> tuple[dict[str, Any], int, int]:
    """Return an audit, and how many frames the ledger says are predicted and dead-lettered."""
    ended = pair.command("audit", *pair.options(side), "--json")
    assert ended.returncode in (0, 1), ended.stderr
    told = json.loads(ended.stdout)
    newest = [life for life in told["lives"] if life["predicted"] is not None]
    predicted = sum(life["predicted"]["ledger"] for life in newest)
    return told, predicted, sum(life["dead_lettered"]["ledger"] for life in newest)


def _result(connection: Connection, pair: Pair, side: Side) -> SideResult:
    told, predicted, dead = _audited(pair, side)
    predictions = read_all(connection.bootstrap, side.predictions)
    letters = read_all(connection.bootstrap, side.dead_letters)
    return SideResult(
        side.group,
        predicted,
        dead,
        told["breaks"],
        told["others"],
        sum(publisher_of(record) != side.group for record in (*predictions, *letters)),
        sorted({Prediction.read(record.value).model for record in predictions}),
        pair.kills[side.group],
    )


def main(
    minutes: Annotated[float, typer.Option(help="How long both groups work.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of the kills.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep logs in this empty folder.")] = None,
) -> None:
    """Run two groups with two models on the same cameras, and see that nothing mixes.

    Ends with 1 unless each frame has its one prediction or dead letter in each group, both audits
    are clean, each record names its group, and only the group that stands still raises alarms
    (where Prometheus is installed).

    Example: `python -m tests.chaos.side_by_side --minutes 10`
    """
    console = Console()
    folder = keep or Path(tempfile.mkdtemp(prefix="longtake-side-by-side-"))
    folder.mkdir(parents=True, exist_ok=True)
    tiny = write_tiny(folder / "tiny")
    sides = two_sides("", ("actions", str(tiny)))
    with LocalKafka() as kafka, console.status("") as status:
        outcome = run(
            kafka.connection,
            sides,
            "frames",
            seconds=60 * minutes,
            seed=seed,
            folder=folder,
            prometheus=shutil.which("prometheus"),
            say=lambda text: status.update(f"seed {seed}: {text}"),
        )
    console.print_json(json.dumps(asdict(outcome)))
    for one in outcome.wrong:
        console.print(f"wrong: {one}", style="red", highlight=False, soft_wrap=True)
    if outcome.alarms is None:
        console.print("alarms: not judged, there is no Prometheus here")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    raise typer.Exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    typer.run(main)
