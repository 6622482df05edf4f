"""A reader of the cameras topic sees what happens to cameras and to their process."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Command, Operation, Role
from pipeline.local.cluster import LocalKafka
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Group, Longtake, Running, Start, until
from tests.cli.secured_group import SecuredGroup

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PASSWORD = "S3cr3t"  # noqa: S105 - of a camera of this test


class Scene:
    """A camera process whose states are repeated every second, and a reader of them."""

    def __init__(self, group: Group, start: Start, folder: Path) -> None:
        self.gate, self.yard = MjpegCamera("gate"), MjpegCamera("yard")
        self.gate.login = f"us3r:{PASSWORD}"
        self.server = MjpegServer(self.gate, self.yard)
        self._group, self._start, self._file = group, start, folder / "cameras.toml"
        self.tail = start("tail", "--cameras", "--json", "--config", group.file)

    def film(self, *names: str, topic: str | None = None) -> Running:
        self.configure(*names, topic=topic)
        return self._start("camera", "--config", self._file)

    def configure(self, *names: str, topic: str | None = None) -> None:
        topic = self._group.topics.cameras if topic is None else topic
        head = (
            f"bootstrap = '{self._group.cluster.config.bootstrap}'\nmetrics_port = 0\n"
            f"frames_topic = '{self._group.topics.frames}'\ncameras_topic = '{topic}'\n"
            "states_s = 1\n[defaults]\nstall_s = 1\n"
        )
        login = f"us3r:{PASSWORD}"
        entries = [f"[camera.{n}]\nurl = '{self.server.url(n, login=login)}'\n" for n in names]
        self._file.write_text(head + "".join(entries))

    def seen(self, name: str) -> list[dict[str, object]]:
        """What the reader has shown of a camera."""
        lines = (json.loads(line) for line in self.tail.log.splitlines() if line[:1] == "{")
        return [line for line in lines if line["stream"] == name]

    def sees(self, name: str, state: str) -> dict[str, object]:
        """Wait until the newest that the reader has shown of a camera is this state."""

        def newest() -> dict[str, object] | None:
            found = self.seen(name)
            return found[-1] if found and found[-1]["state"] == state else None

        return until(newest, f"{name} {state}")


@pytest.fixture
def scene(group: Group, start: Start, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(group, start, tmp_path)
    with made.server:
        yield made


def test_a_camera_that_stalls_and_a_process_that_dies_are_two_states(scene: Scene) -> None:
    camera = scene.film("gate")
    scene.sees("gate", "live")
    scene.gate.muted = True
    stalled = scene.sees("gate", "stalled")
    assert stalled["reason"]
    assert stalled["written"]["fates"]["published"] > 0  # type: ignore[index]
    scene.gate.muted = False
    live = scene.sees("gate", "live")
    assert str(live["since"]) > str(stalled["since"])
    camera.process.kill()
    gone = scene.sees("gate", "unknown")
    assert "the last was live" in str(gone["reason"])
    again = scene.film("gate")
    scene.sees("gate", "live")
    assert again.end(signal.SIGTERM)[0] == 0
    scene.sees("gate", "gone")


def test_no_state_holds_a_secret_of_the_cameras_address(scene: Scene, group: Group) -> None:
    scene.gate.login = "us3r:another"
    scene.film("gate", "yard")
    refused = scene.sees("gate", "refused")
    scene.sees("yard", "live")
    scene.server.kill()
    scene.sees("yard", "stalled")
    assert "login" in str(refused["reason"])
    values = [record.value or b"" for record in group.cluster.committed(group.topics.cameras)]
    assert [v for v in values if b"S3cr3t" in v or b"us3r" in v] == []
    assert len(values) >= 3


def test_a_camera_that_is_removed_from_the_file_is_removed_from_the_topic(scene: Scene) -> None:
    scene.film("gate", "yard")
    for name in ("gate", "yard"):
        scene.sees(name, "live")
    scene.configure("gate")
    scene.sees("yard", "removed")
    assert [one["reason"] for one in scene.seen("yard")[-2:]] == [
        "removed from the configuration",
        "",
    ]
    assert scene.seen("gate")[-1]["state"] == "live"


def test_a_person_reads_a_line_for_each_camera_that_is_known_and_for_each_change(
    scene: Scene, group: Group, start: Start
) -> None:
    scene.film("gate", "yard")
    for name in ("gate", "yard"):
        scene.sees(name, "live")
    reader = start("tail", "--cameras", "--stream", "gate", "--config", group.file)
    reader.says(r"^\d{4}-\d\d-\d\dT\S+Z  gate +live\n")
    scene.gate.muted = True
    reader.says(r"\n\d{4}-\d\d-\d\dT\S+Z  gate +stalled +\S")
    assert (len(reader.log.splitlines()), "yard" in reader.log) == (2, False)


def test_without_the_topic_one_warning_names_the_way_out_and_frames_go_on(
    scene: Scene, group: Group
) -> None:
    camera = scene.film("gate", topic="nowhere.cameras")
    camera.says("topic nowhere.cameras is missing; `longtake topics create` makes it")
    group.flowing(group.topics.frames, 20)
    assert camera.get("/readyz")[0] == 200
    code, seconds = camera.end(signal.SIGTERM)
    assert (code, seconds < 3) == (0, True)
    assert camera.log.count("nowhere.cameras") == 1


def test_a_user_who_may_not_write_the_topic_is_named_once_and_frames_go_on(
    secured: LocalKafka, tmp_path: Path, tiny: Path, longtake: Longtake, clip: Path
) -> None:
    group = SecuredGroup(secured, tmp_path, tiny)
    created = longtake("topics", "create", *group.of_role(Role.OPERATOR))
    frames, states = group.needs(Command.CAMERA)
    kafka = group.of_user([frames, replace(states, operations=frozenset({Operation.DESCRIBE}))])
    where = ("--topic", group.topics.frames, "--kafka", kafka)
    environment = {"LONGTAKE_CAMERAS_TOPIC": group.topics.cameras}
    ended = longtake("camera", clip, "--stream", "gate", *where, **environment)
    assert (created.code, ended.code) == (0, 0)
    assert ended.err.count(f"to WRITE topic {group.topics.cameras}; frames are not affected") == 1
    assert ended.err.splitlines()[-1] == "gate: 20 frames sent, 0 lost"


def test_options_of_predictions_do_not_go_with_cameras(longtake: Longtake) -> None:
    ended = longtake("tail", "--cameras", "--from-start")
    assert (ended.code, "shows states, not predictions" in ended.err) == (2, True)


def test_without_a_topic_there_is_nothing_to_show(
    group: Group, longtake: Longtake, tmp_path: Path
) -> None:
    words = ("tail", "--cameras", "--config", group.file)
    text = group.file.read_text()
    group.file.write_text(text.replace(f'"{group.topics.cameras}"', '"nowhere.cameras"'))
    assert longtake(*words).code == 11
    group.file.write_text(text.replace(f'"{group.topics.cameras}"', '""'))
    ended = longtake(*words)
    assert (ended.code, "cameras_topic is empty" in ended.complaint) == (2, True)
