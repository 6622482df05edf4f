"""From 4 to 12 partitions under 24 live cameras, with deaths of workers and of the command."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.broker.partitioner import partition_of
from pipeline.local.cluster import LocalKafka
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Group, Running, write_settings
from tests.cli.grown import judge
from tests.clusters import KafkaCluster
from tests.engines.bundles import write_tiny

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

BEFORE, AFTER = 4, 12
NAMES = [f"cam-{n:02}" for n in range(24)]
AGE = "35s"  # cameras renew their metadata every 30 s
LEARN_S = 180  # twice the age, and what a busy machine adds
GROW = ("topics", "grow", "--partitions", str(AFTER), "--metadata-age", AGE)


class Site:
    """A group, the process of 24 cameras, and workers in slots."""

    def __init__(self, kafka: LocalKafka, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        cluster = KafkaCluster(kafka.connection, BEFORE)
        stack.callback(cluster.close)
        self.group = Group(cluster, folder, write_tiny(folder / "tiny"))
        settings = {"bundle": str(folder / "tiny"), "gap_reset_s": 120, "session_timeout_s": 6}
        self.group.file = write_settings(folder / "group.toml", cluster, **settings)
        cameras = {name: MjpegCamera(name, fps=4, width=160, height=120) for name in NAMES}
        server = stack.enter_context(MjpegServer(*cameras.values()))
        file = folder / "cameras.toml"
        lines = [f'bootstrap = "{kafka.bootstrap}"', "metrics_port = 0", 'cameras_topic = ""']
        lines += [f'frames_topic = "{cluster.topics.frames}"']
        lines += [f'[camera.{name}]\nurl = "{server.url(name)}"' for name in NAMES]
        file.write_text("\n".join(lines))
        self.camera = self.run("camera", "--config", file)

    def run(self, *words: str | Path) -> Running:
        count = len(list(self._folder.glob("*.log")))
        running = Running(self._folder / f"{count}.log", *words)
        self._stack.callback(running.process.wait)
        self._stack.callback(running.process.kill)
        return running

    @staticmethod
    def wait(running: Running, words: str) -> None:
        """Wait for words in a log: producers take a while to learn of new partitions."""
        deadline_s = time.monotonic() + LEARN_S
        while words not in running.log:
            assert running.process.poll() is None, running.log
            assert time.monotonic() < deadline_s, running.log
            time.sleep(0.2)

    def worker(self, slot: str) -> Running:
        """Start a worker in a slot, and wait until it is ready."""
        running = self.run("worker", "--config", self.group.file, "--slot", slot)
        self.wait(running, "metrics on http://")
        return running.ready()

    def grow(self) -> Running:
        return self.run(*GROW, "--config", self.group.file)


@pytest.fixture
def site(kafka: LocalKafka, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(kafka, tmp_path, stack)


def test_growth_under_live_cameras_loses_and_repeats_nothing_and_remembers_everything(
    site: Site,
) -> None:
    one, two = site.worker("one"), site.worker("two")
    site.group.flowing(site.group.topics.predictions, 10 * len(NAMES))
    first = site.grow()
    site.wait(one, "is new: waits for `longtake topics grow`")
    first.process.kill()  # the frames topic has grown, nothing has moved
    one.process.kill()
    one.process.wait()
    one = site.worker("one")  # it finds the new partitions, and holds them
    second = site.grow()
    site.wait(second, "seconds without a frame of a moving stream in old partitions: ")
    two.process.kill()
    two.process.wait()
    two = site.worker("two")
    site.wait(second, "stop the workers of group")
    second.process.kill()  # all is drained, nothing has moved
    third = site.grow()
    site.wait(third, "stop the workers of group")
    for worker in (one, two):
        assert worker.end(signal.SIGTERM)[0] == 0
    third.says(r"streams moved; the workers can be started again")
    assert third.ended().code == 0
    one, two = site.worker("one"), site.worker("two")
    time.sleep(10)  # frames of the time that begins now
    one.process.kill()
    one.process.wait()
    one = site.worker("one")
    assert site.camera.end(signal.SIGTERM)[0] == 0
    places = judge(site.group, NAMES)
    for worker in (one, two):
        assert worker.end(signal.SIGTERM)[0] == 0
    moving = [name for name in NAMES if partition_of(name.encode(), AFTER) >= BEFORE]
    assert [name for name in NAMES if len(places[name]) == 2] == moving
    assert len(moving) >= len(NAMES) // 2
    audit = site.run("audit", "--config", site.group.file).ended()
    assert audit.code == 0, audit.err
    assert "grown from 4 to 12 partitions at" in audit.err
