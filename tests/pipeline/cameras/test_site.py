"""Cameras are added and removed while the process runs, without an effect on the others."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.cameras.camera_settings import CameraSettings
from pipeline.cameras.site import Site
from pipeline.cameras.values import PictureFate, State
from pipeline.clock import SystemClock
from pipeline.errors import ConfigError
from tests.cameras.hostile import Page, web
from tests.cli.commands import until
from tests.pipeline.cameras.sink import CollectingSink
from tests.pipeline.pictures import jpeg, write_video


@pytest.fixture
def sink() -> CollectingSink:
    return CollectingSink()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(environment={}, clock=SystemClock(), rng=Random(1))  # noqa: S311
    yield made
    made.stop(3.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("clips")
    return str(write_video(folder / "clip.mp4", [20 * n for n in range(50)]))


def looped(clip: str, **more: object) -> CameraSettings:
    return CameraSettings.model_validate({"url": clip, "loop": True} | more)


def test_unchanged_cameras_continue_and_new_ones_start(
    site: Site, sink: CollectingSink, clip: str
) -> None:
    site.arrange({"gate": looped(clip)}, sink)
    until(lambda: len(sink.of("gate")) > 5, "frames of gate")
    site.arrange({"gate": looped(clip), "yard": looped(clip)}, sink)
    until(lambda: len(sink.of("yard")) > 5, "frames of yard")
    gate = sink.of("gate")
    assert [shot.seq for shot in gate] == list(range(len(gate)))
    assert len({shot.epoch for shot in gate}) == 1


def test_a_snapshot_is_requested_as_often_as_frames_are_wanted(
    site: Site, sink: CollectingSink
) -> None:
    pages = {"/photo": Page(jpeg(24, 32, seed=1), "image/jpeg")}
    with web(pages) as server:
        url = f"http://{server.at}/photo"
        site.arrange({"gate": CameraSettings(url=url, fps=100, frozen_s=0)}, sink)
        until(lambda: len(sink.of("gate")) > 3, "frames of gate")
        site.stop(3.0)
    first, *_, last = sink.of("gate")[:4]
    assert last.captured_us - first.captured_us < 2_500_000  # once a second: 3,000,000
    assert site.tallies["gate"].losses.total() == 0


def test_a_removed_camera_sends_nothing_and_has_no_counts(
    site: Site, sink: CollectingSink, clip: str
) -> None:
    site.arrange({"gate": looped(clip), "yard": looped(clip)}, sink)
    until(lambda: sink.of("gate") and sink.of("yard"), "frames of both")
    site.arrange({"yard": looped(clip)}, sink)
    site.stop(3.0)
    assert list(site.tallies) == ["yard"]
    site.count("gate", PictureFate.PUBLISHED, 1)  # a late answer of the broker
    assert list(site.tallies) == ["yard"]


def test_a_changed_camera_restarts_and_keeps_its_counts(
    site: Site, sink: CollectingSink, clip: str
) -> None:
    site.arrange({"gate": looped(clip)}, sink)
    until(lambda: sink.of("gate"), "frames of gate")
    site.count("gate", PictureFate.PUBLISHED, 7)
    site.arrange({"gate": looped(clip, fps=5)}, sink)
    until(lambda: site.tallies["gate"].fates[PictureFate.THINNED] > 5, "frames that are thinned")
    assert site.tallies["gate"].fates[PictureFate.PUBLISHED] == 7
    assert site.tallies["gate"].state is State.LIVE


def test_settings_that_cannot_be_carried_out_change_nothing(
    site: Site, sink: CollectingSink, clip: str
) -> None:
    site.arrange({"gate": looped(clip)}, sink)
    with pytest.raises(ConfigError, match="no NOBODY"):
        site.arrange({"yard": CameraSettings(url="rtsp://${NOBODY}@x/")}, sink)
    assert list(site.tallies) == ["gate"]
    until(lambda: len(sink.of("gate")) > 5, "frames of gate")


def test_clips_that_are_over_end_the_site_and_a_live_camera_does_not(
    site: Site, sink: CollectingSink, clip: str
) -> None:
    short = CameraSettings(url=clip, realtime=False)
    site.arrange({"gate": short}, sink)
    until(lambda: site.over, "the end")
    assert len(sink.of("gate")) == 50
    site.arrange({"gate": short, "yard": CameraSettings(url="http://127.0.0.1:1/yard")}, sink)
    assert not site.over


def test_a_folder_of_pictures_is_a_clip(site: Site, sink: CollectingSink, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(jpeg(16, 16, seed=n))
    site.arrange({"gate": CameraSettings(url=str(tmp_path))}, sink)
    until(lambda: site.over, "the end")
    assert len(sink.of("gate")) == 3
