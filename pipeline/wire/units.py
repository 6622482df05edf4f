"""Records whose value is one access unit of a video stream: their content types and keyframes."""

import re
from itertools import islice

from pipeline.errors import MalformedRecordError

H264_TYPE = "video/h264"
H265_TYPES = ("video/h265", "video/hevc")
KEYFRAME = "keyframe"  # a header for other readers; the worker looks at the bytes

START_CODE = re.compile(rb"\x00\x00\x01")  # before each NAL unit of Annex B
MAX_NALS = 1024  # of one access unit; the highest level of H.264 allows 600 slices a picture

# types of NAL units (ITU-T H.264, table 7-1); the first five are parts of a picture
_PICTURE_PARTS = range(1, 6)
_IDR, _SPS, _PPS = 5, 7, 8

_TYPE_BYTES = 100  # of a content type that are looked at
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")  # JPEG, PNG, WebP


def is_unit(content: bytes, content_type: bytes | None) -> bool:
    """Return whether a record's value is a unit of H.264, which only its content type can say.

    The first bytes of a picture win over the content type. Raises `MalformedRecordError` for H.265.
    """
    if content_type is None or content.startswith(_PICTURES):
        return False
    kind = content_type[:_TYPE_BYTES].partition(b";")[0].strip().lower().decode("ascii", "replace")
    if kind in H265_TYPES:
        raise MalformedRecordError(
            f"the content type is {kind}: H.265 is not taken, because damage in it cannot be"
            f" detected; publish {H264_TYPE}, or pictures, as `longtake camera` does"
        )
    return kind == H264_TYPE


def is_keyframe(content: bytes) -> bool:
    """Return whether a unit of H.264 is an IDR picture with its SPS and its PPS before it.

    Nothing else begins a chain of units: no recovery point, no gradual refresh.
    """
    found = set[int]()
    for start in islice(START_CODE.finditer(content), MAX_NALS):
        kind = content[start.end()] & 31 if start.end() < len(content) else 0
        if kind in _PICTURE_PARTS:
            return kind == _IDR and {_SPS, _PPS} <= found
        found.add(kind)
    return False
