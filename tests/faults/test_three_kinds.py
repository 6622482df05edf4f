"""Pictures, words and genes in three groups on one Kafka: killed, moved, and nothing is missing."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import SCRIPT, Group, Running, environment
from tests.clusters import KafkaCluster
from tests.pipeline.pictures import jpeg

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

SAMPLES = Path(__file__).parents[2] / "pipeline" / "samples"
STREAMS, ROUNDS, PARTITIONS = 4, 12, 2
FIRST_MS, EVERY_MS = 1_700_000_000_000, 100  # of capture: `actions` takes 15 frames a second
BUNDLES = {"actions": b"no picture", "languages": b"\xff", "strands": b"AC-T"}  # and what breaks


def contents(bundle: str) -> Sequence[bytes]:
    """Return what the streams of a bundle show, in turn."""
    if bundle == "actions":
        return [jpeg(96, 96, seed=seed) for seed in range(16)]
    if bundle == "languages":
        return (SAMPLES / "session.txt").read_bytes().splitlines()
    return (SAMPLES / "bsub.fa").read_bytes().splitlines()[1:]


class KindGroup:
    """One group with a shipped bundle, and its present workers by their slots."""

    def __init__(self, kafka: LocalKafka, folder: Path, bundle: str) -> None:
        self.bundle, self._folder = bundle, folder
        self.cluster = KafkaCluster(kafka.connection, PARTITIONS)
        self.group = Group(self.cluster, folder, bundle)
        self._contents = contents(bundle)
        self._round = self._launched = 0
        self.letters = 0
        self.workers: dict[str, Running] = {}

    def launch(self, slot: str) -> None:
        self._launched += 1
        log = self._folder / f"{self._launched}.log"
        self.workers[slot] = Running(log, "worker", "--config", self.group.file, "--slot", slot)

    def publish(self) -> None:
        for _ in range(ROUNDS):
            for n in range(STREAMS):
                captured_ms = FIRST_MS + EVERY_MS * self._round
                headers = (
                    ("seq", b"%d" % self._round),
                    ("epoch", b"1"),
                    ("captured-at", b"%d" % captured_ms),
                )
                place = self._round + n * len(self._contents) // STREAMS
                sent = self._contents[place % len(self._contents)]
                self.cluster.publish(n % PARTITIONS, b"stream-%d" % n, sent, headers)
            self._round += 1
        self.cluster.publish(0, b"stream-0", BUNDLES[self.bundle])
        self.letters += 1

    @property
    def published(self) -> int:
        return self._round * STREAMS

    def close(self) -> None:
        for worker in self.workers.values():
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()
        self.cluster.close()


@pytest.fixture
def groups(kafka: LocalKafka, tmp_path: Path) -> Iterator[list[KindGroup]]:
    made: list[KindGroup] = []
    for bundle in BUNDLES:
        (tmp_path / bundle).mkdir()
        made.append(KindGroup(kafka, tmp_path / bundle, bundle))
    yield made
    for one in made:
        one.close()


def test_three_kinds_are_killed_and_moved_as_if_nothing_had_happened(
    groups: list[KindGroup],
) -> None:
    for one in groups:
        one.publish()
        one.launch("a")
    for one in groups:
        one.group.flowing(one.group.topics.predictions, one.published // 3)
        one.workers["a"].end(signal.SIGKILL)
        one.launch("a")
        one.publish()
    for one in groups:
        one.group.flowing(one.group.topics.predictions, one.published // 2 + 1)  # of both
        one.launch("b")  # a partition moves to it
    for one in groups:
        one.workers["b"].says(r"restored partitions \[\d\] with 2 streams")
        one.publish()
    for one in groups:
        one.group.predictions(one.published)
        one.group.dead_letters(one.letters)
        for worker in one.workers.values():
            assert worker.end(signal.SIGTERM)[0] == 0, worker.log
    for one in groups:
        for command in (("audit",), ("replay", "--diff")):
            ended = subprocess.run(
                [SCRIPT, *command, "--config", one.group.file],
                env=environment(),
                capture_output=True,
                check=False,
            )
            assert ended.returncode == 0, (one.bundle, command, ended.stderr)
