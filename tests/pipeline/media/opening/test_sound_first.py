"""FLV and RTMP: servers send sound at once, and video with its next keyframe."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.cameras.capture.connecting import Connecting, open_camera
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits
from tests.cameras.hostile import Page, web
from tests.cameras.rtmp import rtmp
from tests.pipeline.media.opening.sources import WAYS, Way, refusal
from tests.pipeline.media.opening.test_http import GOOD, saying

SOUND, VIDEO, SCRIPT = 8, 9, 18  # kinds of tags
RATE = 8000
FLV = "video/x-flv"


def film(file: Path) -> bytes:
    """Write two seconds of video, ten pictures a second, with sound."""
    with av.open(str(file), "w", format="flv") as out:
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        video = out.add_stream("libx264", rate=10, options={"tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for n in range(20):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 10)
            out.mux(video.encode(frame))
            quiet = av.AudioFrame("fltp", "mono", RATE // 10)
            quiet.sample_rate, quiet.pts, quiet.time_base = RATE, n * RATE // 10, Fraction(1, RATE)
            quiet.planes[0].update(bytes(quiet.planes[0].buffer_size))
            out.mux(sound.encode(quiet))
        out.mux([*video.encode(None), *sound.encode(None)])
    return file.read_bytes()


def tags(flv: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the bytes of each tag."""
    at = 13
    while at < len(flv):
        end = at + 15 + int.from_bytes(flv[at + 1 : at + 4])
        yield flv[at] & 0x1F, flv[at:end]
        at = end


def parts(kind: int, flv: bytes) -> list[bytes]:
    return [tag for found, tag in tags(flv) if found == kind]


def only(kind: int, flv: bytes) -> bytes:
    return b"".join(parts(kind, flv))


@pytest.fixture(scope="module")
def flv(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return film(tmp_path_factory.mktemp("flv") / "gate.flv")


def header(streams: int) -> bytes:
    return b"FLV\x01" + bytes([streams]) + b"\0\0\0\x09\0\0\0\0"


@pytest.mark.parametrize("streams", [0, 1, 4, 5], ids=["none", "video", "sound", "both"])
@pytest.mark.parametrize("way", WAYS)
def test_video_may_come_after_sound_whatever_the_header_announces(
    way: Way, streams: int, flv: bytes
) -> None:
    body = header(streams) + only(SOUND, flv) + only(VIDEO, flv)
    with web({"/gate": Page(body, FLV)}) as server:
        assert way(f"http://{server.at}/gate") == 20


@pytest.mark.parametrize("way", WAYS)
def test_video_alone_is_read_at_once(way: Way, flv: bytes) -> None:
    with web({"/gate": Page(header(5) + only(VIDEO, flv), FLV)}) as server:
        assert way(f"http://{server.at}/gate") == 20
    assert len(server.asked) == 1


@pytest.mark.parametrize("kinds", [(SOUND, VIDEO), (SCRIPT, SOUND, VIDEO), (VIDEO,)], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_an_rtmp_server_may_send_sound_first(way: Way, kinds: tuple[int, ...], flv: bytes) -> None:
    with rtmp([tag for kind in kinds for tag in parts(kind, flv)]) as url:
        assert way(url) == 20


@pytest.mark.parametrize("way", WAYS)
def test_an_rtmp_server_without_video_is_refused(way: Way, flv: bytes) -> None:
    with rtmp(parts(SOUND, flv)) as url:
        assert "no video (streams: audio)" in refusal(way, url)


@pytest.mark.parametrize("way", WAYS)
def test_what_ends_without_video_is_refused(way: Way, flv: bytes) -> None:
    with web({"/gate": Page(header(5) + only(SOUND, flv), FLV)}) as server:
        assert "no video (streams: audio)" in refusal(way, f"http://{server.at}/gate")


def test_no_video_in_time_is_no_refusal(flv: bytes) -> None:
    how, sound = Connecting(Limits(connect_s=2, read_s=2)), only(SOUND, flv)
    with saying(GOOD + b"\r\n" + header(5), endless=sound) as at:
        address = Address.of(f"http://{at}/gate", {})
        with pytest.raises(CameraLostError, match="no video for 2 s, only sound") as lost:
            open_camera(address, how, SystemClock())
    assert lost.value.reason is LossReason.STALLED


def test_a_picture_is_handed_on_though_sound_arrives_just_before_it(flv: bytes) -> None:
    pairs = zip(parts(SOUND, flv), parts(VIDEO, flv), strict=False)
    body = [GOOD + b"\r\n" + header(5), *(sound + picture for sound, picture in pairs)]
    how = Connecting(Limits(connect_s=5, read_s=1))
    with saying(*body, pause_s=0.1) as at:
        live = LiveSource(lambda: Address.of(f"http://{at}/", {}), how, clock=SystemClock())
        found = (one for one in live.pictures(threading.Event()) if isinstance(one, Picture))
        first = next(found)
    assert first.late_us < 1_500_000  # of 2 s: it does not wait for the last one
