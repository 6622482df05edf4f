"""What the first slice of a unit says: microseconds, whatever the unit's size. Never raises."""

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
    for head in heads(content):
        if codec == "h264":
            kind = head[0] & 31 if head else 0
            if kind in (h264_headers.SLICE, h264_headers.IDR):
                begins = h264_headers.begins_picture(head)
                return FirstSlice(begins, key=kind == h264_headers.IDR)
        else:
            kind = h265_headers.nal_type(head)
            if kind in h265_headers.VCL:
                begins = h265_headers.begins_picture(head)
                return FirstSlice(begins, key=kind in h265_headers.IRAP)
    return None
