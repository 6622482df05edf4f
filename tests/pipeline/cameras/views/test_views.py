"""A view is the stream of the same pixels cut beforehand, and what a mask covers never leaves."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engines.onnxrt import onnxruntime_engine
from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.capture.clip import ClipSource
from pipeline.cameras.capture.shutter import Exposure
from pipeline.cameras.feed import Source
from pipeline.cameras.relay import Relay
from pipeline.cameras.spool import Spool
from pipeline.cameras.values import NewEpoch, Picture, PictureFate
from pipeline.cameras.views import camera_view
from pipeline.clock import ManualClock
from pipeline.media.pictures import decode_upright, rgb_pixels
from pipeline.media.sources import open_source
from pipeline.media.video.outcomes import StorableUnit
from pipeline.offline.run import SourceReport, predict_sources, serve_files
from tests.engines.bundles import tiny
from tests.pipeline.cameras.scene import START_S
from tests.pipeline.cameras.views.shots import Given, Shots
from tests.pipeline.pictures import encoded, noisy, turned, write_video
from tests.uplinks import Log
from tests.world import Steps

Pixels = NDArray[np.uint8]
WHERE = {"odd": (7, 5, 58, 40), "door": (0, 0, 33, 48), "all": (0, 0, 64, 48)}


def clip(path: Path) -> ClipSource:
    return ClipSource(path, loop=False, realtime=False, clock=ManualClock(START_S))


def folder(path: Path, pictures: list[Pixels]) -> Path:
    path.mkdir()
    for number, one in enumerate(pictures):
        Image.fromarray(one).save(path / f"{number}.png")
    return path


def scenes(count: int = 3) -> list[Pixels]:
    return [np.roll(np.asarray(noisy(48, 64)), 9 * n, axis=1) for n in range(count)]


def films(tmp_path: Path) -> dict[str, tuple[Path, list[Pixels]]]:
    """Sources with the pixels of their pictures."""
    video = write_video(tmp_path / "clip.mp4", [0, 40, 80])
    filmed = [rgb_pixels(one.picture) for one in open_source(video)]
    return {
        "video": (video, filmed),
        "pictures": (folder(tmp_path / "whole", scenes()), scenes()),
    }


def text(box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    return f"{left},{top},{right - left},{bottom - top}"


@pytest.mark.parametrize("kind", ["video", "pictures"])
@pytest.mark.parametrize("more", [{}, {"size": "24x24"}, {"mask": ["9,9,30,20", "0.9,0,0.1,1"]}])
def test_a_view_publishes_the_bytes_of_the_same_pixels_cut_beforehand(
    tmp_path: Path, kind: str, more: Mapping[str, Any]
) -> None:
    path, pictures = films(tmp_path)[kind]
    shots = Shots(clip(path), views={name: text(box) for name, box in WHERE.items()}, **more)
    if "mask" in more:
        pictures = [one.copy() for one in pictures]
        for one in pictures:
            one[9:29, 9:39] = one[:, 57:] = 0
    times = [one.captured_us for one in shots.of("all")]
    for name, (left, top, right, bottom) in WHERE.items():
        cut = folder(tmp_path / name, [one[top:bottom, left:right] for one in pictures])
        beforehand = Shots(clip(cut), **{k: v for k, v in more.items() if k != "mask"}).of("gate")
        assert len(beforehand) == 3
        timed = [replace(s, captured_us=at) for s, at in zip(beforehand, times, strict=True)]
        assert shots.of(name) == timed


def test_the_smallest_view_is_one_pixel(tmp_path: Path) -> None:
    path, pictures = films(tmp_path)["pictures"]
    shots = Shots(clip(path), crop="0.99,0.99,0.01,0.01").of("gate")
    found = [rgb_pixels(decode_upright(shot.content)) for shot in shots]
    assert [one.shape for one in found] == [(1, 1, 3)] * 3
    wanted = [one[47:, 63:].astype(int) for one in pictures]
    assert all(abs(a - b).max() < 30 for a, b in zip(found, wanted, strict=True))


def test_predictions_of_a_view_are_those_of_the_pixels_cut_beforehand(tmp_path: Path) -> None:
    pictures = scenes(6)
    left, top, right, bottom = WHERE["odd"]
    cut = [one[top:bottom, left:right] for one in pictures]
    bundle = tiny(tmp_path)
    published = {
        "view": Shots(clip(folder(tmp_path / "whole", pictures)), crop=text(WHERE["odd"])),
        "cut": Shots(clip(folder(tmp_path / "cut", cut))),
    }
    lines = {}
    for name, shots in published.items():
        log = tmp_path / f"log-{name}"
        log.mkdir()
        for shot in shots.made:
            (log / f"{shot.seq}.jpg").write_bytes(shot.content)
        outcomes = predict_sources(
            [open_source(log)],
            model=serve_files(bundle, onnxruntime_engine(bundle, threads=1)),
            reports=[SourceReport("gate")],
        )
        lines[name] = [one.answer for one in outcomes]
    assert len(lines["view"]) == 6
    assert None not in lines["view"]
    assert lines["view"] == lines["cut"]


def sources_under(private: Pixels, tmp_path: Path) -> dict[str, Source]:
    """Every way into the process, with these pixels at the place of the mask."""
    whole = scenes(1)[0].copy()
    whole[16:32, 16:48] = private
    at_us = round(START_S * 1e6)
    image = Image.fromarray(whole)
    jpeg = encoded(image, "JPEG", quality=100, subsampling=0)
    frame = decode_upright(encoded(image, "PNG"))
    unit = StorableUnit(b"secret" + private.tobytes(), 0)
    path = tmp_path / str(private[0, 0, 0])
    return {
        "jpeg": Given(Picture(64, 48, jpeg=jpeg, captured_us=at_us)),
        "unit": Given(Picture(64, 48, frame=frame, captured_us=at_us, unit=unit)),
        "frame": Given(Picture(64, 48, frame=frame, captured_us=at_us)),
        "clip": clip(folder(path, [whole])),
    }


@pytest.mark.parametrize("way", ["jpeg", "unit", "frame", "clip"])
@pytest.mark.parametrize("view", [{}, {"crop": "5,5,50,40"}, {"views": {"gate": "0,0,1,1"}}])
def test_what_a_mask_covers_changes_no_byte_of_what_leaves(
    tmp_path: Path, way: str, view: Mapping[str, object]
) -> None:
    passing = Exposure(obstacle=None)  # units would be published if anything let them
    mask = {"mask": ["16,16,32,16"]}
    made = []
    for grey in (20, 230):
        private = np.full((16, 32, 3), grey, np.uint8)
        source = sources_under(private, tmp_path)[way]
        made.append(Shots(source, exposure=passing, **mask, **view).of("gate"))
    ((one,), (other,)) = made
    assert one.kind is ShotKind.PICTURE
    assert replace(one, captured_us=0) == replace(other, captured_us=0)
    pixels = rgb_pixels(decode_upright(one.content))
    left, top = (0, 0) if "crop" not in view else (5, 5)
    assert pixels[20 - top : 28 - top, 20 - left : 44 - left].max() < 40


def test_what_a_mask_covers_is_not_in_the_spool(tmp_path: Path) -> None:
    kept = []
    for grey in (20, 230):
        private = np.full((16, 32, 3), grey, np.uint8)
        shots = Shots(sources_under(private, tmp_path)["jpeg"], mask=["16,16,32,16"])
        kept.append(_spooled(tmp_path / f"{grey}.db", shots.made))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 1


def _spooled(file: Path, shots: list[Shot]) -> list[bytes]:
    """Let the relay keep shots while the broker is away; returns what is in the file."""
    log = Log()
    log.up = False
    spool = Spool(file, most_bytes=1 << 20, most_us=60_000_000)
    relay = Relay(
        log.connect, spool, Ignored(), uplink=None, opening=Steps(), clock=ManualClock(START_S)
    )
    for shot in shots:
        relay.post(shot)
    relay.turn(0.0)
    found = []
    while (taken := spool.take()) is not None:
        found.append(taken[1].content)
    spool.close()
    return found


class Ignored:
    def count(self, stream: str, fate: PictureFate, shots: int) -> None:
        del stream, fate, shots

    def published(self, shot: Shot, age_s: float) -> None:
        del shot, age_s


def still(width: int, height: int, at_s: float, grey: int = 90) -> Picture:
    pixels = np.full((height, width, 3), grey, np.uint8)
    frame = decode_upright(encoded(Image.fromarray(pixels), "PNG"))
    return Picture(width, height, frame=frame, captured_us=round((START_S + at_s) * 1e6))


def test_a_view_that_does_not_fit_is_refused_and_the_others_go_on() -> None:
    source = Given(still(64, 48, 0.0), still(64, 48, 0.1))
    shots = Shots(source, views={"far": "60,0,5,5", "door": "0,0,5,5"})
    assert (len(shots.of("far")), len(shots.of("door"))) == (0, 2)
    assert shots.tallies["far"].fates == {PictureFate.UNFIT: 2}


def test_a_mask_that_does_not_fit_keeps_all_views_back() -> None:
    shots = Shots(
        Given(still(64, 48, 0.0)), views={"a": "0,0,5,5", "b": "0,0,1,1"}, mask=["60,0,5,5"]
    )
    assert shots.made == []
    assert {tally.fates[PictureFate.UNFIT] for tally in shots.tallies.values()} == {1}


def test_pixels_hold_for_the_first_size_alone_and_fractions_for_any() -> None:
    sizes = [(64, 48), (128, 96), (64, 48)]
    pictures = [still(*size, 0.1 * n) for n, size in enumerate(sizes)]
    views = {"pixels": "0,0,32,48", "share": "0,0,0.5,1"}
    shots = Shots(Given(*pictures), views=views)
    assert shots.tallies["pixels"].fates == {PictureFate.UNFIT: 1}
    assert [(s.seq, s.epoch) for s in shots.of("pixels")] == [(0, 7), (1, 7)]
    assert len(shots.of("share")) == 3
    assert shots.tallies["share"].epochs == {NewEpoch.START: 1, NewEpoch.SIZE: 2}


def test_views_of_one_picture_decode_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counting(jpeg: bytes) -> object:
        decoded.append(jpeg)
        return decode_upright(jpeg)

    monkeypatch.setattr(camera_view, "decode_upright", counting)
    jpeg = encoded(noisy(48, 64), "JPEG")
    picture = Picture(64, 48, jpeg=jpeg, captured_us=round(START_S * 1e6))
    shots = Shots(Given(picture), views={str(n): "0,0,0.5,0.5" for n in range(5)})
    assert (len(shots.made), len(decoded)) == (5, 1)


def test_a_view_of_a_turned_jpeg_is_cut_from_the_upright_picture() -> None:
    jpeg = turned(noisy(48, 64), "JPEG", 6)  # stored 64 x 48, shown 48 x 64
    picture = Picture(64, 48, jpeg=jpeg, captured_us=round(START_S * 1e6))
    shots = Shots(Given(picture), views={"low": "0,50,48,14", "wide": "50,0,14,48"})
    (low,) = shots.of("low")
    assert rgb_pixels(decode_upright(low.content)).shape == (14, 48, 3)
    assert shots.of("wide") == []
