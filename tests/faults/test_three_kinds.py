"""Pictures, words and genes in three groups on one Kafka: killed, moved, and nothing is missing."""

import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import SCRIPT, Group, Running, environment
from tests.clusters import KafkaCluster
from tests.engines.bundles import lettered, write_tiny
from tests.pipeline.pictures import jpeg

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

STREAMS, ROUNDS, PARTITIONS = 4, 30, 2
KINDS = ("picture", "text", "bases")
BROKEN = {"picture": b"no picture", "text": b"\xff", "bases": b"AC-T"}


def content(kind: str, seed: int) -> bytes:
    if kind == "picture":
        return jpeg(16, 16, seed=seed)
    letters = "ACGT" if kind == "bases" else "abcdefghijklmnopqrstuvwxyzåß"
    drawn = random.Random(seed)  # noqa: S311 - data, no secret
    return "".join(drawn.choices(letters, k=drawn.randint(1, 6))).encode()


class KindGroup:
    """One group with a bundle for one kind of input, and its present worker."""

    def __init__(self, kafka: LocalKafka, folder: Path, kind: str) -> None:
        self.kind, self._folder = kind, folder
        self.cluster = KafkaCluster(kafka.connection, PARTITIONS)
        if kind == "picture":
            bundle = write_tiny(folder / "bundle")
        else:
            lettered(bundle := folder / "bundle", "text" if kind == "text" else "bases")
        self.group = Group(self.cluster, folder, bundle)
        self._round = self._workers = 0
        self.letters = 0
        self.worker = self._launch()

    def _launch(self) -> Running:
        self._workers += 1
        log = self._folder / f"{self._workers}.log"
        return Running(log, "worker", "--config", self.group.file)

    def publish(self, rounds: int) -> None:
        for _ in range(rounds):
            for n in range(STREAMS):
                headers = (("seq", b"%d" % self._round), ("epoch", b"1"))
                sent = content(self.kind, self._round * STREAMS + n)
                self.cluster.publish(n % PARTITIONS, b"stream-%d" % n, sent, headers)
            self._round += 1
        self.cluster.publish(0, b"stream-0", BROKEN[self.kind])
        self.letters += 1

    def replace_worker(self) -> None:
        """Kill the worker, and start another one, which has to restore its partitions."""
        self.worker.end(signal.SIGKILL)
        self.worker = self._launch()

    @property
    def published(self) -> int:
        return self._round * STREAMS

    def close(self) -> None:
        if self.worker.process.poll() is None:
            self.worker.process.kill()
            self.worker.process.wait()
        self.cluster.close()


@pytest.fixture
def groups(kafka: LocalKafka, tmp_path: Path) -> Iterator[list[KindGroup]]:
    made: list[KindGroup] = []
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        made.append(KindGroup(kafka, tmp_path / kind, kind))
    yield made
    for one in made:
        one.close()


def test_three_kinds_are_killed_and_go_on_as_if_nothing_had_happened(
    groups: list[KindGroup],
) -> None:
    for one in groups:
        one.publish(ROUNDS)
    for one in groups:
        one.group.flowing(one.group.topics.predictions, one.published // 3)
        one.replace_worker()
        one.publish(ROUNDS)
    for one in groups:
        one.group.predictions(one.published)
        one.group.dead_letters(one.letters)
        assert one.worker.end(signal.SIGTERM)[0] == 0, one.worker.log
    for one in groups:
        for command in (("audit",), ("replay", "--diff")):
            ended = subprocess.run(
                [SCRIPT, *command, "--config", one.group.file],
                env=environment(),
                capture_output=True,
                check=False,
            )
            assert ended.returncode == 0, (one.kind, command, ended.stderr)
