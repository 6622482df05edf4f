"""Samples training streams as chunks: lanes of streams side by side, every frame once in a pass."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from engines.train.chunks import Chunk
from engines.train.clips.footage import UNLABELLED
from engines.train.clips.reels import FeatureStream

LANES = 16  # streams side by side at most: a gradient is the mean over as many different moments
CHUNK = 32  # frames per step of the optimiser: a gradient reaches back at most so far, 2 s at 15 Hz
LONGEST = 900  # frames, a minute at 15 Hz: longer streams are cut, so that no lane is left alone


def lane_chunks(streams: Sequence[FeatureStream], rng: np.random.Generator) -> Iterator[Chunk]:
    """Play all streams once, in a random order: a lane whose stream ends takes the next stream.

    Each stream stays in one lane and in the order of its frames.
    """
    waiting = deque(_pieces(streams, rng))
    lanes: list[deque[FeatureStream]] = [deque() for _ in range(min(LANES, len(waiting)))]
    while waiting or any(lanes):
        fresh = torch.tensor([not lane for lane in lanes])  # (N,), true too in a lane without work
        for lane in lanes:
            if not lane and waiting:
                # The first chunk is shorter by chance, so that the cuts between chunks, where a
                # gradient ends, are at other frames in each epoch.
                lane.extend(_split(waiting.popleft(), int(rng.integers(1, CHUNK + 1)), CHUNK))
        parts = [_padded(lane.popleft() if lane else None, streams[0]) for lane in lanes]
        features, labels = zip(*parts, strict=True)  # N times (T, F), N times (T,)
        yield Chunk(torch.stack(features, 1), torch.stack(labels, 1), fresh)  # (T, N, F), (T, N)


def _pieces(streams: Sequence[FeatureStream], rng: np.random.Generator) -> list[FeatureStream]:
    """Cut streams longer than LONGEST, at other frames in each epoch, and shuffle the pieces."""
    pieces = []
    for stream in streams:
        first = int(rng.integers(1, LONGEST + 1)) if len(stream.labels) > LONGEST else LONGEST
        pieces += list(_split(stream, first, LONGEST))
    return [pieces[n] for n in rng.permutation(len(pieces))]


def _split(stream: FeatureStream, first: int, length: int) -> Iterator[FeatureStream]:
    """Cut a stream after `first` frames, and then after every `length` frames."""
    edges = [0, *range(first, len(stream.labels), length), len(stream.labels)]
    for start, end in pairwise(edges):
        features, labels = stream.features[start:end], stream.labels[start:end]
        yield FeatureStream(features, labels, stream.validation)


def _padded(part: FeatureStream | None, like: FeatureStream) -> tuple[Tensor, Tensor]:
    """Fill a part of a stream up to CHUNK frames (T, F) with zeros, their labels (T,) with -1."""
    features = torch.zeros(CHUNK, like.features.shape[1])
    labels = torch.full((CHUNK,), UNLABELLED)
    if part is not None:
        features[: len(part.labels)] = part.features
        labels[: len(part.labels)] = part.labels
    return features, labels
