"""`longtake camera`: a video goes into Kafka, frame by frame."""

import signal
from pathlib import Path

import pytest

from pipeline.decode import Fit, decode_picture
from tests.cli.commands import Group, Longtake, Start

pytestmark = pytest.mark.kafka


def command(group: Group, clip: Path, *more: str) -> list[str]:
    where = ["--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames]
    return ["camera", str(clip), "--stream", "gate", *where, *more]


def test_every_frame_arrives_with_its_key_and_headers(
    group: Group, longtake: Longtake, clip: Path
) -> None:
    ended = longtake(*command(group, clip))
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "gate: 20 frames sent, 0 lost")
    records = group.frames(20)
    assert {record.key for record in records} == {b"gate"}
    assert len({record.partition for record in records}) == 1
    headers = [dict(record.headers) for record in records]
    assert [h["seq"] for h in headers] == [str(n).encode() for n in range(20)]
    assert len({h["epoch"] for h in headers}) == 1
    captured = [float(h["captured-at"]) for h in headers]
    assert captured == pytest.approx([captured[0] + 50 * n for n in range(20)], abs=0.01)
    assert decode_picture(records[0].value or b"", Fit(48, 64, "stretch")).shape == (48, 64, 3)


def test_fps_limits_the_rate(group: Group, longtake: Longtake, clip: Path) -> None:
    longtake(*command(group, clip, "--fps", "5"))
    captured = [float(dict(record.headers)["captured-at"]) for record in group.frames(5)]
    assert captured == pytest.approx([captured[0] + 200 * n for n in range(5)], abs=0.01)


def test_a_camera_that_is_told_to_stop_has_lost_nothing(
    group: Group, start: Start, clip: Path
) -> None:
    camera = start(*command(group, clip, "--loop"))
    group.flowing(group.topics.frames, 25)  # the second round
    code, seconds = camera.end(signal.SIGTERM)
    assert (code, seconds < 3) == (0, True)
    sent = int(camera.says(r"gate: (\d+) frames sent, 0 lost\n$")[1])
    assert len(group.frames(sent)) == sent
