"""The records of the benchmark: the same JPEGs, words and bases for the loop and the worker."""

from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np

import pipeline
from pipeline.media.pictures import SCALING
from pipeline.media.sources import encode_jpeg, open_source

BATCH = 16  # the worker's max_batch
PARTITIONS = 4
# Kafka's partitioner puts two of these into each of four partitions
STREAMS = ("cam-1", "cam-2", "cam-3", "cam-4", "cam-5", "cam-7", "cam-8", "cam-15")
RATE_HZ = 15.0  # capture rate for bundles that name none
DISTINCT = 48  # pictures of a stream before they repeat


@dataclass(frozen=True, slots=True)
class Workload:
    """A bundle and its frames, of the sample clips or of a sample of letters.

    `size` is (width, height); None keeps the clip's.
    """

    bundle: str
    frames: int  # in each run, a multiple of BATCH
    letters: str | None = None  # a file of pipeline/samples
    size: tuple[int, int] | None = None
    quality: int = 90
    noise: float = 0.0  # of the camera's sensor, standard deviation
    floor: float = 0.0  # the CPU efficiency that was promised


SEED = Workload("seed", frames=1280, size=(640, 480), quality=95, noise=6.0, floor=0.80)
ACTIONS = Workload("actions", frames=7200)
LANGUAGES = Workload("languages", frames=48_000, letters="session.txt")
STRANDS = Workload("strands", frames=48_000, letters="bsub.fa")
SAMPLES = Path(pipeline.__file__).parent / "samples"


@dataclass(frozen=True, slots=True)
class Shot:
    """The `seq`-th frame of a stream."""

    stream: str
    seq: int
    content: bytes


def take_shots(workload: Workload, count: int) -> list[Shot]:
    """Return `count` frames of the samples, stream by turns."""
    films = [
        _film(number, workload) if workload.letters is None else _told(number, workload.letters)
        for number in range(len(STREAMS))
    ]
    places = (divmod(i, len(STREAMS)) for i in range(count))
    return [Shot(STREAMS[n], seq, films[n][seq % len(films[n])]) for seq, n in places]


def _told(number: int, sample: str) -> list[bytes]:
    """Return the records of one stream. Each begins at another place of the sample."""
    records = [line for line in (SAMPLES / sample).read_bytes().splitlines() if line[:1] != b">"]
    first = number * len(records) // len(STREAMS)
    return records[first:] + records[:first]


def _film(number: int, workload: Workload) -> list[bytes]:
    """Return the pictures of one stream. Streams that share a clip start at other frames."""
    clips = sorted(SAMPLES.glob("*.mp4"))
    start = number // len(clips) * DISTINCT
    frames = cycle(frame.picture for frame in open_source(clips[number % len(clips)]))
    rng = np.random.default_rng(number)
    jpegs = []
    for frame in islice(frames, start, start + DISTINCT):
        width, height = workload.size or (frame.width, frame.height)
        scaled = frame.reformat(width, height, "rgb24", interpolation=SCALING, threads=1)
        pixels = scaled.to_ndarray()
        pixels = (pixels + rng.normal(0, workload.noise, pixels.shape)).clip(0, 255)
        noisy = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
        jpegs.append(encode_jpeg(noisy, quality=workload.quality))
    return jpegs
