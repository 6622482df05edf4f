"""The pictures of the benchmark, and the H.264 that a camera would send of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

import pipeline
from pipeline.media.pictures import SCALING
from pipeline.media.sources import open_source

Size = tuple[int, int]  # width, height
SIZES: Mapping[str, Size] = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
CLIP_SIDE, CLIP_HZ, CLIP_FRAMES = 192, 15, 450  # of the sample clips
APART = 37  # frames between two tiles that show the same clip
NOISE = 2.0  # of the camera's sensor, standard deviation, in steps of 256
ENCODER = {"preset": "medium", "tune": "zerolatency", "crf": "23"}


@dataclass(frozen=True, slots=True)
class Material:
    """Pictures of one scene, as often as wanted: without an end, and the same at each call.

    `words` say what they show, for the table's caption.
    """

    words: str
    rate_hz: Fraction
    pictures: Callable[[Size], Iterator[av.VideoFrame]]


def plaza(moving: float) -> Material:
    """Return a fixed camera's view: the sample clips side by side, each pixel as it is in them.

    In a share `moving` of the tiles the person moves. The others show a still picture.
    """

    def pictures(size: Size) -> Iterator[av.VideoFrame]:
        columns, rows = (-(-side // CLIP_SIDE) for side in size)
        clips = [_clip(path) for path in sample_clips()[: columns * rows]]
        moves = moving_tiles(columns * rows, moving)
        rng = np.random.default_rng(1)
        number = 0
        while True:
            tiles = [
                clips[n % len(clips)][(n * APART + number * moves[n]) % CLIP_FRAMES]
                for n in range(columns * rows)
            ]
            yield with_noise(_tiled(tiles, columns, size), rng)
            number += 1

    words = (
        f"the sample clips side by side at their own scale, people move in {moving:.0%} of the"
        f" picture; sensor noise of {NOISE:g}"
    )
    return Material(words, Fraction(CLIP_HZ), pictures)


def recorded(path: Path) -> Material:
    """Return the pictures of a video of yours, scaled, again and again."""
    with av.open(str(path)) as container:
        rate_hz = container.streams.video[0].average_rate or Fraction(25)

    def pictures(size: Size) -> Iterator[av.VideoFrame]:
        while True:
            for frame in open_source(path):
                yield frame.picture.reformat(*size, "yuv420p", interpolation=SCALING, threads=1)

    return Material(f"{path.name}, scaled, repeated at its end", rate_hz, pictures)


def moving_tiles(count: int, share: float) -> list[bool]:
    """Return which of `count` tiles move: `share` of them, in places that are always the same."""
    order = np.random.default_rng(0).permutation(count).tolist()
    return [place < round(share * count) for place in order]


def with_noise(pixels: NDArray[np.uint8], rng: np.random.Generator) -> av.VideoFrame:
    """Return RGB pixels (H, W, 3) as a camera's sensor sees them, in YUV."""
    clean = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p", interpolation=SCALING, threads=1
    )
    planes = clean.to_ndarray()  # (1.5 H, W)
    noise = rng.standard_normal(planes.shape, np.float32) * NOISE
    seen = np.rint(planes + noise).clip(0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(seen, format="yuv420p")


def write_films(
    folder: Path, pictures: Iterable[av.VideoFrame], *, rate_hz: Fraction, groups: Mapping[str, int]
) -> dict[str, Path]:
    """Encode the same pictures with groups of several lengths, as cameras do: without a delay.

    `groups` has units by name. Returns an MP4 for each. One slice and one thread, so that the bytes
    are the same on all machines.
    """
    paths = {name: folder / f"{name}.mp4" for name in groups}
    with ExitStack() as stack:
        films = [
            (container, _camera(container, rate_hz, group))
            for container, group in (
                (stack.enter_context(av.open(str(paths[name]), "w")), group)
                for name, group in groups.items()
            )
        ]
        for number, picture in enumerate(pictures):
            for container, stream in films:
                if number == 0:
                    stream.width, stream.height = picture.width, picture.height
                picture.pts, picture.time_base = number, 1 / rate_hz
                container.mux(stream.encode(picture))
        for container, stream in films:
            container.mux(stream.encode(None))
    return paths


def _camera(container: av.container.OutputContainer, rate_hz: Fraction, group: int) -> VideoStream:
    keys = f"keyint={group}:min-keyint={group}:scenecut=0"
    stream = container.add_stream("libx264", rate_hz, options=ENCODER | {"x264-params": keys})
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1
    return stream


def sample_clips() -> list[Path]:
    """Return the clips that longtake comes with."""
    return sorted((Path(pipeline.__file__).parent / "samples").glob("*.mp4"))


def _clip(path: Path) -> list[NDArray[np.uint8]]:
    frames = islice(cycle(open_source(path)), CLIP_FRAMES)
    return [
        frame.picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False) for frame in frames
    ]


def _tiled(tiles: list[NDArray[np.uint8]], columns: int, size: Size) -> NDArray[np.uint8]:
    rows = [np.concatenate(tiles[n : n + columns], 1) for n in range(0, len(tiles), columns)]
    width, height = size
    return np.ascontiguousarray(np.concatenate(rows)[:height, :width])
