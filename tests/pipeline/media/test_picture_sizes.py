"""No picture costs more than its first header says, and none more than `max_frame_pixels`."""

import re
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.encoded import Encoded
from pipeline.media.headers.picture_headers import FRAME_PIXELS, FREE_PIXELS, unpacked_bytes, walk
from pipeline.media.pictures import (
    EARLY_BYTES,
    Fit,
    decode_encoded,
    decode_picture,
    refused_early,
)
from tests.damaged.seeds import flat_webp, resized_jpeg, whole
from tests.pipeline.pictures import encoded, noisy, png_chunk, png_claiming

SMALL = Fit(16, 16, "stretch")
PICTURE = noisy(60, 80)
RGB = 3 * 60 * 80
HUGE = (8192, 4096)
JPEG, PNG = encoded(PICTURE, "JPEG"), encoded(PICTURE, "PNG")
WEBP, LOSSLESS = encoded(PICTURE, "WEBP"), encoded(PICTURE, "WEBP", lossless=True)
ALPHA = Image.new("RGBA", (80, 60), (1, 2, 3, 4))
EXTENDED = encoded(ALPHA, "WEBP")  # has the chunks VP8X, ALPH and VP8


def segment(content: bytes, marker: bytes) -> bytes:
    """Return the first segment of a JPEG with this marker."""
    at = content.index(marker)
    return content[at : at + 2 + int.from_bytes(content[at + 2 : at + 4])]


def inside(content: bytes, marker: bytes, hidden: bytes) -> bytes:
    """Hide bytes at the end of a JPEG's segment."""
    old = segment(content, marker)
    new = marker + (len(old) - 2 + len(hidden)).to_bytes(2) + old[4:] + hidden
    return content.replace(old, new, 1)


def extended(width: int, height: int) -> bytes:
    """Return a WebP whose canvas has another size than its picture."""
    at = EXTENDED.index(b"VP8X") + 12
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return EXTENDED[:at] + canvas + EXTENDED[at + 6 :]


HEADER = segment(resized_jpeg(JPEG, *HUGE), b"\xff\xc0")
IHDR = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *HUGE, 8, 2, 0, 0, 0))
FILM = [PICTURE.rotate(90)]
LIES = {
    "jpeg, a second frame header before the scan": JPEG.replace(b"\xff\xda", HEADER + b"\xff\xda"),
    "jpeg, a second frame header first": JPEG[:2] + HEADER + JPEG[2:],
    "jpeg, a second frame header behind the scan": JPEG[:-2] + HEADER + b"\xff\xd9",
    "jpeg, a second picture of another size": JPEG[:-2] + resized_jpeg(JPEG, *HUGE),
    "jpeg, hidden in APP0": inside(JPEG, b"\xff\xe0", HEADER),
    "jpeg, hidden in DQT": inside(JPEG, b"\xff\xdb", HEADER),
    "jpeg, hidden in DHT": inside(JPEG, b"\xff\xc4", HEADER),
    "jpeg, hidden in SOF": inside(JPEG, b"\xff\xc0", HEADER),
    "jpeg, hidden in SOS": inside(JPEG, b"\xff\xda", HEADER),
    "png, a second IHDR": PNG[:33] + IHDR + PNG[33:],
    "png, a second IHDR behind the data": PNG[:-12] + IHDR + PNG[-12:],
    "png, a frame that is larger": PNG[:33]
    + png_chunk(b"acTL", struct.pack(">II", 1, 0))
    + png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, *HUGE, 0, 0, 1, 1, 0, 0))
    + PNG[33:],
    "webp, a canvas that is larger": extended(*HUGE),
    "webp, a second picture of another size": WEBP + flat_webp(*HUGE)[12:],
    "webp, animated": encoded(PICTURE, "WEBP", save_all=True, append_images=FILM),
}
OF_SIZE = {  # pictures whose header claims a size
    "jpeg": lambda width, height: resized_jpeg(JPEG, width, height),
    "jpeg progressive": lambda width, height: resized_progressive(width, height),
    "png": png_claiming,
    "webp lossless": flat_webp,
    "webp": lambda width, height: lossy(width, height),
    "webp extended": extended,
}


def lossy(width: int, height: int) -> bytes:
    at = WEBP.index(b"\x9d\x01\x2a") + 3
    return WEBP[:at] + struct.pack("<HH", width, height) + WEBP[at + 4 :]


def resized_progressive(width: int, height: int) -> bytes:
    content = encoded(PICTURE, "JPEG", progressive=True)
    at = content.index(b"\xff\xc2") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


@pytest.mark.parametrize("kind", sorted(OF_SIZE.keys() - {"webp extended"}))
def test_a_picture_above_the_limit_is_refused_by_its_header_and_the_setting_is_named(
    kind: str,
) -> None:
    content = OF_SIZE[kind](4097, 2176)
    with pytest.raises(
        UndecodableFrameError,
        match=rf"4097 x 2176 pixels; at most {FRAME_PIXELS} are decoded \(max_frame_pixels\)",
    ):
        decode_picture(content, SMALL)
    assert unpacked_bytes(content, max_pixels=FRAME_PIXELS) == 0


