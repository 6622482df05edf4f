"""What real cameras and files send is published as it is, and decodes to their own pictures."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from pathlib import Path

import av
import pytest

from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.capture.clip import ClipSource
from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.feed import Source
from pipeline.cameras.values import Picture
from pipeline.clock import SystemClock
from pipeline.demo.stage import MemoryStage
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits
from pipeline.media.video.outcomes import Decoded
from pipeline.media.video.strict_decoder import StrictDecoder
from pipeline.records import Fate
from pipeline.wire.units import is_keyframe
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import RtspServer, serving
from tests.cli.commands import until
from tests.pipeline.media.video.encoding import encoded

WIDTH, HEIGHT = 320, 240
PICTURE_BYTES = WIDTH * HEIGHT * 3 // 2
FITTING = [
    Mount("whole", gop=10),
    Mount("sliced", gop=10, slices=3),
    Mount("sets-in-sdp", gop=10, slices=3, sets_every=0),
]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dumps")


@pytest.fixture(scope="module")
def server(dumps: Path) -> Iterator[RtspServer]:
    others = [Mount("reordered", gop=10, b_frames=2), Mount("h265", codec="h265", gop=10)]
    fitting = [replace(mount, dump=str(dumps / mount.path)) for mount in FITTING]
    with serving(*fitting, *others) as made:
        yield made


def passing() -> Shutter:
    return Shutter("gate", Exposure(obstacle=None), epoch_s=1)


def shots(source: Source, count: int, shutter: Shutter) -> list[Shot]:
    pictures = (one for one in source.pictures(threading.Event()) if isinstance(one, Picture))
    taken = (shutter.take(one, arrived_us=time.time_ns() // 1000) for one in pictures)
    return [one for one in islice(taken, count) if isinstance(one, Shot)]


def live(server: RtspServer, path: str, count: int, shutter: Shutter) -> list[Shot]:
    address, how = Address.of(server.url(path), {}), Connecting(Limits(connect_s=10, read_s=10))
    shutter.connected()
    return shots(LiveSource(lambda: address, how, clock=SystemClock()), count, shutter)


def clip(path: Path, count: int) -> list[Shot]:
    source = ClipSource(path, loop=True, realtime=False, clock=SystemClock())
    return shots(source, count, passing())


def pictures_of(units: Sequence[Shot]) -> list[bytes]:
    """Return the planes of each picture, as a strict reader of the log decodes the units."""
    decoder = StrictDecoder("h264")
    outcomes = [decoder.feed(shot.content, seq=shot.seq) for shot in units]
    pictures = [one.picture for one in outcomes if isinstance(one, Decoded)]
    assert len(pictures) == len(units)
    return [picture.to_ndarray().tobytes() for picture in pictures]


@pytest.mark.parametrize("path", [mount.path for mount in FITTING])
def test_units_of_a_camera_decode_to_its_encoders_own_pictures(
    path: str, server: RtspServer, dumps: Path
) -> None:
    found = live(server, path, 25, passing())
    keys = [shot.kind is ShotKind.KEYFRAME for shot in found]
    assert keys == [is_keyframe(shot.content) for shot in found]
    assert keys == [n % 10 == keys.index(True) for n in range(len(found))]
    dump = (dumps / path).read_bytes()
    own = [dump[at : at + PICTURE_BYTES] for at in range(0, len(dump), PICTURE_BYTES)]
    pictures = pictures_of(found)
    first = own.index(pictures[0])
    assert own[first : first + len(pictures)] == pictures


def test_a_new_connection_goes_on_with_a_keyframe_in_the_same_epoch(server: RtspServer) -> None:
    shutter = passing()
    found = [shot for _ in range(2) for shot in live(server, "whole", 15, shutter)]
    assert [shot.seq for shot in found] == list(range(len(found)))
    assert found[15].kind is ShotKind.KEYFRAME
    assert {shot.epoch for shot in found} == {1}
    assert len(pictures_of(found)) == 30


@pytest.mark.parametrize(
    ("path", "why"), [("reordered", "its pictures may be reordered"), ("h265", "it is not H.264")]
)
def test_a_camera_that_does_not_fit_is_encoded(path: str, why: str, server: RtspServer) -> None:
    shutter = passing()
    found = live(server, path, 15, shutter)
    assert {(shot.kind, shot.epoch) for shot in found} == {(ShotKind.PICTURE, 1)}
    assert shutter.published.why_not.startswith(why)


def await_predictions(stage: MemoryStage, count: int) -> None:
    found = 0

    def enough() -> bool:
        nonlocal found
        found += len(stage.predictions(0.1))
        return found >= count

    until(enough, f"{count} predictions")


def test_units_of_a_camera_become_predictions(server: RtspServer) -> None:
    found = live(server, "sliced", 25, passing())
    with closing(MemoryStage("actions")) as stage:
        stage.start()
        for shot in found:
            stage.publish(shot.stream, shot.content, shot.headers)
        await_predictions(stage, len(found))
        assert stage.finish() == {Fate.PREDICTED: len(found)}


def test_the_units_of_a_file_decode_to_its_pictures_and_go_on_when_it_is_looped() -> None:
    path = Path(str(files("pipeline") / "samples" / "gate.mp4"))
    with av.open(str(path)) as container:
        own = [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
    found = clip(path, len(own) + 40)
    assert pictures_of(found) == [*own, *own[:40]]
    assert {shot.epoch for shot in found} == {1}


def test_the_units_of_a_raw_file_are_its_own_bytes(tmp_path: Path) -> None:
    (tmp_path / "clip.h264").write_bytes(b"".join(encoded("cavlc")))
    assert [shot.content for shot in clip(tmp_path / "clip.h264", 40)] == list(encoded("cavlc"))
