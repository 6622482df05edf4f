"""Which records are units of H.264, and which of these are keyframes: by their bytes."""

import pytest

from pipeline.records import BadRecord, Frame, Headers, ParsedRecord, Record
from pipeline.wire.frames import frame_headers, read_frame

START = b"\x00\x00\x00\x01"
SPS, PPS, IDR, SEI, DELIMITER, P, PARTITION = (
    START + bytes([kind]) + b"\x9a" for kind in (0x67, 0x68, 0x65, 0x06, 0x09, 0x41, 0x42)
)
H264: Headers = (("content-type", b"video/h264"),)
JPEG = b"\xff\xd8\xff\xe0"


def read(value: bytes, headers: Headers = H264) -> ParsedRecord:
    return read_frame(Record(0, 7, 9, b"cam-1", value, headers), max_bytes=1 << 20)


def kinds(value: bytes, headers: Headers = H264) -> tuple[bool, bool]:
    frame = read(value, headers)
    assert isinstance(frame, Frame)
    return frame.unit, frame.keyframe


@pytest.mark.parametrize(
    ("value", "keyframe"),
    [
        (SPS + PPS + IDR, True),
        (DELIMITER + SPS + PPS + SEI + IDR + IDR, True),
        (SPS + DELIMITER + PPS + IDR, True),
        (SPS[1:] + PPS[1:] + IDR[1:], True),
        (IDR, False),
        (SPS + IDR, False),
        (PPS + IDR, False),
        (IDR + SPS + PPS, False),
        (P, False),
        (SPS + PPS + P, False),
        (SPS + PPS + P + IDR, False),
        (SPS + PPS + PARTITION + IDR, False),
        (SPS + PPS, False),
        (SPS + PPS + START, False),
        (SEI * 2000 + SPS + PPS + IDR, False),
        (b"", False),
    ],
)
def test_a_keyframe_is_an_idr_with_its_parameter_sets_before_it(
    value: bytes, *, keyframe: bool
) -> None:
    assert kinds(value) == (True, keyframe)


@pytest.mark.parametrize("kind", [b"video/h264", b"Video/H264", b" video/h264 ; profile=high"])
def test_only_the_content_type_makes_a_value_a_unit(kind: bytes) -> None:
    assert kinds(P, (("content-type", kind),)) == (True, False)
    assert kinds(P, ()) == kinds(P, (("content-type", b"image/jpeg"),)) == (False, False)


@pytest.mark.parametrize("kind", [b"video/h264", b"video/h265"])
@pytest.mark.parametrize("value", [JPEG, b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP"])
def test_the_first_bytes_of_a_picture_win_over_the_content_type(kind: bytes, value: bytes) -> None:
    assert kinds(value, (("content-type", kind),)) == (False, False)


def test_the_header_that_says_keyframe_is_not_believed() -> None:
    assert kinds(P, (*H264, ("keyframe", b"1"))) == (True, False)
    assert kinds(SPS + PPS + IDR, (*H264, ("keyframe", b"0"))) == (True, True)


@pytest.mark.parametrize("kind", [b"video/h265", b"video/HEVC"])
def test_h265_is_refused_with_a_sentence(kind: bytes) -> None:
    bad = read(START + b"\x40\x01", (("content-type", kind),))
    assert isinstance(bad, BadRecord)
    assert bad.reason == "malformed"
    assert "H.265 is not taken, because damage in it cannot be detected; publish" in bad.error


def test_the_headers_of_a_keyframe_tell_other_readers() -> None:
    unit = frame_headers(captured_us=7, seq=1, epoch=2, content_type="video/h264")
    keyframe = frame_headers(
        captured_us=7, seq=1, epoch=2, content_type="video/h264", keyframe=True
    )
    assert keyframe == (*unit, ("keyframe", b"1"))
    assert kinds(P, unit) == (True, False)
