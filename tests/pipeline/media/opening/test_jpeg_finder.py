"""Every JPEG that goes into an answer comes out, byte for byte: none twice, and none is invented.

The answers are written with habits at random, and arrive in pieces of any size.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CameraLostError
from pipeline.media.opening.over_http.mjpeg import DAMAGED_JPEG, MAX_JPEG_BYTES, JpegFinder
from tests.pipeline.media.opening.multipart import jpeg, part

PREVIEW = b"\xff\xe1\xff\xff" + b"Exif\0\0" + jpeg(50) + bytes(65_527 - len(jpeg(50)))
PLAIN = [jpeg(n) for n in range(5)]
JPEGS = [
    *PLAIN,
    jpeg(5, progressive=True),
    jpeg(6, width=400),
    jpeg(7, comment=b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 7\r\n\r\n"),
    jpeg(8, comment=jpeg(9)),
    PLAIN[0][:2] + PREVIEW + PLAIN[1][2:],
]

LINES = [b"--frame\r\n", b"frame\r\n", b"--frame\n", b"--frame\r\n--frame\r\n", b"--other\r\n", b""]
TYPES = [b"image/jpeg", b"image/jpg", b"image/pjpeg; a=b", b"text/plain", b"IMAGE/JPEG"]
MORE = [b"", b"X-Weird\r\n", b"X-Time: 12.5\r\n", b"Content-Length 7\r\n", b"\xff\xfe: \xff\r\n"]
AFTER = [b"\r\n", b"\n", b"", b"\r\n\r\n", b"\0" * 9 + b"\r\n", b"\r\n--frame--\r\n"]


@dataclass
class Pieces:
    """The same bytes in pieces: `cuts` are where they end."""

    content: bytes
    cuts: list[int]

    def find(self, boundary: bytes = b"frame") -> list[bytes]:
        finder, found, last = JpegFinder(boundary), list[bytes](), 0
        for cut in [*sorted({cut % (len(self.content) + 1) for cut in self.cuts}), None]:
            found += finder.feed(self.content[last:cut])
            last = cut or 0
        return found + finder.end()


CUTS = st.lists(st.integers(0, 1 << 20), max_size=30)


@st.composite
def parts(draw: st.DrawFn) -> tuple[bytes, bytes]:
    one = draw(st.sampled_from(JPEGS))
    if draw(st.booleans()):
        return one, one + draw(st.sampled_from([b"", b"", b"\0" * 7, b"\r\n"]))
    length = draw(st.none() | st.sampled_from([0, 2, -2, 300, -200, 5000, -(1 << 20)]))
    kind = b"Content-Type: %b\r\n" % draw(st.sampled_from(TYPES))
    line, more, after = (draw(st.sampled_from(ways)) for ways in (LINES, MORE, AFTER))
    if draw(st.booleans()):
        kind, more = more, kind
    return one, part(one, line=line, kind=kind, length=length, more=more, after=after)


@given(st.sampled_from([b"", b"Hello\r\n\r\n", PLAIN[0][-99:]]), st.lists(parts()), CUTS)
def test_every_jpeg_comes_out_once_and_nothing_else(
    preamble: bytes, written: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    content = preamble + b"".join(content for _, content in written)
    assert Pieces(content, cuts).find() == [one for one, _ in written]


@given(st.lists(parts(), min_size=1), st.data(), CUTS)
def test_damage_invents_no_picture_that_was_not_sent(
    written: list[tuple[bytes, bytes]], data: st.DataObject, cuts: list[int]
) -> None:
    content = b"".join(content for _, content in written)
    at, end = sorted(data.draw(st.tuples(st.integers(0, len(content)), st.integers(0, 1 << 18))))
    damaged = content[:at] + content[end:]
    found = [one for one in Pieces(damaged, cuts).find() if one != DAMAGED_JPEG]
    wrong = [one for one in found if one not in JPEGS]
    assert len(wrong) <= 1  # the head of one joined to the tail of another: no marker is missing


@given(st.lists(st.sampled_from(PLAIN), min_size=1), st.data(), CUTS)
def test_a_broken_part_costs_no_other_picture(
    whole: list[bytes], data: st.DataObject, cuts: list[int]
) -> None:
    broken = PLAIN[2][: data.draw(st.integers(0, len(PLAIN[2]) - 1))]
    place = data.draw(st.integers(0, len(whole)))
    content = [part(one) for one in whole]
    content.insert(place, part(broken))
    found = Pieces(b"".join(content), cuts).find()
    assert [one for one in found if one != DAMAGED_JPEG] == whole


@given(st.binary(max_size=2000), CUTS)
def test_any_bytes_are_survived(content: bytes, cuts: list[int]) -> None:
    for one in Pieces(content, cuts).find():
        assert one in content


@pytest.mark.parametrize("start", [b"", PLAIN[0], PLAIN[0][:-2], b"\xff\xd8\xff\xe0\0\2"])
def test_no_more_is_held_than_the_largest_jpeg(start: bytes) -> None:
    content = start + b"\xff\xe0\0\2" * (MAX_JPEG_BYTES // 2)
    with pytest.raises(CameraLostError, match="9 MiB"):
        Pieces(content, list(range(0, len(content), 1 << 16))).find()