@pytest.mark.parametrize("kind", OF_SIZE)
def test_a_picture_is_as_large_as_its_first_header_says(kind: str) -> None:
    content = OF_SIZE[kind](4096, 2176) + bytes(8192)
    assert unpacked_bytes(content, max_pixels=FRAME_PIXELS) == 3 * 4096 * 2176


def test_a_large_picture_of_few_bytes_is_refused_and_a_small_one_is_not() -> None:
    content = flat_webp(1920, 1120)
    few = f"at most {FREE_PIXELS + 1024 * len(content)} are decoded of so few bytes"
    with pytest.raises(UndecodableFrameError, match=f"1920 x 1120 pixels; {few}"):
        decode_picture(content, SMALL)
    assert unpacked_bytes(content, max_pixels=FRAME_PIXELS) == 0
    assert decode_picture(flat_webp(1920, 1088), SMALL).shape == (16, 16, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_camera_in_the_dark_may_send_4k(kind: str, mode: str) -> None:
    dark = encoded(Image.new(mode, (4096, 2176)), kind)
    assert decode_picture(dark, SMALL).max() == 0


@pytest.mark.parametrize("lie", LIES)
def test_a_second_size_is_refused_or_ignored(lie: str) -> None:
    content = LIES[lie]
    try:
        pixels = decode_picture(content, SMALL, max_pixels=60 * 80)
    except UndecodableFrameError:
        return
    assert pixels.shape == (16, 16, 3)
    assert walk(content).width == 80


@pytest.mark.parametrize(
    ("codec", "huge"),
    [
        ("mjpeg", lambda: encoded(Image.new("L", (2048, 1024)), "JPEG")),
        ("png", lambda: encoded(Image.new("L", (2048, 1024)), "PNG")),
        ("webp", lambda: encoded(Image.new("RGB", (2048, 1024)), "WEBP")),
    ],
)
def test_the_decoder_itself_makes_no_more_pixels_than_the_header_says(
    codec: str, huge: Callable[[], bytes]
) -> None:
    lying = Encoded(codec, 80, 60, 1, huge())  # type: ignore[arg-type]
    with pytest.raises(UndecodableFrameError, match="it does not decode"):
        decode_encoded(lying, "it")


def test_a_lossless_webp_that_contradicts_its_header_is_refused() -> None:
    lying = Encoded("lossless", 80, 60, 1, flat_webp(81, 60))
    with pytest.raises(UndecodableFrameError, match="it contradicts its size"):
        decode_encoded(lying, "it")


@pytest.mark.parametrize("content", [b"", b"no picture", b"GIF89a", JPEG[:1], b"RIFF\0\0\0\0WEBP"])
def test_what_is_refused_or_unclear_has_a_cost_all_the_same(content: bytes) -> None:
    wanted = 3 * 1000 if content[:4] == b"RIFF" else 0
    assert unpacked_bytes(content, max_pixels=1000) == wanted


def test_a_jpeg_whose_size_is_far_behind_counts_as_the_largest() -> None:
    content = JPEG[:2] + b"\xff\xe3\0\2" * 200 + JPEG[2:]
    assert unpacked_bytes(content, max_pixels=1000 * 1000) == 3 * 1000 * 1000


@given(st.sampled_from(sorted(whole())), st.lists(st.tuples(st.integers(0), st.integers(0, 255))))
@settings(max_examples=200, deadline=2_000)
def test_what_decodes_costs_no_more_than_was_said(
    kind: str, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(whole()[kind])
    for at, byte in changes:
        content[at % min(200, len(content))] = byte
    try:
        picture = walk(bytes(content))
        decode_picture(bytes(content), SMALL)
    except UndecodableFrameError:
        return
    cost = unpacked_bytes(bytes(content), max_pixels=FRAME_PIXELS)
    assert cost >= 3 * picture.width * picture.height


def test_a_line_of_pixels_is_not_blown_up_to_be_cropped() -> None:
    line = encoded(Image.new("L", (660, 1)), "PNG")
    with pytest.raises(UndecodableFrameError, match="660 x 1 is too narrow to be cropped"):
        decode_picture(line, Fit(224, 224, "crop"))


def test_metadata_cost_nothing() -> None:
    bomb = png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(1 << 20)))
    assert unpacked_bytes(PNG[:33] + bomb + PNG[33:], max_pixels=FRAME_PIXELS) == RGB


@pytest.mark.parametrize("content", [b"", b"x", PNG[:-5], flat_webp(4097, 2176)])
def test_what_is_refused_early_is_refused_by_the_decoder_in_the_same_words(content: bytes) -> None:
    early = refused_early(content, max_pixels=FRAME_PIXELS)
    with pytest.raises(UndecodableFrameError, match=re.escape(str(early))):
        decode_picture(content, SMALL)


@pytest.mark.parametrize("content", [PNG, flat_webp(64, 48), b"x" * (EARLY_BYTES + 1)])
def test_whole_pictures_and_large_records_are_left_to_the_decoder(content: bytes) -> None:
    assert refused_early(content, max_pixels=FRAME_PIXELS) is None
