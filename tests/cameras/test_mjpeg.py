"""The MJPEG server of the tests obeys its controls."""

import zlib
from collections.abc import Iterator
from itertools import islice

import av
import pytest

from pipeline.media.pictures import Fit, decode_picture
from tests.cameras.blocks import Mark, read
from tests.cameras.mjpeg import MjpegCamera, MjpegServer


def parts(server: MjpegServer, name: str, *, login: str = "") -> Iterator[bytes]:
    url = server.url(name, login=login)
    with av.open(url, options={"probesize": "32"}, timeout=(1.0, 1.0)) as container:
        yield from (bytes(packet) for packet in container.demux() if packet.size)


def mark(jpeg: bytes) -> Mark:
    return read(decode_picture(jpeg, Fit(240, 320, "stretch")))


def test_every_tick_is_a_picture_that_comes_as_it_was_sent() -> None:
    gate = MjpegCamera("gate")
    with MjpegServer(gate) as server:
        seen = list(islice(parts(server, "gate"), 6))
    assert [(mark(jpeg), zlib.crc32(jpeg)) for jpeg in seen] == list(gate.sent)[:6]
    first = mark(seen[0]).number
    assert [mark(jpeg).number for jpeg in seen] == list(range(first, first + 6))


def test_a_frozen_camera_repeats_its_picture() -> None:
    gate = MjpegCamera("gate", fps=50)
    with MjpegServer(gate) as server:
        gate.freeze()
        assert len(set(islice(parts(server, "gate"), 5))) == 1


def test_a_camera_hangs_up_after_so_many_pictures() -> None:
    gate = MjpegCamera("gate", fps=50)
    gate.closes_after = 3
    seen = list[bytes]()
    with MjpegServer(gate) as server, pytest.raises(OSError, match="Input/output"):
        seen.extend(parts(server, "gate"))
    assert len(gate.sent) == 3


def test_a_muted_camera_is_silent() -> None:
    gate = MjpegCamera("gate")
    gate.muted = True
    with MjpegServer(gate) as server, pytest.raises(av.ExitError):
        next(parts(server, "gate"))


def test_a_login_is_required_and_a_camera_can_refuse() -> None:
    locked, broken = MjpegCamera("locked"), MjpegCamera("broken")
    locked.login, broken.refuses = "admin:geheim", True
    with MjpegServer(locked, broken) as server:
        with pytest.raises(av.HTTPUnauthorizedError):
            next(parts(server, "locked", login="admin:falsch"))
        with pytest.raises(av.HTTPServerError):
            next(parts(server, "broken"))
        assert mark(next(parts(server, "locked", login="admin:geheim"))).number >= 0


def test_a_killed_server_is_gone_and_comes_back_on_its_port() -> None:
    with MjpegServer(MjpegCamera("gate")) as server:
        server.kill()
        with pytest.raises(av.ConnectionRefusedError):
            next(parts(server, "gate"))
        server.restart()
        assert next(parts(server, "gate"))
