"""H.264 and H.265 over RTSP, sliced, with parameter sets as servers send them: all are right."""

import threading
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import SystemClock
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits, Transport
from tests.cameras.blocks import read
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import RtspServer, serving

MOUNTS = [
    Mount("whole", gop=10),
    Mount("sliced", gop=10, slices=3),
    Mount("sets-in-sdp", gop=10, slices=3, sets_every=0),
    Mount("reordered", gop=10, b_frames=2),
    Mount("h265", codec="h265", gop=10),
    Mount("h265-sets-in-sdp", codec="h265", gop=10, sets_every=0),
]


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    with serving(*MOUNTS) as made:
        yield made


def arriving(
    server: RtspServer, path: str, transport: Transport
) -> Iterator[Picture | PictureFate | None]:
    how = Connecting(Limits(connect_s=10, read_s=10), transport)
    source = LiveSource(lambda: Address.of(server.url(path), {}), how, clock=SystemClock())
    return source.pictures(threading.Event())


def number(picture: Picture) -> int:
    assert picture.frame is not None
    return read(picture.frame.to_ndarray(format="rgb24")).number  # raises if it is smeared


@pytest.mark.parametrize("path", [mount.path for mount in MOUNTS])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_without_loss_every_picture_is_the_cameras_own(
    path: str, transport: Transport, server: RtspServer
) -> None:
    settled = [one for one in islice(arriving(server, path, transport), 45) if one is not None]
    numbers = [number(one) for one in settled if isinstance(one, Picture)]
    assert len(numbers) >= 25
    assert {b - a for a, b in pairwise(numbers)} == {1}
    assert not any(isinstance(one, PictureFate) for one in settled[10:])


def test_with_loss_pictures_are_missing_and_none_is_wrong(server: RtspServer) -> None:
    server.lose("sliced", 23)
    try:
        found = islice(arriving(server, "sliced", "udp"), 80)
        settled = [one for one in found if one is not None]
    finally:
        server.lose("sliced", 0)
    numbers = [number(one) for one in settled if isinstance(one, Picture)]
    assert numbers == sorted(set(numbers))
    assert any(isinstance(one, PictureFate) for one in settled)
