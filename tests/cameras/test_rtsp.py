"""The RTSP server of the tests obeys its controls, and its pictures contain the right times."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice, pairwise
from pathlib import Path

import av
import pytest

from tests.cameras.blocks import Mark, read
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import RtspServer, serving

QUICK = {"rtsp_transport": "tcp", "fpsprobesize": "0", "analyzeduration": "200000"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture, and the times that came with it."""

    mark: Mark
    pts_s: float
    camera_ms: float | None  # the camera's clock, by RTCP
    size: tuple[int, int]


def viewing(url: str, **options: str) -> Iterator[Seen]:
    with av.open(url, options=QUICK | options, timeout=(10.0, 10.0)) as container:
        for packet in container.demux(video=0):
            reference = bytes(packet.get_sidedata("prft"))
            camera_ms = int.from_bytes(reference[:8], "little") / 1000 if reference else None
            for frame in packet.decode():
                pixels = frame.to_ndarray(format="rgb24")
                size = (frame.width, frame.height)
                yield Seen(read(pixels), frame.time or 0.0, camera_ms, size)


def until(pictures: Iterator[Seen], true: Callable[[Seen], object]) -> Seen:
    return next(seen for seen in islice(pictures, 100) if true(seen))


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    with serving(Mount("gate"), Mount("yard", codec="mjpeg"), Mount("shy", reports=False)) as made:
        yield made


@pytest.mark.parametrize(("path", "transport"), [("gate", "udp"), ("yard", "tcp")])
def test_no_picture_is_missing_and_rtcp_has_the_capture_time_of_each(
    path: str, transport: str, server: RtspServer
) -> None:
    pictures = viewing(server.url(path), rtsp_transport=transport)
    until(pictures, lambda seen: seen.camera_ms)  # the first time is that of the next frame
    seen = [next(pictures) for _ in range(8)]
    first = seen[0].mark.number
    assert [one.mark.number for one in seen] == list(range(first, first + 8))
    errors_ms = [(one.camera_ms or 0) - one.mark.captured_ms for one in seen]
    assert errors_ms == pytest.approx([0] * 8, abs=30)


def test_without_sender_reports_pictures_have_no_wall_clock_time(server: RtspServer) -> None:
    pictures = viewing(server.url("shy"))
    assert {next(pictures).camera_ms for _ in range(15)} == {None}


@pytest.mark.parametrize("path", ["gate", "yard"])
def test_a_frozen_camera_repeats_its_picture_and_its_time_goes_on(
    path: str, server: RtspServer
) -> None:
    pictures = viewing(server.url(path))
    next(pictures)
    server.freeze(path)
    marks = list(islice(pictures, 14))[-6:]
    server.thaw(path)
    assert len({one.mark for one in marks}) == 1
    assert marks[-1].pts_s - marks[0].pts_s == pytest.approx(0.5, abs=0.1)
    thawed = until(pictures, lambda seen: seen.mark != marks[0].mark)
    assert thawed.mark.number > marks[0].mark.number


@pytest.mark.parametrize("path", ["gate", "yard"])
def test_the_size_changes_in_the_running_stream(path: str, server: RtspServer) -> None:
    pictures = viewing(server.url(path))
    first = next(pictures)
    server.resize(path, 160, 128)
    seen = [first, *islice(pictures, 16)]
    server.resize(path, 320, 240)
    assert [size for size, _ in groupby(one.size for one in seen)] == [(320, 240), (160, 128)]
    assert {b.mark.number - a.mark.number for a, b in pairwise(seen)} == {1}


@pytest.mark.parametrize("seconds", [100, -300])
def test_a_jump_of_the_clock_is_in_the_times_and_not_in_the_pictures(
    seconds: int, server: RtspServer
) -> None:
    pictures = viewing(server.url("yard"))
    before = until(pictures, lambda seen: seen.camera_ms)
    server.jump("yard", seconds)
    after = [next(pictures) for _ in range(5)][-1]
    server.jump("yard", -seconds)
    assert after.mark.number - before.mark.number == 5
    assert (after.camera_ms or 0) - after.mark.captured_ms == pytest.approx(1e3 * seconds, abs=30)


def test_a_muted_camera_keeps_its_connection_and_comes_back(server: RtspServer) -> None:
    pictures = viewing(server.url("yard"))
    last = next(pictures)
    server.mute("yard")
    server.wait_for("yard", last.mark.number + 10)
    server.unmute("yard")
    numbers = [last.mark.number, *(seen.mark.number for seen in islice(pictures, 8))]
    assert max(b - a for a, b in pairwise(numbers)) >= 9


def test_a_stalled_server_goes_on_where_it_was(server: RtspServer) -> None:
    pictures = viewing(server.url("gate"))
    last = next(pictures)
    server.stall()
    with pytest.raises(av.FFmpegError), av.open(server.url("yard"), timeout=(1.0, 1.0)):
        pytest.fail("it answers")
    server.resume()
    marks = [last.mark, *(seen.mark for seen in islice(pictures, 8))]
    assert {b.number - a.number for a, b in pairwise(marks)} == {1}
    assert max(b.captured_ms - a.captured_ms for a, b in pairwise(marks)) > 900


def test_a_login_is_required() -> None:
    with serving(Mount("gate"), login="admin:geheim") as server:
        with pytest.raises(av.HTTPUnauthorizedError):
            next(viewing(server.url("gate", login="admin:falsch")))
        assert next(viewing(server.url("gate", login="admin:geheim"))).size == (320, 240)


def test_a_killed_server_is_gone_and_comes_back_on_its_port() -> None:
    with serving(Mount("gate")) as server:
        assert next(viewing(server.url("gate"))).size == (320, 240)
        server.kill()
        with pytest.raises(av.ConnectionRefusedError):
            next(viewing(server.url("gate")))
        server.restart()
        assert next(viewing(server.url("gate"))).size == (320, 240)


ABANDONED = """
import os
from tests.cameras.rtsp import Mount, RtspServer
server = RtspServer(Mount("gate"))
server.stall()
print(server.pid, flush=True)
os._exit(0)
"""


@pytest.mark.usefixtures("server")  # skips without GStreamer
def test_no_server_outlives_the_process_that_started_it() -> None:
    root = Path(__file__).parents[2]
    pid = subprocess.check_output([sys.executable, "-c", ABANDONED], cwd=root, text=True).strip()
    with suppress(ProcessLookupError):  # it is gone already
        process = os.pidfd_open(int(pid))
        ended, _, _ = select.select([process], [], [], 10)
        os.close(process)
        assert ended, f"{pid} is still there"
