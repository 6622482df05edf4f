"""What the first slice of a unit says: microseconds, whatever the unit's size. Never raises."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.media.video.headers import h264_headers, h265_headers
from pipeline.media.video.headers.annexb import heads

Codec = Literal["h264", "hevc"]  # the names of libav


@dataclass(frozen=True, slots=True)
class FirstSlice:
    """`begins`: it is the first of its picture. `key`: the picture is an IDR (H.265: an IRAP)."""

    begins: bool
    key: bool


def first_slice(codec: Codec, content: bytes) -> FirstSlice | None:
    """Return what the first slice says; None if there is none, or the bytes are not Annex B."""
    return next((found for _, found in _slices(codec, content) if found is not None), None)


def next_picture(codec: Codec, content: bytes) -> int:
    """Return where the first picture begins in a packet that begins in the middle of another.

    What comes between the two belongs to the new one, unless only the end of a picture may have it.
    """
    begin = 0
    for at, found in _slices(codec, content):
        if found is None:
            begin = begin or at
        elif found.begins:
            return begin or at
        else:
            begin = 0
    return len(content)


def _slices(codec: Codec, content: bytes) -> Iterator[tuple[int, FirstSlice | None]]:
    """Yield where each slice begins, and what it says; None: a NAL unit that may begin a unit."""
    for at, head in heads(content):
        if codec == "h264":
            kind = head[0] & 31 if head else 0
            if kind in (h264_headers.SLICE, h264_headers.IDR):
                begins = h264_headers.begins_picture(head)
                yield at, FirstSlice(begins, key=kind == h264_headers.IDR)
            elif kind in h264_headers.BEFORE_PICTURE:
                yield at, None
        else:
            kind = h265_headers.nal_type(head)
            if kind in h265_headers.VCL:
                begins = h265_headers.begins_picture(head)
                yield at, FirstSlice(begins, key=kind in h265_headers.IRAP)
            elif kind in h265_headers.BEFORE_PICTURE:
                yield at, None
