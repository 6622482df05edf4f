"""What chaos cameras show: the sample clips as JPEGs, and as units of H.264."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path

import av
from av.video.frame import PictureType

import pipeline
from pipeline.media.sources import encode_jpeg, open_source

PICTURES = 48  # of each clip; cameras show them again and again
SIZES = ((192, 192), (176, 144))  # of the halves of a film: the resolution changes at a keyframe
ENCODINGS = ("", "cabac=0", "slices=3", "ref=3:aud=1")  # x264's parameters, by clip

Film = Sequence[bytes]  # one access unit each


def clips() -> list[Path]:
    """Return the sample clips."""
    return sorted((Path(pipeline.__file__).parent / "samples").glob("*.mp4"))


def cut_pictures(quality: int = 80) -> list[list[bytes]]:
    """Return JPEGs from the sample clips, clip by clip."""
    return [
        [encode_jpeg(f.picture, quality=quality) for f in islice(open_source(clip), PICTURES)]
        for clip in clips()
    ]


@cache
def cut_film(number: int, group: int) -> Film:
    """Return a clip as units of H.264 with a keyframe at least every `group` units."""
    clip, more = clips()[number % len(clips())], ENCODINGS[number % len(ENCODINGS)]
    pictures = [frame.picture for frame in islice(open_source(clip), PICTURES)]
    half = PICTURES // 2
    halves = zip((pictures[:half], pictures[half:]), SIZES, strict=True)
    return [unit for shown, size in halves for unit in _encoded(shown, size, group, more)]


def _encoded(
    pictures: Iterable[av.VideoFrame], size: tuple[int, int], group: int, more: str
) -> list[bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 15), Fraction(15)
    encoder.thread_count = 1  # the same bytes in each run
    given = f"keyint={group}:min-keyint={group}:scenecut=0:{more}".strip(":")
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "x264-params": given}
    units = list[bytes]()
    for number, picture in enumerate(pictures):
        frame = picture.reformat(*size, "yuv420p")
        frame.pts, frame.pict_type = number, PictureType.NONE  # else it is a keyframe as before
        units += map(bytes, encoder.encode(frame))
    return [*units, *map(bytes, encoder.encode(None))]
