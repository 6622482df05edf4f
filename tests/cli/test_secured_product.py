"""The whole product on a Kafka with TLS, logins and ACLs, each command as its role and no more."""

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Role
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Longtake, Running, Start, until
from tests.cli.secured_group import SecuredGroup

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

STREAMS = ("gate", "harbour")
FRAMES = 20  # of the clip
KILLED = -signal.SIGKILL


class Site:
    """One group on the secured Kafka, and its commands, each as the role whose work it is."""

    def __init__(self, group: SecuredGroup, start: Start, longtake: Longtake, clip: Path) -> None:
        self._group, self._start, self._longtake, self._clip = group, start, longtake, clip

    def runs(self, role: Role, *words: str) -> str:
        """Run a command to its end, and return what it printed."""
        ended = self._longtake(*words, *self._group.of_role(role))
        assert ended.code == 0, ended.err
        return ended.out

    def starts(self, role: Role, *words: str) -> Running:
        return self._start(*words, *self._group.of_role(role))

    def worker(self, slot: str) -> Running:
        return self.starts(Role.WORKER, "worker", "--slot", slot).ready()

    def film(self) -> None:
        """Let a camera of each stream publish the clip to its end."""
        for name in STREAMS:
            words = ("camera", self._clip, "--stream", name, "--topic", self._group.topics.frames)
            camera = self._start(*words, "--kafka", self._group.file_of(Role.CAMERA))
            assert camera.ended().code == 0, camera.log


@pytest.fixture
def site(
    secured: LocalKafka, tmp_path: Path, tiny: Path, start: Start, longtake: Longtake, clip: Path
) -> Site:
    return Site(SecuredGroup(secured, tmp_path, tiny), start, longtake, clip)


def tailed(tail: Running) -> Counter[str]:
    """Count the predictions that `tail --json` has shown, by stream."""
    lines = (line for line in tail.log.splitlines() if line.startswith("{"))
    return Counter(str(json.loads(line)["stream"]) for line in lines)


def test_a_worker_is_killed_and_nothing_is_missing(site: Site) -> None:
    site.runs(Role.OPERATOR, "topics", "create", "--partitions", "2")
    site.runs(Role.OPERATOR, "topics", "check")
    tail = site.starts(Role.READER, "tail", "--from-start", "--json")
    first, second = site.worker("one"), site.worker("two")
    site.film()
    first.process.kill()
    assert first.process.wait() == KILLED
    first = site.worker("one")
    site.film()
    wanted = dict.fromkeys(STREAMS, 2 * FRAMES)
    until(lambda: tailed(tail) == wanted, f"{wanted}")
    assert [worker.end(signal.SIGTERM)[0] for worker in (first, second)] == [0, 0]
    assert "no break" in site.runs(Role.READER, "audit")
    site.runs(Role.READER, "replay", "--diff")
    site.runs(Role.OPERATOR, "reset", "stream", "gate")
    site.runs(Role.OPERATOR, "reset", "partition", "0", "--to", "latest", "--yes")
