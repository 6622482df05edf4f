"""The data that a bundle is measured on: videos with a label for each frame."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

LabelledFrame = tuple[NDArray[np.uint8], int]  # pixels (H, W, 3) of the bundle's size, label or -1


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """One video with a label for each frame. `frames` can be read only once."""

    name: str
    frames: Iterable[LabelledFrame]


@dataclass(frozen=True, slots=True)
class StreamSet:
    """Streams that are measured together. `side_by_side` of them are made and stepped at a time."""

    about: str
    streams: Iterable[LabelledStream]
    frames: int  # of all streams together, for the progress bar
    side_by_side: int


@dataclass(frozen=True, slots=True)
class DataSet:
    """Named tests, the first of which is the main one, and streams to train a head on."""

    name: str
    about: Mapping[str, JsonValue]  # more facts for the report: seeds, folders
    rate_hz: float  # of all its streams
    tests: Mapping[str, StreamSet]
    training: StreamSet | None  # for a frame-only head; None: none is trained
