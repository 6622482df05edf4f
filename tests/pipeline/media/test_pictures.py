"""Pictures decode to what Pillow gives, or raise `UndecodableFrameError`, and nothing else."""

import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.headers.png import UNASKED_BYTES
from pipeline.media.pictures import Fit, decode_picture, decode_upright
from tests.damaged.seeds import flat_png, packed_zeros
from tests.pipeline.pictures import encoded, noisy, png_chunk, png_claiming, scene, seen, turned

SIZE = Fit(60, 80, "stretch")
SMALL = Fit(16, 16, "stretch")
SCENE = scene(60, 80)
GREY = SCENE.convert("L")
SEE_THROUGH = SCENE.copy()
SEE_THROUGH.putalpha(GREY)

KINDS = {
    "jpeg 4:4:4": encoded(SCENE, "JPEG", quality=95, subsampling=0),
    "jpeg 4:2:2": encoded(SCENE, "JPEG", quality=95, subsampling=1),
    "jpeg 4:2:0": encoded(SCENE, "JPEG", quality=95, subsampling=2),
    "jpeg progressive": encoded(SCENE, "JPEG", quality=95, progressive=True),
    "jpeg restart markers": encoded(SCENE, "JPEG", quality=95, restart_marker_rows=1),
    "jpeg RGB": encoded(SCENE, "JPEG", quality=95, keep_rgb=True),
    "jpeg grey": encoded(GREY, "JPEG", quality=95),
    "jpeg CMYK": encoded(SCENE.convert("CMYK"), "JPEG", quality=95),
    "png RGB": encoded(SCENE, "PNG"),
    "png RGBA": encoded(SEE_THROUGH, "PNG"),
    "png palette": encoded(SCENE.convert("P"), "PNG"),
    "png grey": encoded(GREY, "PNG"),
    "png grey alpha": encoded(SEE_THROUGH.convert("LA"), "PNG"),
    "png 1 bit": encoded(SCENE.convert("1"), "PNG"),
    "webp lossy": encoded(SCENE, "WEBP", quality=95),
    "webp lossless": encoded(SCENE, "WEBP", lossless=True),
    "webp lossy alpha": encoded(SEE_THROUGH, "WEBP", quality=95, exact=True),
    "webp lossless alpha": encoded(SEE_THROUGH, "WEBP", lossless=True, exact=True),
}
DETAILED = {
    "jpeg": encoded(noisy(120, 160), "JPEG", quality=85),
    "jpeg progressive": encoded(noisy(120, 160), "JPEG", quality=85, progressive=True),
    "jpeg CMYK": encoded(noisy(120, 160).convert("CMYK"), "JPEG"),
    "png": encoded(noisy(120, 160), "PNG"),
    "webp": encoded(noisy(120, 160), "WEBP"),
    "webp lossless": encoded(noisy(120, 160), "WEBP", lossless=True),
}
JPEG = DETAILED["jpeg"]


def decoded_or_refused(content: bytes) -> bool:
    try:
        pixels = decode_picture(content, SMALL)
    except UndecodableFrameError:
        return False
    assert pixels.shape == (16, 16, 3)
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_those_that_pillow_sees(kind: str) -> None:
    difference = np.abs(decode_picture(KINDS[kind], SIZE) - seen(KINDS[kind]))
    assert difference.max() <= 3
    assert difference.mean() <= 1.1  # CMYK, whose product libav rounds down; else below 0.5


def test_sixteen_bits_become_the_eight_upper_ones() -> None:
    deep = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13
    pixels = decode_picture(encoded(Image.fromarray(deep), "PNG"), SIZE)
    assert np.abs(pixels[..., 1] - (deep / 257)).max() < 2


