"""Videos and pictures as frames with times, frames as JPEG, label files."""

import io
import logging
import os
import socket
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from pipeline.errors import SourceError
from pipeline.media.address import Address
from pipeline.media.completeness import LeftOut
from pipeline.media.pictures import Fit, decode_picture
from pipeline.media.sources import encode_jpeg, open_source, read_labels
from tests.pipeline.media.heic import TILE, tiled_heic
from tests.pipeline.media.video.encoding import digest, numbered, right
from tests.pipeline.pictures import encoded, scene, seen, turn_video, turned, write_video

TIMES_MS = [500, 540, 700, 720, 760, 900]
TIMES_US = [0, 40_000, 200_000, 220_000, 260_000, 400_000]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_times_are_the_streams_own_and_begin_at_zero(name: str, tmp_path: Path) -> None:
    frames = list(open_source(write_video(tmp_path / name, TIMES_MS)))
    assert [frame.pts_us for frame in frames] == TIMES_US
    assert [frame.index for frame in frames] == list(range(6))


@pytest.mark.parametrize("name", ["2026-11-30T10:00:00.mp4", "cam:1.mp4", "http:x.mp4", "-.mp4"])
def test_a_recording_opens_from_its_own_folder_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.mp4", TIMES_MS).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(open_source(Address.of(name, {})))) == len(TIMES_MS)


def test_missing_times_are_filled_at_the_average_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", TIMES_MS)
    raw = tmp_path / "clip.h264"
    with av.open(str(path)) as source, av.open(str(raw), "w") as bare:
        stream = bare.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                bare.mux(packet)
    assert [frame.pts_us for frame in open_source(raw)] == [n * 40_000 for n in range(6)]


@pytest.mark.parametrize(
    ("matrix", "red"),
    [
        ((0, 1, -1, 0), (slice(2, 28), slice(2, 46))),  # a quarter clockwise: left goes up
        ((-1, 0, 0, -1), (slice(2, 46), slice(36, 62))),
        ((0, -1, 1, 0), (slice(36, 62), slice(2, 46))),
    ],
)
def test_a_turned_video_comes_out_upright(
    matrix: tuple[int, int, int, int], red: tuple[slice, slice], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "clip.mp4", [0, 40, 80])
    turn_video(path, matrix)
    pixels = next(open_source(path)).picture.to_ndarray(format="rgb24")
    assert pixels[red][..., 0].min() > 150
    assert (pixels[..., 0] > 100).mean() < 0.6


def test_pictures_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    for name, width in [("f10.png", 10), ("f2.JPG", 2), ("f1.webp", 1)]:
        Image.new("RGB", (width, 4)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    frames = list(open_source(tmp_path, picture_rate_hz=10))
    assert [(frame.picture.width, frame.pts_us) for frame in frames] == [
        (1, 0),
        (2, 100_000),
        (10, 200_000),
    ]


def test_a_single_picture_is_one_upright_frame(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(turned(scene(20, 30), "JPEG", 6))
    (frame,) = open_source(tmp_path / "one.jpg")
    assert (frame.picture.width, frame.picture.height) == (20, 30)


def test_a_folder_without_a_picture_that_decodes_names_the_first(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"none of its 1 .*bad\.png: 7 bytes are no JPEG, PNG"):
        list(open_source(tmp_path))


def test_a_broken_picture_of_a_folder_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = encoded(scene(20, 30), "JPEG")
    for name, content in [("1", b""), ("2", whole), ("3", whole[:200]), ("4", whole)]:
        (tmp_path / f"{name}.jpg").write_bytes(content)
    with caplog.at_level(logging.WARNING, "pipeline.media.sources"):
        frames = list(open_source(tmp_path, picture_rate_hz=10))
    assert [(frame.index, frame.pts_us) for frame in frames] == [(0, 0), (1, 200_000)]
    assert "2 of 4 pictures were left out; the first: 1.jpg: 0 bytes are no JPEG" in caplog.text


def test_a_folder_is_read_without_its_hidden_files_and_folders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1.jpg").write_bytes(encoded(scene(20, 30), "JPEG"))
    (tmp_path / "._1.jpg").write_bytes(b"resource fork")
    (tmp_path / "2.jpg").mkdir()
    os.mkfifo(tmp_path / "3.jpg")
    assert len(list(open_source(tmp_path))) == 1
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.mp4", "no such file or device; check the path"),
        ("notes.txt", "no format that is read here"),
        ("noise.bin", "no video that can be read"),
        ("empty", "holds no .jpeg, .jpg, .png, .webp file"),
    ],
)
def test_what_is_no_video_is_named(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words " * 200)
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(1).bytes(5000))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=f"{name}: .*{message}"):
        open_source(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(SourceError, match=r"holds no video \(streams: audio\)"):
        open_source(path)


def test_the_cover_picture_of_music_is_no_video(tmp_path: Path) -> None:
    cover = encoded(scene(20, 30), "JPEG")
    frame = b"APIC" + struct.pack(">IH", len(cover) + 14, 0) + b"\0image/jpeg\0\3\0" + cover
    tag = b"ID3\3\0\0" + bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0)) + frame
    silence = (b"\xff\xfb\x90\xc4" + bytes(413)) * 40  # frames of MPEG-1 layer III
    (tmp_path / "song.mp3").write_bytes(tag + silence)
    with pytest.raises(SourceError, match=r"holds no video \(streams: audio, cover picture\)"):
        open_source(tmp_path / "song.mp3")


