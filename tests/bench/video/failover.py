"""`python -m tests.bench.video.failover`: how long streams of H.264 stand still after a kill.

Two workers without a slot, and one of them is SIGKILLed at a random moment, again and again.
Measured from outside with the real clock: from the kill until a reader sees the first prediction
of each of its streams that was made after it. `make chaos` checks that predictions are right;
`make failover` has the parts of the time.

Two cores cannot decode and predict a hundred cameras of 15 frames/s. So a film of 15 frames/s is
published more slowly: its groups keep their units, of which a restore decodes as many as at full
speed.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.shots import Shot
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics
from tests.bench.served import BenchError
from tests.bench.video.costs import AS_JPEG, AS_UNITS, shoot
from tests.bench.video.material import CLIP_HZ, SIZES, plaza, recorded, write_films
from tests.bench.video.streaming import FilmStreams
from tests.chaos.crew import Crew, Post
from tests.chaos.kills import HEARTBEAT_S, PARTITIONS, SESSION_S, TRANSACTION_S
from tests.chaos.logs import Arrival, Watcher
from tests.chaos.report import Spread, numbers

LIMIT_S = SESSION_S + 2.0  # promised for 50 streams a worker in groups of 2 s
FILM_S = 10
PATIENCE_S = 90.0
FRESH_S = 1.0  # a prediction that is seen so soon after its frame was captured: the workers keep up
MOVING = 0.25  # see `plaza`


class VideoFailover:
    """Kills one of two workers repeatedly, while many streams are published."""

    def __init__(self, kafka: LocalKafka, folder: Path, *, seed: int) -> None:
        self._topics = Topics("frames", "predictions", "frames.dlq", "video-failover.state")
        admin = TopicAdmin(kafka.connection, self._topics)
        admin.create(PARTITIONS)
        admin.close()
        self._rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self._crew = Crew(folder, self._options(kafka, folder), rng=self._rng)
        self._watcher = Watcher(kafka.bootstrap, self._topics.predictions)
        self._publisher = KafkaPublisher(kafka.connection, topic=self._topics.frames)

    def measure(
        self,
        shots: Sequence[Shot],
        streams: Sequence[str],
        *,
        fps: float,
        group_s: float,
        kills: int,
        say: Callable[[str], None],
    ) -> tuple[list[float], float]:
        """Return how long streams waited, and by how much the publishing was behind at most."""
        published = FilmStreams(self._publisher, shots, streams, fps=fps, group_s=group_s)
        for name in ("video-0", "video-1"):
            self._crew.hire(name, static=False)
        self._watcher.start()
        published.start()
        waited_s = list[float]()
        try:
            for number in range(kills):
                say(f"kill {number + 1} of {kills}")
                self._await_both(len(streams))
                waited_s += self._kill(list(self._crew.posts.values())[number % 2])
        finally:
            self._crew.close()
            published.stop()
            self._watcher.stop()
            self._publisher.close()
        return waited_s, published.behind_s

    def _options(self, kafka: LocalKafka, folder: Path) -> list[str]:
        settings = folder / "longtake.toml"
        settings.write_text(
            f"session_timeout_s = {SESSION_S}\nheartbeat_s = {HEARTBEAT_S}\n"
            f"transaction_timeout_s = {TRANSACTION_S}\nmetrics_port = 0\n"
        )
        return [
            *("--bootstrap", kafka.bootstrap, "--group", "video-failover", "--bundle", "actions"),
            *("--start", "earliest", "--config", str(settings)),
        ]

    def _worker(self, post: Post) -> str:
        """Return the name of the worker at a post, empty before it has one."""
        named = [hit for hit in self._crew.hits() if "worker" in hit and hit["name"] == post.name]
        return str(named[-1]["worker"]) if named else ""

    def _await_both(self, streams: int) -> None:
        """Wait until both share the partitions and all streams are predicted in time."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (self._shared() and self._fresh() >= streams):
            for post in self._crew.posts.values():
                if not post.alive:
                    raise BenchError(f"the worker {post.name} has ended: {self._last_words(post)}")
            if time.monotonic() > deadline_s:
                raise BenchError(
                    f"after {PATIENCE_S:.0f} s {self._fresh()} of {streams} streams are predicted"
                    f" within {FRESH_S:g} s: this machine is too slow, or busy; lower --fps"
                )
            time.sleep(0.3)
        time.sleep(self._rng.uniform(0.5, 2.5))  # anywhere in a group

    def _last_words(self, post: Post) -> str:
        lines = (self._crew.folder / f"{post.name}.log").read_text("utf-8", "replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def _shared(self) -> bool:
        """Return whether both workers predict, and nobody else, in the partitions with streams."""
        own = [self._watcher.partitions_of(self._worker(p)) for p in self._crew.posts.values()]
        return all(own) and frozenset[int]().union(*own) == self._watcher.partitions

    def _fresh(self) -> int:
        """Return how many streams had a prediction just now, of a frame of just now."""
        since_s = time.time() - FRESH_S
        newest = takewhile(lambda one: one.seen_s > since_s, reversed(self._watcher.arrivals))
        return len({one.stream for one in newest if one.seen_s - captured_s(one) < FRESH_S})

    def _kill(self, post: Post) -> list[float]:
        """Kill the worker at a post, and hire another one once its streams are predicted again."""
        partitions = self._watcher.partitions_of(self._worker(post))
        before = len(self._watcher.arrivals)
        mine = {a.stream for a in self._watcher.arrivals[:before] if a.place[0] in partitions}
        if post.process is None:
            raise BenchError(f"{post.name} has no process")
        post.process.kill()
        at_s = time.time()
        deadline_s = time.monotonic() + PATIENCE_S
        while mine - (waits := first_waits(self._watcher.arrivals[before:], mine, at_s)).keys():
            if time.monotonic() > deadline_s:
                raise BenchError(f"{len(mine) - len(waits)} streams had no prediction after a kill")
            time.sleep(0.2)
        self._crew.launch(post)
        return list(waits.values())


def first_waits(arrivals: Iterable[Arrival], streams: set[str], at_s: float) -> dict[str, float]:
    """Return how long after `at_s` each stream's first prediction was seen that was made later."""
    waits = dict[str, float]()
    for arrival in arrivals:
        if arrival.stream in streams and arrival.frozen_s > at_s:
            waits.setdefault(arrival.stream, arrival.seen_s - at_s)
    return waits


def captured_s(arrival: Arrival) -> float:
    """Return when the frame of a prediction was captured, in seconds since 1970."""
    return datetime.fromisoformat(json.loads(arrival.value)["captured_at"]).timestamp()


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    streams: Annotated[int, typer.Option(min=1, help="Of each of the two workers.")] = 50,
    size: Annotated[str, typer.Option(help="360p, 720p or 1080p.")] = "360p",
    fps: Annotated[int, typer.Option(min=1, max=CLIP_HZ, help="Published of each stream.")] = 1,
    group_s: Annotated[int, typer.Option(min=1, help="Seconds of film between keyframes.")] = 2,
    video: Annotated[
        Path | None, typer.Option(help="Pictures of this file, not of the sample clips.")
    ] = None,
    jpeg: Annotated[bool, typer.Option("--jpeg", help="JPEGs of the same pictures.")] = False,  # noqa: FBT002 - a flag
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure the fail-over of streams of H.264, with Kafka and cameras on the same machine.

    Ends with 1 if the p99 is not below the session timeout + 2 s.

    Example: `python -m tests.bench.video.failover --kills 20 --size 720p`
    """
    if size not in SIZES:
        raise typer.BadParameter(f"no size: {size}; sizes are {', '.join(SIZES)}")
    console = Console()
    names = [f"cam-{n}" for n in range(2 * streams)]
    try:
        with ExitStack() as stack:
            status = stack.enter_context(console.status("preparing a film"))
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="longtake-bench-")))
            material = plaza(MOVING) if video is None else recorded(video)
            pictures = islice(material.pictures(SIZES[size]), FILM_S * CLIP_HZ)
            group = group_s * CLIP_HZ
            rate_hz = Fraction(CLIP_HZ)
            film = write_films(folder, pictures, rate_hz=rate_hz, groups={"film": group})["film"]
            shots, _ = shoot(film, AS_JPEG if jpeg else AS_UNITS)
            status.update("starting Kafka")
            failover = VideoFailover(stack.enter_context(LocalKafka()), folder, seed=seed)
            waited_s, behind_s = failover.measure(
                shots, names, fps=fps, group_s=group / fps, kills=kills, say=status.update
            )
    except BenchError as exc:
        console.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc
    spread = Spread.of(waited_s)
    if spread is None:
        raise AssertionError("no stream was waited for")
    kind = "JPEG" if jpeg else f"H.264, groups of {group} units ({group_s} s of the film)"
    console.print(
        f"{kills} kills, {streams} streams a worker, {size}, {fps} frames/s, {kind}, on"
        f" {os.cpu_count()} cores; frames were published at most {behind_s:.1f} s late;"
        f" {material.words}"
    )
    console.print(f"from SIGKILL to the prediction, p50 / p99 / max: {spread}", highlight=False)
    reached = spread.p99_s < LIMIT_S
    words = f"p99 below the session timeout + 2 s, {LIMIT_S:g} s"
    console.print(f"{'reached' if reached else 'NOT reached'}: {words}", highlight=False)
    if json_file is not None:
        told = {"kills": kills, "streams": streams, "size": size, "fps": fps, "units": group}
        found = {"jpeg": jpeg, "behind_s": behind_s, "waited_s": numbers(spread)}
        json_file.write_text(json.dumps(told | found, indent=1) + "\n")
    raise typer.Exit(0 if reached else 1)


if __name__ == "__main__":
    typer.run(main)
