"""H.264 from the log to predictions, and back to pictures: worker, tail and replay together."""

import signal
from pathlib import Path

import av
import pytest

from tests.cli.commands import Group, Longtake, Start, until
from tests.pipeline.media.logged import unit_record
from tests.pipeline.media.video.encoding import FRAMES, GROUP, encoded
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka

LOST = 15
GOOD = FRAMES - GROUP // 2  # units with a picture


@pytest.fixture
def filmed(group: Group, start: Start) -> Group:
    """A group whose worker has predicted a stream of units, one of them lost, and one of JPEGs."""
    for n, unit in enumerate(encoded("cabac")):
        record = unit_record(n, unit, seq=n, stream="gate")
        if n != LOST:
            group.cluster.publish(0, record.key, unit, record.headers)
        group.cluster.publish(0, b"door", jpeg(16, 24, seed=n))
    worker = start("worker", "--config", group.file)
    group.flowing(group.topics.predictions, GOOD + FRAMES)
    worker.end(signal.SIGTERM)
    return group


def test_every_prediction_has_its_picture(filmed: Group, start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    tail = start("tail", "--config", filmed.file, "--from-start", "--pictures", folder)
    until(lambda: tail.log.count(".jpg\n") == GOOD + FRAMES, "every line with its picture")
    assert len(list(folder.glob("gate-0-*.jpg"))) == GOOD
    assert "no picture" not in tail.log


def test_a_replay_draws_the_same_predictions_on_the_units(
    filmed: Group, longtake: Longtake, tmp_path: Path
) -> None:
    film = ("--overlay", "seen.mp4", "--stream", "gate")
    ended = longtake("replay", "--config", filmed.file, "--diff", "--json", *film)
    assert ended.code == 0, ended.err
    assert ended.json["diff"]["counts"]["same"] == GOOD + FRAMES
    assert f"{GOOD} frames of partition 0 drawn, 4 left out" in ended.err
    with av.open(str(tmp_path / "seen.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == GOOD
