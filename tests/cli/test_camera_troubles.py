"""Everything that happens to live cameras, once, and what is seen of it: in the log, the metrics
and the predictions' memory. A third camera, to which nothing happens, must not notice.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.media.pictures import decode_upright
from pipeline.records import Record
from tests.cameras.blocks import Mark, read
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import RtspServer, serving
from tests.cli.commands import Group, Running, until
from tests.clusters import KafkaCluster

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

LOGIN = "viewer:p@ss/word"
CONFIG = """
bootstrap = "{bootstrap}"
frames_topic = "{topic}"
metrics_port = 0
[defaults]
connect_s = 2
stall_s = 2
frozen_s = 1.5
[camera.gate]
url = "rtsp://${{RTSP_LOGIN}}@127.0.0.1:{rtsp}/gate"
[camera.yard]
url = "rtsp://${{RTSP_LOGIN}}@127.0.0.1:{rtsp}/yard"
transport = "udp"
[camera.hall]
url = "{hall}"
"""


@dataclass(slots=True)
class Shot:
    """One frame of the log."""

    seq: int
    epoch: int
    captured_ms: float
    mark: Mark
    size: tuple[int, int]


@dataclass(slots=True)
class Story:
    """What was left when it was over."""

    metrics: dict[str, float] = field(default_factory=dict)
    frames: dict[str, list[Shot]] = field(default_factory=dict)
    memories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    log: str = ""
    hall_sent: list[int] = field(default_factory=list)  # a busy machine skips numbers itself

    def sample(self, name: str, camera: str, **label: str) -> float:
        ((key, value),) = label.items()
        return self.metrics[f'{name}{{camera="{camera}",{key}="{value}"}}']


def live(camera: Running, name: str, state: str = "live") -> None:
    sample = f'longtake_camera_state{{camera="{name}",state="{state}"}}'
    until(lambda: camera.metric(sample) == 1, f"{name} {state}")


def counts(camera: Running, name: str, least: float, metric: str, **label: str) -> None:
    """Wait until a counter of a camera is at `least`, or above."""
    ((key, value),) = label.items()
    sample = f'longtake_camera_{metric}_total{{camera="{name}",{key}="{value}"}}'
    until(lambda: camera.metric(sample) >= least, f"{least:.0f} of {sample}")


def publishes(camera: Running, name: str, frames: int) -> None:
    """Wait until so many more frames of a camera are in the log."""
    sample = f'longtake_camera_frames_total{{camera="{name}",fate="published"}}'
    counts(camera, name, camera.metric(sample) + frames, "frames", fate="published")


def trouble(camera: Running, server: RtspServer) -> None:
    """One after the other, each when the one before has had its effect."""
    for name in ("gate", "yard", "hall"):
        live(camera, name)
        publishes(camera, name, 20)
    server.freeze("yard")
    server.resize("gate", 160, 128)
    counts(camera, "gate", 1, "epochs", reason="size")
    live(camera, "yard", "frozen")
    server.jump("gate", 100)
    counts(camera, "gate", 1, "epochs", reason="clock")
    counts(camera, "yard", 30, "frames", fate="frozen")  # 3 s without a frame: a gap
    server.thaw("yard")
    live(camera, "yard")
    server.stall()
    for name in ("gate", "yard"):
        live(camera, name, "stalled")
    server.resume()
    for name in ("gate", "yard"):
        live(camera, name)
        publishes(camera, name, 10)
    server.kill()
    for name in ("gate", "yard"):
        live(camera, name, "stalled")
    publishes(camera, "hall", 30)  # meanwhile: 3 s without the others, a gap
    server.restart()
    for name in ("gate", "yard"):
        live(camera, name)
    for name in ("gate", "yard", "hall"):
        counts(camera, name, 60, "frames", fate="published")
        publishes(camera, name, 10)


def shots(records: list[Record]) -> list[Shot]:
    found = []
    for record in records:
        headers = dict(record.headers)
        picture = decode_upright(record.value or b"")
        found.append(
            Shot(
                int(headers["seq"]),
                int(headers["epoch"]),
                float(headers["captured-at"]),
                read(picture.to_ndarray(format="rgb24")),
                (picture.width, picture.height),
            )
        )
    return found


def tell(group: Group, camera: Running) -> Story:
    story = Story(log=camera.log)
    for line in camera.get("/metrics")[1].splitlines():
        if line.startswith("longtake_camera"):
            name, value = line.rsplit(" ", 1)
            story.metrics[name] = float(value)
    assert camera.end(signal.SIGTERM)[0] == 0
    records = group.cluster.committed(group.topics.frames)
    predictions = group.predictions(len(records))
    for name in ("gate", "yard", "hall"):
        key = name.encode()
        story.frames[name] = shots([one for one in records if one.key == key])
        mine = [json.loads(one.value or b"") for one in predictions if one.key == key]
        story.memories[name] = [one["memory"] for one in mine]
    return story


@pytest.fixture(scope="module")
def story(
    kafka: LocalKafka, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("troubles")
    cluster = KafkaCluster(kafka.connection, 2)
    group = Group(cluster, folder, tiny)
    mounts = Mount("gate"), Mount("yard", codec="mjpeg")
    with ExitStack() as stack:
        stack.callback(cluster.close)
        server = stack.enter_context(serving(*mounts, login=LOGIN))
        steady = MjpegCamera("hall")
        hall = stack.enter_context(MjpegServer(steady))
        file = folder / "cameras.toml"
        file.write_text(
            CONFIG.format(
                bootstrap=kafka.bootstrap,
                topic=group.topics.frames,
                rtsp=server.port,
                hall=hall.url("hall"),
            )
        )
        worker = Running(folder / "worker.log", "worker", "--config", group.file).ready()
        stack.callback(worker.process.wait)
        stack.callback(worker.process.kill)
        camera = Running(folder / "camera.log", "camera", "--config", file, RTSP_LOGIN=LOGIN)
        stack.callback(camera.process.wait)
        stack.callback(camera.process.kill)
        trouble(camera, server)
        story = tell(group, camera)
        story.hall_sent = [mark.number for mark, _ in steady.sent]
        yield story


@pytest.mark.parametrize("name", ["gate", "yard", "hall"])
def test_frames_arrive_in_order_with_the_times_at_which_they_were_taken(
    story: Story, name: str
) -> None:
    frames = story.frames[name]
    assert [one.seq for one in frames] == list(range(len(frames)))
    assert len(frames) > 50
    errors_ms = [abs(one.captured_ms - one.mark.captured_ms) for one in frames]
    assert median(errors_ms) < 30
    moving = [
        abs(b.captured_ms - b.mark.captured_ms) for a, b in pairwise(frames) if a.mark != b.mark
    ]
    assert max(moving) < 500


@pytest.mark.parametrize("name", ["gate", "yard", "hall"])
def test_time_goes_forward_within_an_epoch(story: Story, name: str) -> None:
    pairs = list(pairwise(story.frames[name]))
    assert all(b.captured_ms > a.captured_ms for a, b in pairs if a.epoch == b.epoch)
    assert all(b.epoch >= a.epoch for a, b in pairs)


def test_a_change_of_size_and_a_jump_of_the_clock_begin_new_epochs_and_lose_no_frame(
    story: Story,
) -> None:
    frames = story.frames["gate"]
    assert story.sample("longtake_camera_epochs_total", "gate", reason="size") == 2  # and back
    assert story.sample("longtake_camera_epochs_total", "gate", reason="clock") == 1
    assert {one.size for one in frames} == {(320, 240), (160, 128)}
    sizes = [b.mark.number - a.mark.number for a, b in pairwise(frames) if a.size != b.size]
    assert sizes[0] == 1
    assert [m["reset"] for m in story.memories["gate"]].count("epoch") == 3


def test_a_frozen_picture_is_counted_and_withheld(story: Story) -> None:
    withheld = story.sample("longtake_camera_frames_total", "yard", fate="frozen")
    assert withheld >= 10
    marks = [one.mark for one in story.frames["yard"]]
    assert 5 <= max(marks.count(mark) for mark in set(marks)) <= 25
    assert "yard: its picture stands still" in story.log


def test_stalls_and_deaths_are_counted_and_seen_as_gaps(story: Story) -> None:
    for name in ("gate", "yard"):
        assert story.sample("longtake_camera_failures_total", name, reason="stalled") >= 1
        ended = [
            story.sample("longtake_camera_failures_total", name, reason=reason)
            for reason in ("ended", "broken", "stalled")
        ]
        assert sum(ended) >= 2
    resets = {name: [m["reset"] for m in story.memories[name]] for name in ("gate", "yard")}
    assert (resets["gate"][0], resets["yard"][0]) == ("new", "new")
    assert resets["gate"].count("gap") == 1  # and when it came back as it was made: another size
    assert resets["yard"].count("gap") == 3


def test_the_camera_to_which_nothing_happened_lost_no_frame(story: Story) -> None:
    numbers = [one.mark.number for one in story.frames["hall"]]
    first = story.hall_sent.index(numbers[0])
    assert numbers == story.hall_sent[first : first + len(numbers)]
    assert first + len(numbers) >= len(story.hall_sent) - 5  # the newest were still on their way
    resets = [memory["reset"] for memory in story.memories["hall"]]
    assert (resets[0], set(resets[1:])) == ("new", {None})
    failures = [
        value
        for name, value in story.metrics.items()
        if name.startswith('longtake_camera_failures_total{camera="hall"')
    ]
    assert (len(failures), sum(failures)) == (5, 0)


def test_nobody_reads_the_password(story: Story) -> None:
    assert "rtsp://127.0.0.1" in story.log
    for secret in (LOGIN, "p%40ss", "p@ss", "viewer"):
        assert secret not in story.log
        assert not any(secret in name for name in story.metrics)