def test_a_picture_in_tiles_is_refused_and_one_without_is_read(tmp_path: Path) -> None:
    (tmp_path / "one.heic").write_bytes(tiled_heic(1, 1))
    (tmp_path / "six.heic").write_bytes(tiled_heic(2, 3))
    assert [frame.picture.width for frame in open_source(tmp_path / "one.heic")] == [TILE]
    with pytest.raises(SourceError, match=r"a picture in tiles .* 6 streams.*convert it to JPEG"):
        open_source(tmp_path / "six.heic")


def test_a_silent_camera_is_given_up_and_its_password_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}/live"
        with pytest.raises(SourceError, match=f"^http://{address}: no answer in 0.2 s") as caught:
            open_source(Address.of(f"http://me:secret@{address}", {}), timeout_s=0.2)
    assert "secret" not in str(caught.value)


def test_a_refused_camera_is_named_without_its_password() -> None:
    with pytest.raises(SourceError, match=r"^rtsp://127\.0\.0\.1:1/x: nobody listens"):
        open_source(Address.of("rtsp://me:secret@127.0.0.1:1/x", {}))


def test_packets_that_do_not_decode_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = b"".join(encoded(scene(32, 32), "JPEG") for _ in range(4))
    broken = bytearray(film)
    at = len(film) // 2  # the third picture keeps its marks and loses its frame header
    header = film.index(b"\xff\xc0", at)
    broken[header + 4 : header + 15] = bytes(11)
    (tmp_path / "clip.mjpeg").write_bytes(broken)
    with caplog.at_level(logging.WARNING, "pipeline.media.sources"):
        assert len(list(open_source(tmp_path / "clip.mjpeg"))) == 3
    assert "frames left out: 1 damaged" in caplog.text


