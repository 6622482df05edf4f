"""What a bundle is judged by: videos with a label for each frame, whoever made them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

LabelledFrame = tuple[
    NDArray[np.uint8], int
]  # pixels (H, W, 3) as the bundle wants them, label or -1


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """One video with a label for each frame. It is read once, frame by frame."""

    name: str
    frames: Iterable[LabelledFrame]


@dataclass(frozen=True, slots=True)
class StreamSet:
    """Streams that are judged together. They are made, and rolled, `side_by_side` at a time."""

    about: str
    streams: Iterable[LabelledStream]
    frames: int  # of all streams, as far as a progress bar has to know
    side_by_side: int


@dataclass(frozen=True, slots=True)
class DataSet:
    """Named tests, of which the first is what the whole is judged by, and streams to train on."""

    name: str
    about: Mapping[str, JsonValue]  # what a report says of it besides: seeds, folders
    rate_hz: float  # of all its streams
    tests: Mapping[str, StreamSet]
    training: StreamSet | None  # None: there is nothing to train a frame-only head on
