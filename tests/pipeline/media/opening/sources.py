"""Both ways in which longtake opens a source, and videos for servers of tests."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import pytest

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError, SourceError
from pipeline.media.address import Address
from pipeline.media.opening.access import STRICT, Access
from pipeline.media.opening.media import Limits
from pipeline.media.sources import open_source

LIMITS = Limits(connect_s=5, read_s=5)


class Way(Protocol):
    """Opens a source, and reads it to its end; returns the number of its pictures."""

    def __call__(self, url: str, access: Access = STRICT) -> int: ...


def by_camera(url: str, access: Access = STRICT) -> int:
    """Read all pictures of a live camera; returns how many there were."""
    how = Connecting(LIMITS, "tcp", access)
    live, pictures = LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock()), 0
    try:
        for one in live.pictures(threading.Event()):
            pictures += isinstance(one, Picture)
    except CameraLostError:
        if not pictures:
            raise
    return pictures


def by_source(url: str, access: Access = STRICT) -> int:
    """Read all pictures as `run` and `train` do."""
    return len(list(open_source(Address.of(url, {}), access=access, timeout_s=LIMITS.read_s)))


WAYS = [pytest.param(by_camera, id="camera"), pytest.param(by_source, id="source")]


def refusal(way: Way, url: str, access: Access = STRICT) -> str:
    """Return why a source is refused."""
    with pytest.raises((CameraLostError, SourceError)) as refused:
        way(url, access)
    return str(refused.value)


def video(
    file: Path, *, frames: int = 5, kind: str = "mpegts", options: dict[str, str] | None = None
) -> bytes:
    """Write a short video, and return its bytes."""
    with av.open(str(file), "w", format=kind, options=options or {}) as out:
        stream = out.add_stream("libx264", rate=10, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(frames):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.read_bytes()


def playlist(*parts: str, head: str = "") -> bytes:
    lines = "".join(f"#EXTINF:1,\n{part}\n" for part in parts)
    head = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n{head}"
    return f"{head}{lines}#EXT-X-ENDLIST\n".encode()
