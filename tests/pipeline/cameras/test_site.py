"""Cameras are added and removed while the process runs, without an effect on the others."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.broker.shots import Shot
from pipeline.cameras.camera_settings import CameraSettings
from pipeline.cameras.site import Site
from pipeline.cameras.values import Left, State
from pipeline.clock import SystemClock
from pipeline.errors import ConfigError
from tests.cli.commands import until
from tests.pipeline.pictures import jpeg, write_video


class Way:
    def __init__(self) -> None:
        self.shots = list[Shot]()

    def post(self, shot: Shot) -> bool:
        self.shots.append(shot)
        return True

    offer = post

    def of(self, name: str) -> list[Shot]:
        return [shot for shot in self.shots if shot.stream == name]


@pytest.fixture
def way() -> Way:
    return Way()


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


def test_who_stays_goes_on_and_who_is_new_begins(site: Site, way: Way, clip: str) -> None:
    site.arrange({"gate": looped(clip)}, way)
    until(lambda: len(way.of("gate")) > 5, "frames of gate")
    site.arrange({"gate": looped(clip), "yard": looped(clip)}, way)
    until(lambda: len(way.of("yard")) > 5, "frames of yard")
    gate = way.of("gate")
    assert [shot.seq for shot in gate] == list(range(len(gate)))
    assert len({shot.epoch for shot in gate}) == 1


def test_who_is_gone_is_quiet_and_has_no_account(site: Site, way: Way, clip: str) -> None:
    site.arrange({"gate": looped(clip), "yard": looped(clip)}, way)
    until(lambda: way.of("gate") and way.of("yard"), "frames of both")
    site.arrange({"yard": looped(clip)}, way)
    site.stop(3.0)
    assert list(site.tallies) == ["yard"]
    site.count("gate", Left.PUBLISHED, 1)  # a late answer of the broker
    assert list(site.tallies) == ["yard"]


def test_who_is_changed_begins_anew_and_keeps_its_account(site: Site, way: Way, clip: str) -> None:
    site.arrange({"gate": looped(clip)}, way)
    until(lambda: way.of("gate"), "frames of gate")
    site.count("gate", Left.PUBLISHED, 7)
    site.arrange({"gate": looped(clip, fps=5)}, way)
    until(lambda: site.tallies["gate"].left[Left.THINNED] > 5, "frames that are thinned")
    assert site.tallies["gate"].left[Left.PUBLISHED] == 7
    assert site.tallies["gate"].state is State.LIVE


def test_settings_that_cannot_be_carried_out_change_nothing(
    site: Site, way: Way, clip: str
) -> None:
    site.arrange({"gate": looped(clip)}, way)
    with pytest.raises(ConfigError, match="no NOBODY"):
        site.arrange({"yard": CameraSettings(url="rtsp://${NOBODY}@x/")}, way)
    assert list(site.tallies) == ["gate"]
    until(lambda: len(way.of("gate")) > 5, "frames of gate")


def test_clips_that_are_over_end_the_site_and_a_live_camera_does_not(
    site: Site, way: Way, clip: str
) -> None:
    short = CameraSettings(url=clip, realtime=False)
    site.arrange({"gate": short}, way)
    until(lambda: site.over, "the end")
    assert len(way.of("gate")) == 50
    site.arrange({"gate": short, "yard": CameraSettings(url="http://127.0.0.1:1/yard")}, way)
    assert not site.over


def test_a_folder_of_pictures_is_a_clip(site: Site, way: Way, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(jpeg(16, 16, seed=n))
    site.arrange({"gate": CameraSettings(url=str(tmp_path))}, way)
    until(lambda: site.over, "the end")
    assert len(way.of("gate")) == 3
