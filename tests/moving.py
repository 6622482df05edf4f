"""Videos for tests of training: a square that moves left, moves right, or rests.

Which way it goes, no single frame can tell.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

LABELS = ("left", "rest", "right")
SIDE = 64
_STEPS = {"left": -2, "rest": 0, "right": 2}  # pixels a frame, around and around


def write_folder(path: Path, *, videos: int, frames: int = 45) -> Path:
    """One folder per class with so many videos each."""
    for i, label in enumerate(LABELS):
        (path / label).mkdir(parents=True)
        for n in range(videos):
            seed = i * videos + n  # where the square begins must not be shared by the classes
            write_moving(path / label / f"{n}.mp4", [(label, frames)], seed=seed)
    return path


def write_table(path: Path, *, videos: int, frames: int = 40, split: bool = False) -> Path:
    """A table of long videos, each of which shows every class and then nothing that is labelled."""
    path.mkdir(parents=True)
    rows = ["video,start_s,end_s,label" + ",split" * split]
    for n in range(videos):
        order = np.random.default_rng(n).permutation(LABELS).tolist()
        write_moving(path / f"{n}.mp4", [(label, frames) for label in [*order, "rest"]], seed=n)
        side = f",{'validation' if n == 0 else 'train'}" * split
        rows += [
            f"{n}.mp4,{i * frames / 30},{(i + 1) * frames / 30},{label}{side}"
            for i, label in enumerate(order)
        ]
    (path / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return path / "labels.csv"


def write_moving(path: Path, acts: Sequence[tuple[str, int]], *, seed: int, rate: int = 30) -> Path:
    """H.264 of 64 x 64, a number of frames for each act."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for pixels in _pictures(acts, np.random.default_rng(seed)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _pictures(
    acts: Sequence[tuple[str, int]], rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    x, y = int(rng.integers(SIDE)), int(rng.integers(8, SIDE - 24))
    for label, frames in acts:
        for _ in range(frames):
            pixels = np.full((SIDE, SIDE, 3), 40, np.uint8)
            pixels[y : y + 16, (x + np.arange(16)) % SIDE] = (220, 120, 40)
            yield pixels
            x += _STEPS[label]
