"""Live sources by protocol: HLS, FLV and MJPEG over HTTP, and refused ones.

RTSP has a real server of its own: tests/cameras and tests/cli/test_camera_troubles.py.
"""

import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError, LossReason
from pipeline.local.ports import free_ports
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits
from pipeline.media.pictures import decode_upright
from tests.cameras.blocks import Mark, draw, read
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.pipeline.cameras.scene import encoded
from tests.pipeline.media.video.encoding import digest, numbered, right

FPS = 10


def live(url: str, *, stall_s: float = 5) -> LiveSource:
    how = Connecting(Limits(connect_s=5, read_s=stall_s))
    return LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock())


def pictures(url: str, count: int) -> list[Picture]:
    found = (one for one in live(url).pictures(threading.Event()) if isinstance(one, Picture))
    return list(islice(found, count))


def brings_a_picture(source: LiveSource) -> bool:
    return any(isinstance(one, Picture) for one in source.pictures(threading.Event()))


def until_lost(source: LiveSource) -> Iterator[Picture | PictureFate | None]:
    with suppress(CameraLostError):
        yield from source.pictures(threading.Event())


def lost(url: str) -> CameraLostError:
    with pytest.raises(CameraLostError) as caught:
        list(live(url).pictures(threading.Event()))
    return caught.value


def mark(picture: Picture) -> Mark:
    frame = picture.frame or decode_upright(picture.jpeg or b"")
    return read(frame.to_ndarray(format="rgb24"))