@pytest.mark.parametrize(("name", "kind"), [("cabac", "h264"), ("hevc", "hevc")])
def test_frames_that_stand_on_a_lost_one_are_left_out_and_counted(
    name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"film.{kind}"
    path.write_bytes(b"".join(unit for n, unit in numbered(name) if n != 5))
    source = open_source(path)
    seen = [digest(frame.picture) for frame in source]
    assert seen == [found for n, found in right(name).items() if not 5 <= n < 10]
    assert source.completeness.left_out == {LeftOut.DAMAGED: 1, LeftOut.UNKEYED: 3}
    assert "frames left out: 1 damaged, 3 unkeyed" in caplog.text


def test_a_lossy_transport_stream_shows_no_wrong_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.ts", [40 * n for n in range(60)], keyframe_every=10)
    wanted = {digest(frame.picture) for frame in open_source(path)}
    content = path.read_bytes()
    kept = [content[n : n + 188] for n in range(0, len(content), 188) if n // 188 % 29 != 28]
    path.write_bytes(b"".join(kept))
    source = open_source(path)
    seen = [digest(frame.picture) for frame in source]
    assert 10 < len(seen) < 60
    assert wanted.issuperset(seen)
    assert sum(source.completeness.left_out.values()) > 0


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_file_that_is_cut_off_says_what_it_declares_and_what_was_read(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    times_ms, first = [40 * n for n in range(100)], {"movflags": "faststart"}
    path = write_video(tmp_path / name, times_ms, height=480, keyframe_every=1, options=first)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = open_source(path)
    frames = len(list(source))
    gone = source.completeness.shortfall
    assert gone is not None
    assert gone.declared_s == pytest.approx(4, abs=0.05)
    assert frames <= gone.read_frames <= frames + 1  # the last one is cut
    assert 0.5 < gone.read_s < 3.5
    assert "film" in caplog.text
    assert "declares 4.0 s" in caplog.text


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts", "film.avi", "film.flv"])
def test_a_whole_file_is_complete(name: str, tmp_path: Path) -> None:
    muxer = "mpegts" if name == "film.ts" else None
    source = open_source(write_video(tmp_path / name, [40 * n for n in range(60)], muxer=muxer))
    assert len(list(source)) == 60
    assert str(source.completeness) == ""


def test_a_source_can_be_closed_early(tmp_path: Path) -> None:
    frames = open_source(write_video(tmp_path / "clip.mp4", TIMES_MS))
    next(frames)
    frames.close()
    assert list(frames) == []


# JPEG


@pytest.mark.parametrize("space", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("span", [ColorRange.MPEG, ColorRange.JPEG])
def test_a_jpeg_shows_the_colours_of_the_frame(space: Colorspace, span: ColorRange) -> None:
    picture = av.VideoFrame.from_ndarray(np.asarray(scene(64, 96)), format="rgb24")
    video = picture.reformat(format="yuv444p", dst_colorspace=space, dst_color_range=span)
    difference = np.abs(seen(encode_jpeg(video, quality=100)) - np.asarray(scene(64, 96)))
    assert difference.mean() < 2


def test_a_jpeg_is_the_same_whatever_was_encoded_before() -> None:
    frames = [
        av.VideoFrame.from_ndarray(np.asarray(scene(48, width)), format="rgb24")
        for width in (64, 33, 64)
    ]
    contents = [encode_jpeg(frame) for frame in frames]
    assert contents[0] == contents[2]
    assert Image.open(io.BytesIO(contents[1])).size == (33, 48)


def test_better_quality_is_longer_and_decodes() -> None:
    frame = av.VideoFrame.from_ndarray(np.asarray(scene(48, 64)), format="rgb24")
    lengths = [len(encode_jpeg(frame, quality=quality)) for quality in (1, 50, 100)]
    assert lengths == sorted(set(lengths))
    assert decode_picture(encode_jpeg(frame), Fit(4, 4, "crop")).shape == (4, 4, 3)


def test_a_quality_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="1-100, not 0"):
        encode_jpeg(av.VideoFrame(16, 16), quality=0)


# labels


def test_labels_are_read_in_frame_order(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text('\ufeffframe,label\r\n0,walk\r\n1,"sit, down"\r\n', "utf-8")
    assert read_labels(tmp_path / "l.csv") == ["walk", "sit, down"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected frame,label"),
        ("time,label\n0,walk\n", "line 1: expected frame,label, not 'time,label'"),
        ("frame,label\n0,walk\n2,run\n", "line 3: expected 1,<label>, not '2,run'"),
        ("frame,label\n0,\n", "line 2: expected 0,<label>"),
        ("frame,label\n0,walk,9\n", "line 2: expected 0,<label>"),
        ("frame,label\n0,walk\n\n", "line 3: expected 1,<label>"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_labels(tmp_path / "l.csv")


def test_a_missing_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_labels(tmp_path / "none.csv")


def test_a_label_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="no UTF-8 text"):
        read_labels(tmp_path / "l.csv")


def test_a_picture_above_the_limit_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encoded(scene(30, 40), "PNG"))
    assert next(open_source(path, max_pixels=1200)).picture.width == 40
    with pytest.raises(SourceError, match=r"large\.png: PNG .* at most 1199 are decoded"):
        next(open_source(path, max_pixels=1199))
