"""Small films for tests: pictures with predictions, drawn, written and read again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engines.model.bundle import Bundle
from pipeline.media.sources import SourceFrame
from pipeline.offline.overlay.film import Film
from pipeline.records import Frame, Reset
from pipeline.wire.predictions import (
    FROM_FILE,
    NEW_CHAIN,
    MemoryFacts,
    Prediction,
    PredictionWriter,
)

Pictures = Sequence[NDArray[np.int64]]


def prediction(label: str = "walk", *, frames: int = 7, reset: Reset | None = None) -> Prediction:
    labels = ("stand", "walk", "run")
    writer = PredictionWriter(labels=labels, activation="softmax", model="tiny@12345678")
    logits = np.array([2.0 * (name == label) for name in labels], np.float32)
    frame = Frame("cam-1", FROM_FILE, 0, 0, 0, captured_given=True, content=b"")
    memory = MemoryFacts(frames, 0, None, reset, None)
    return Prediction.read(writer.write(frame, logits, memory, NEW_CHAIN).value)


def grey(height: int = 100, width: int = 200) -> Image.Image:
    return Image.new("RGB", (width, height), (90, 90, 90))


def sources(pictures: Sequence[Image.Image], step_us: float = 40_000) -> Iterator[SourceFrame]:
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        yield SourceFrame(index, round(index * step_us), frame)


def filmed(
    path: Path,
    bundle: Bundle,
    pictures: Sequence[Image.Image],
    predictions: Sequence[Prediction | None],
    *,
    features: NDArray[np.float32] | None = None,
    truth: Sequence[str] | None = None,
    step_us: float = 40_000,
) -> Pictures:
    """Write a film, and read it again."""
    with Film(path, bundle=bundle, truth=truth) as film:
        for frame in film.watch(sources(pictures, step_us)):
            film.show(frame.index, predictions[frame.index], features)
    return seen(path)


def seen(path: Path) -> Pictures:
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [frame.to_ndarray(format="rgb24").astype(np.int64) for frame in frames]