def film(file: str, kind: str, *, frames: int, options: dict[str, str] | None = None) -> None:
    """Write a marked video."""
    with av.open(file, "w", format=kind, options=options or {}) as out:
        stream = out.add_stream("libx264", rate=FPS, options={"tune": "zerolatency", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for n in range(frames):
            luma = draw(Mark(n, 1_000 * n), 160, 128)
            frame = av.VideoFrame(160, 128, "gray")
            frame.planes[0].update(luma)
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def web(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_on_a_web_server_is_read_to_its_end_and_then_lost(tmp_path: Path) -> None:
    film(str(tmp_path / "gate.flv"), "flv", frames=30)
    with web(tmp_path) as address:
        found = live(f"{address}/gate.flv").pictures(threading.Event())
        seen = list[Picture]()
        with pytest.raises(CameraLostError, match="the connection was closed"):
            seen.extend(one for one in found if isinstance(one, Picture))
    assert [mark(one).number for one in seen] == list(range(30))
    steps = [(b.pts_us or 0) - (a.pts_us or 0) for a, b in pairwise(seen)]
    assert steps == pytest.approx([100_000] * 29, abs=1000)


@pytest.mark.parametrize(("name", "kind"), [("cabac", "h264"), ("cavlc", "h264"), ("hevc", "hevc")])
def test_after_a_lost_unit_no_picture_comes_until_the_next_keyframe(
    name: str, kind: str, tmp_path: Path
) -> None:
    film = b"".join(unit for n, unit in numbered(name) if n != 5)
    (tmp_path / f"gate.{kind}").write_bytes(film)
    with web(tmp_path) as address:
        found = list(until_lost(live(f"{address}/gate.{kind}")))
    frames = [one.frame for one in found if isinstance(one, Picture)]
    wanted = [planes for n, planes in right(name).items() if not 5 <= n < 10]
    assert [digest(frame) for frame in frames if frame is not None] == wanted
    fates = [one for one in found if isinstance(one, PictureFate)]
    assert fates == [PictureFate.DAMAGED, *[PictureFate.UNKEYED] * 3]


def test_a_codec_that_is_not_known_is_refused(tmp_path: Path) -> None:
    film(str(tmp_path / "gate.mp4"), "mp4", frames=5, options={"movflags": "faststart"})
    content = (tmp_path / "gate.mp4").read_bytes().replace(b"avc1", b"zzzz")
    (tmp_path / "gate.mp4").write_bytes(content)
    with web(tmp_path) as address:
        gone = lost(f"{address}/gate.mp4")
    assert (gone.reason, str(gone)) == (LossReason.REFUSED, "video in a codec that is not known")


def test_hls_is_played_at_its_own_rate(tmp_path: Path) -> None:
    options = {"hls_time": "1", "hls_list_size": "0"}
    film(str(tmp_path / "gate.m3u8"), "hls", frames=40, options=options)
    with web(tmp_path) as address:
        began_s = time.monotonic()
        seen = pictures(f"{address}/gate.m3u8", 20)
        took_s = time.monotonic() - began_s
    assert [mark(one).number for one in seen] == list(range(20))
    assert took_s >= 1.8


def test_a_playlist_from_outside_cannot_name_our_files(tmp_path: Path) -> None:
    film(str(tmp_path / "secret.ts"), "mpegts", frames=20)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{tmp_path}/secret.ts\n"
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "gate.m3u8").write_text(playlist + "#EXT-X-ENDLIST\n")
    with web(tmp_path / "served") as address:
        assert lost(f"{address}/gate.m3u8").reason in (LossReason.REFUSED, LossReason.UNREACHABLE)


def test_mjpeg_over_http_is_passed_on_byte_for_byte() -> None:
    camera = MjpegCamera("gate")
    with MjpegServer(camera) as server:
        seen = pictures(server.url("gate"), 5)
    sent = dict(camera.sent)
    assert [zlib.crc32(one.jpeg or b"") for one in seen] == [sent[mark(one)] for one in seen]
    assert {one.pts_us for one in seen} == {None}  # libav would invent 25 a second


def test_a_raw_stream_has_no_time_stamps(tmp_path: Path) -> None:
    film(str(tmp_path / "gate.h264"), "h264", frames=30)
    jpeg = encoded(at_us=0).jpeg or b""
    (tmp_path / "gate.mjpeg").write_bytes(30 * jpeg)
    with web(tmp_path) as address:
        for name in ("gate.h264", "gate.mjpeg"):
            assert {one.pts_us for one in pictures(f"{address}/{name}", 10)} == {None}


def test_parts_that_are_no_pictures_are_damaged_and_the_next_good_one_is_seen() -> None:
    camera = MjpegCamera("gate")
    with MjpegServer(camera) as server:
        found = live(server.url("gate")).pictures(threading.Event())
        assert isinstance(next(found), Picture)
        camera.garbage = True
        assert PictureFate.DAMAGED in list(islice(found, 5))
        camera.garbage = False
        assert any(isinstance(one, Picture) for one in islice(found, 10))


def test_what_is_refused_and_what_is_not_there_are_told_apart() -> None:
    camera = MjpegCamera("gate")
    camera.login = "me:secret"
    [nobody] = free_ports(1)
    with MjpegServer(camera) as server:
        wrong = lost(server.url("gate", login="me:wrong"))
        assert (wrong.reason, "refuses the login" in str(wrong)) == (LossReason.REFUSED, True)
        assert "wrong" not in str(wrong)
        assert lost(server.url("yard")).reason == LossReason.REFUSED
    assert lost(f"http://127.0.0.1:{nobody}/gate").reason == LossReason.UNREACHABLE


def test_a_page_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Welcome to your camera</h1>")
    with web(tmp_path) as address:
        assert lost(f"{address}/index.html").reason == LossReason.REFUSED


def test_silence_is_a_stall_in_time() -> None:
    camera = MjpegCamera("gate")
    with MjpegServer(camera) as server:
        found = live(server.url("gate"), stall_s=1).pictures(threading.Event())
        next(found)
        camera.muted = True
        began_s = time.monotonic()
        with pytest.raises(CameraLostError, match=r"nothing came for 1 s \(`stall_s`\)"):
            list(found)
        assert time.monotonic() - began_s < 4


def test_a_replaced_secret_is_read_at_the_next_connection(tmp_path: Path) -> None:
    camera = MjpegCamera("gate")
    camera.login, camera.closes_after = "me:old", 1
    secret = tmp_path / "login"
    secret.write_text("me:old\n")
    with MjpegServer(camera) as server:
        source = live(server.url("gate", login=f"${{file:{secret}}}"))
        assert brings_a_picture(source)
        camera.login = "me:new"
        with pytest.raises(CameraLostError, match="refuses the login"):
            list(source.pictures(threading.Event()))
        secret.write_text("me:new\n")
        assert brings_a_picture(source)


def test_a_secret_that_is_missing_for_a_while_is_named_and_waited_for(tmp_path: Path) -> None:
    camera = MjpegCamera("gate")
    with MjpegServer(camera) as server:
        source = live(server.url("gate", login=f"${{file:{tmp_path}/login}}"))
        with pytest.raises(CameraLostError, match=f"the secret in {tmp_path}/login") as missing:
            list(source.pictures(threading.Event()))
        (tmp_path / "login").write_text("me:new")
        assert brings_a_picture(source)
    assert missing.value.reason is LossReason.UNREACHABLE