def test_pixels_are_contiguous_and_nobody_elses() -> None:
    pixels = decode_picture(KINDS["png RGB"], SIZE)
    flags = pixels.flags
    assert (pixels.dtype.name, flags.c_contiguous, flags.owndata) == ("uint8", True, True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    plain = {1: 0, 2: 0, 3: 180, 4: 180, 5: 90, 6: 270, 7: 270, 8: 90}[orientation]
    wanted = SCENE.rotate(plain, expand=True)
    if orientation in (2, 4):
        wanted = wanted.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if orientation in (5, 7):
        wanted = wanted.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    fit = Fit(wanted.height, wanted.width, "stretch")
    pixels = decode_picture(turned(SCENE, kind, orientation), fit)
    assert np.abs(pixels - np.asarray(wanted).astype(int)).max() <= 3


def test_an_upright_frame_keeps_the_size_of_the_turned_picture() -> None:
    frame = decode_upright(turned(SCENE, "JPEG", 6))
    assert (frame.width, frame.height) == (60, 80)


@pytest.mark.parametrize("exif", [b"", b"II", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"])
def test_broken_exif_does_no_harm(exif: bytes) -> None:
    content = encoded(SCENE, "JPEG", exif=b"Exif\0\0" + exif)
    plain = decode_picture(encoded(SCENE, "JPEG"), SIZE)
    assert np.array_equal(decode_picture(content, SIZE), plain)


@pytest.mark.parametrize("kind", ["jpeg CMYK", "jpeg 4:4:4"])
def test_a_jpeg_with_two_components_of_one_number_is_refused(kind: str) -> None:
    content = bytearray(KINDS[kind])
    frame = content.index(b"\xff\xc0")
    last = content[frame + 9] - 1  # the place of its last component
    scan = content.index(b"\xff\xda", frame)
    content[frame + 10 + 3 * last] = content[frame + 10]
    content[scan + 5 + 2 * last] = content[scan + 5]
    with pytest.raises(UndecodableFrameError, match="has two components of one number"):
        decode_picture(bytes(content), SIZE)


def adam7(height: int, width: int, *, interlaced: bool) -> bytes:
    """Return a grey PNG of stripes; Pillow writes no interlaced ones."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[::2] = 200
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes = [*starts, (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    parts = [pixels[row::down, column::right] for row, column, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (8, 8), (33, 50), (64, 64)])
def test_an_interlaced_png_is_the_same_picture(
    height: int, width: int, fit: Literal["stretch", "letterbox", "crop"]
) -> None:
    twins = [adam7(height, width, interlaced=interlaced) for interlaced in (True, False)]
    seen_by_model = [decode_picture(twin, Fit(20, 24, fit)) for twin in twins]
    assert np.array_equal(seen_by_model[0], seen_by_model[1])
    assert np.array_equal(seen(twins[0]), seen(twins[1]))


# how it fits


def white(height: int, width: int, fit: Fit) -> NDArray[np.uint8]:
    return decode_picture(encoded(Image.new("RGB", (width, height), "white"), "PNG"), fit)


def test_stretch_fills_everything() -> None:
    assert white(10, 40, Fit(21, 21, "stretch")).min() == 255


def test_letterbox_gives_the_odd_row_to_the_lower_bar() -> None:
    rows = white(10, 40, Fit(20, 21, "letterbox")).min(axis=(1, 2))  # 10 * 21 / 40 = 5.25 rows
    assert rows.tolist() == [0] * 7 + [255] * 5 + [0] * 8


def test_letterbox_of_a_tall_picture_has_bars_at_its_sides() -> None:
    columns = white(40, 10, Fit(20, 20, "letterbox")).min(axis=(0, 2))
    assert columns.tolist() == [0] * 7 + [255] * 5 + [0] * 8


def test_crop_keeps_the_centre() -> None:
    bars = Image.new("RGB", (300, 100), "white")
    bars.paste("red", (100, 0, 200, 100))
    pixels = decode_picture(encoded(bars, "PNG"), Fit(50, 50, "crop"))
    assert np.abs(pixels[:, 2:-2] - np.array([255, 0, 0])).max() <= 1


def test_crop_turns_before_it_cuts() -> None:
    pixels = decode_picture(turned(SCENE, "PNG", 6), Fit(60, 60, "crop"))
    wanted = np.asarray(SCENE.rotate(270, expand=True))[10:70].astype(int)
    assert np.abs(pixels - wanted).max() <= 3


def test_shrinking_averages() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode_picture(encoded(Image.fromarray(stripes), "PNG"), SMALL)
    assert np.abs(pixels - 127.5).max() <= 2


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1), (3, 5)])
def test_any_shape_fits(size: tuple[int, int], fit: str) -> None:
    assert white(*size, Fit(20, 30, fit)).shape == (20, 30, 3)  # type: ignore[arg-type]


def test_a_thread_of_pixels_is_too_narrow_to_be_cropped() -> None:
    with pytest.raises(UndecodableFrameError, match="30000 x 1 is too narrow to be cropped"):
        white(1, 30_000, Fit(224, 224, "crop"))


# what is refused


@pytest.mark.parametrize("content", [b"", b"nothing", b"GIF89a" + bytes(50), b"BM" + bytes(99)])
def test_other_bytes_are_refused_by_their_number(content: bytes) -> None:
    with pytest.raises(UndecodableFrameError, match=f"^{len(content)} bytes are no JPEG, PNG or"):
        decode_picture(content, SIZE)


@pytest.mark.parametrize("kind", DETAILED)
def test_a_picture_cut_anywhere_is_refused(kind: str) -> None:
    content = DETAILED[kind]
    cuts = [*range(40), *range(40, len(content), len(content) // 50), len(content) - 1]
    assert [cut for cut in cuts if decoded_or_refused(content[:cut])] == []


@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "jpeg CMYK"])
def test_a_jpeg_that_was_cut_and_closed_again_is_refused(kind: str) -> None:
    content = DETAILED[kind]
    cuts = range(700, len(content) - 200, len(content) // 50)
    assert [cut for cut in cuts if decoded_or_refused(content[:cut] + b"\xff\xd9")] == []


def test_a_jpeg_with_a_hole_is_refused() -> None:
    holes = range(700, len(JPEG) - 1400, 150)
    assert [at for at in holes if decoded_or_refused(JPEG[:at] + JPEG[at + 1200 :])] == []


def test_any_changed_byte_of_a_png_is_refused() -> None:
    content = bytearray(DETAILED["png"])
    for at in range(0, len(content), len(content) // 60):
        content[at] ^= 0x10
        assert not decoded_or_refused(bytes(content)), at
        content[at] ^= 0x10


@given(st.sampled_from(sorted(DETAILED)), st.lists(st.tuples(st.integers(0), st.integers(0, 255))))
@settings(max_examples=300, deadline=2000)
def test_damage_is_refused_or_gives_the_right_shape(
    kind: str, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(DETAILED[kind])
    for at, byte in changes:
        content[at % len(content)] = byte
    decoded_or_refused(bytes(content))


@given(st.sampled_from(sorted(DETAILED)), st.binary(max_size=200), st.integers(4, 60))
@settings(max_examples=300, deadline=2000)
def test_random_bytes_behind_a_beginning_do_no_harm(kind: str, tail: bytes, kept: int) -> None:
    decoded_or_refused(DETAILED[kind][:kept] + tail)


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_picture_is_ignored(kind: str) -> None:
    pixels = decode_picture(KINDS[kind] + b"\xff\xd8 garbage \xff\xd9", SIZE)
    assert np.array_equal(pixels, decode_picture(KINDS[kind], SIZE))


def test_a_huge_picture_is_refused_before_it_takes_memory() -> None:
    content, start = png_claiming(50_000, 50_000), time.perf_counter()
    with pytest.raises(
        UndecodableFrameError, match=f"50000 x 50000 pixels; at most {FRAME_PIXELS}"
    ):
        decode_picture(content, SIZE)
    assert time.perf_counter() - start < 0.05  # 0.05 ms without other load


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "webp lossless"])
def test_the_bound_on_pixels_holds_for_every_kind(kind: str) -> None:
    assert decode_picture(DETAILED[kind], SIZE, max_pixels=160 * 120).shape == (60, 80, 3)
    with pytest.raises(UndecodableFrameError, match="is 160 x 120 pixels; at most 19199"):
        decode_picture(DETAILED[kind], SIZE, max_pixels=160 * 120 - 1)


def test_a_webp_that_names_two_sizes_is_refused() -> None:
    content = bytearray(KINDS["webp lossy alpha"])
    at = content.index(b"VP8X") + 12
    content[at : at + 6] = b"\xff\x3f\0\xff\x3f\0"
    with pytest.raises(UndecodableFrameError, match=r"sizes .*16384.*80, 60"):
        decode_picture(bytes(content), SIZE)


def test_a_png_without_its_rows_is_refused() -> None:
    assert not decoded_or_refused(png_claiming(100, 100))


def test_metadata_that_would_explode_are_never_unpacked() -> None:
    bomb = png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(200_000_000)))
    content, start = KINDS["png RGB"], time.perf_counter()
    decode_picture(content[:33] + bomb + content[33:], SIZE)
    assert time.perf_counter() - start < 0.1


def test_a_png_that_unpacks_to_more_than_its_rows_is_refused() -> None:
    content = flat_png(500, 500, packed_zeros(600 << 20))
    assert len(content) > UNASKED_BYTES
    with pytest.raises(UndecodableFrameError, match="unpacks to more than its rows"):
        decode_picture(content, SIZE)


def test_a_large_png_that_holds_its_rows_alone_decodes() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), "PNG")
    assert len(content) > UNASKED_BYTES
    assert decode_picture(content, SIZE).shape == (60, 80, 3)


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    content = DETAILED["jpeg progressive"]
    scan = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(UndecodableFrameError, match="scans; at most 100 are decoded"):
        decode_picture(content[:-2] + scan * 100 + b"\xff\xd9", SIZE)


def progressive(side: int, scans: int) -> bytes:
    """Return a grey square whose last scan, which is nearly empty, is repeated."""
    content = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (scans - content.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_large_jpeg_has_fewer_scans_than_a_small_one() -> None:
    assert decode_picture(progressive(256, 32), SIZE, max_pixels=512 * 256).shape == (60, 80, 3)
    with pytest.raises(UndecodableFrameError, match="its 256 x 256 pixels in 33 scans; at most"):
        decode_picture(progressive(256, 33), SIZE, max_pixels=512 * 256)


def test_a_baseline_jpeg_that_scans_a_component_twice_is_refused() -> None:
    scan = JPEG[JPEG.rindex(b"\xff\xda") : -2]
    with pytest.raises(UndecodableFrameError, match="not progressive, but scans a component twice"):
        decode_picture(JPEG[:-2] + scan + b"\xff\xd9", SIZE)


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks


NOTHING: dict[str, Callable[[bytes, int], bytes]] = {  # parts that a picture may have too many of
    "jpeg 4:2:0": lambda content, n: content[:2] + b"\xff\xe3\0\2" * n + content[2:],
    "png RGB": lambda content, n: content[:33] + png_chunk(b"IDAT", b"") * n + content[33:],
    "webp lossy": lambda content, n: riff(content[12:] + b"none\0\0\0\0" * n),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_a_picture_of_endless_segments_is_refused(kind: str) -> None:
    """Two million segments would block all threads of Python for two seconds."""
    assert decoded_or_refused(NOTHING[kind](KINDS[kind], 9_900))
    with pytest.raises(UndecodableFrameError, match="has more than 10000 segments"):
        decode_picture(NOTHING[kind](KINDS[kind], 10_000), SIZE)


def test_a_jpeg_without_its_own_tables_is_refused() -> None:
    at = JPEG.index(b"\xff\xdb")
    tables = 2 * (2 + int.from_bytes(JPEG[at + 2 : at + 4]))
    with pytest.raises(UndecodableFrameError, match="quantisation table"):
        decode_picture(JPEG[:at] + JPEG[at + tables :], SIZE)


def test_a_webcams_jpeg_without_huffman_tables_decodes() -> None:
    content = bytearray(encoded(SCENE, "JPEG", optimize=False))  # the standard tables
    while (at := content.find(b"\xff\xc4")) >= 0:
        del content[at : at + 2 + int.from_bytes(content[at + 2 : at + 4])]
    assert np.array_equal(
        decode_picture(bytes(content), SIZE), decode_picture(encoded(SCENE, "JPEG"), SIZE)
    )


def test_an_animated_webp_is_refused() -> None:
    film = encoded(SCENE, "WEBP", save_all=True, append_images=[SCENE.rotate(90)])
    with pytest.raises(UndecodableFrameError, match="is animated"):
        decode_picture(film, SIZE)


# always the same


def test_threads_give_the_bytes_of_a_single_one() -> None:
    work = [*KINDS.values(), *DETAILED.values(), JPEG[:3000]] * 16  # 400 decodes

    def outcome(content: bytes) -> bytes:
        try:
            return decode_picture(content, Fit(33, 47, "letterbox")).tobytes()
        except UndecodableFrameError as exc:
            return str(exc).encode()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, work)) == [outcome(content) for content in work]


def test_a_broken_picture_leaves_nothing_behind() -> None:
    before = decode_picture(JPEG, SIZE)
    decoded_or_refused(JPEG[:2000] + b"\xff\xd9")
    assert np.array_equal(decode_picture(JPEG, SIZE), before)


def test_libav_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    decoded_or_refused(JPEG[:2000] + b"\xff\xd9")
    assert capfd.readouterr() == ("", "")
