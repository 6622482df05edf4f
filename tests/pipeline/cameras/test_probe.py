"""A probe's report on real streams."""

import socket
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.probing.probe import LIMITS, Probed, probe
from pipeline.clock import SystemClock
from pipeline.errors import SourceError
from pipeline.media.address import Address
from pipeline.media.opening.media import Transport
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import RtspServer, serving

SAMPLE = str(files("pipeline") / "samples" / "yard.mp4")


def probed(url: str, transport: Transport = "tcp", seconds: float = 1.0) -> Probed:
    how = Connecting(LIMITS, transport)
    return probe(Address.of(url, {}), how, seconds=seconds, clock=SystemClock())


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    yard = Mount("yard", codec="mjpeg", width=160, height=120)
    with serving(
        Mount("gate", fps=15, gop=10), Mount("main", fps=15, gop=8, b_frames=2), yard
    ) as made:
        yield made


def test_an_h264_camera_is_told_by_its_stream(server: RtspServer) -> None:
    told = probed(server.url("gate"))
    assert (told.format_name, told.codec_name) == ("rtsp", "h264")
    assert (told.profile, told.pix_fmt) == ("Constrained Baseline", "yuv420p")
    assert (told.width, told.height, told.avg_frame_rate) == (320, 240, 15.0)
    assert (told.gop_frames, told.b_frames) == (10, False)
    assert told.fps == pytest.approx(15, rel=0.3)  # a busy machine misses some
    assert told.gop_s == pytest.approx(0.67, rel=0.1)
    assert told.clock_offset_s == pytest.approx(0, abs=0.1)
    assert (told.packets_lost, told.frames_damaged) == (0, 0)


def test_b_frames_are_seen(server: RtspServer) -> None:
    told = probed(server.url("main"))
    assert (told.profile, told.b_frames, told.gop_frames) == ("Main", True, 8)


@pytest.mark.parametrize(
    ("path", "transport", "why"),
    [
        ("gate", "tcp", ""),
        ("gate", "udp", "it comes by UDP, which loses packets"),
        ("main", "tcp", "its pictures may be reordered (max_num_reorder_frames 2)"),
        ("yard", "tcp", "it is not H.264"),
    ],
)
def test_it_says_whether_the_cameras_own_video_can_be_published(
    path: str, transport: Transport, why: str, server: RtspServer
) -> None:
    told = probed(server.url(path), transport)
    assert told.passes_through == (why == "")
    assert told.why_not_passed.startswith(why)


def test_a_camera_whose_clock_is_wrong_is_found_out(server: RtspServer) -> None:
    server.jump("yard", -40)
    told = probed(server.url("yard"))
    server.jump("yard", 40)
    assert (told.codec_name, told.gop_frames, told.width) == ("mjpeg", 1, 160)
    assert told.clock_offset_s == pytest.approx(-40, abs=0.1)


def test_lost_packets_are_counted(server: RtspServer) -> None:
    server.lose("yard", 7)
    told = probed(server.url("yard"), "udp")
    server.lose("yard", 0)
    assert told.packets_lost > 1


def test_an_http_camera_tells_no_clock_and_declares_no_rate() -> None:
    with MjpegServer(MjpegCamera("gate", fps=25)) as server:
        told = probed(server.url("gate"))
    assert (told.format_name, told.wall_clock, told.clock_offset_s) == ("mpjpeg", False, None)
    assert told.avg_frame_rate is None
    assert told.fps == pytest.approx(25, rel=0.1)
    assert told.first_picture_s < 1


def test_a_file_is_told_by_its_times() -> None:
    told = probed(SAMPLE, seconds=4)
    assert (told.live, told.gop_frames, told.arrival_jitter_s) == (False, 30, None)
    assert told.fps == pytest.approx(15, abs=0.01)
    assert 60 <= told.frames <= 64


def test_what_no_camera_answers_says_what_to_look_at(server: RtspServer) -> None:
    with pytest.raises(SourceError, match=r"no stream of that path \(404\)"):
        probed(server.url("nosuch"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceError, match="nobody listens there"):
        probed(f"rtsp://127.0.0.1:{port}/gate")


def test_a_token_in_the_address_is_shown_to_nobody() -> None:
    token = "geheim" * 100
    with MjpegServer() as server, pytest.raises(SourceError, match=r"\(404\)") as caught:
        probed(f"{server.url('gate')}?token={token}")
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video\n" * 100)
    with pytest.raises(SourceError, match=r"notes\.txt: no format that is read here"):
        probed(str(text))


def test_a_folder_is_no_camera(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a folder; one camera or video file is probed"):
        probed(str(tmp_path))


@pytest.mark.slow
def test_a_camera_that_sends_garbage_sends_no_picture() -> None:
    camera = MjpegCamera("gate", fps=25)
    camera.garbage = True
    with MjpegServer(camera) as server, pytest.raises(SourceError, match="none of them is a pict"):
        probed(server.url("gate"))
