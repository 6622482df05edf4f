"""Labelled streams of any length go through an engine side by side, as through a worker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError
from engines.host import HostEngine
from engines.train.evaluation.answers import Ints
from engines.train.evaluation.labelled import LabelledFrame, LabelledStream, StreamSet
from engines.train.rolling import NEVER


@dataclass(frozen=True, slots=True)
class Rolled:
    """What an engine made of one stream of T frames."""

    name: str
    labels: Ints  # (T,)
    features: NDArray[np.float32]  # (T, F)
    logits: Mapping[int, NDArray[np.float32]]  # for each reset (T, K)


def roll_set(
    engine: HostEngine,
    streams: StreamSet,
    *,
    resets: Sequence[int],
    advance: Callable[[int], object],
) -> list[Rolled]:
    """Roll all streams of a set; `advance` is told how many more frames are done.

    `resets` says after how many frames the state is forgotten, as by a worker that crashes and
    kept nothing. Each has rows of its own, so that a frame is encoded once for all.
    """
    waiting = iter(streams.streams)
    rolled: list[Rolled] = []
    while group := list(islice(waiting, streams.side_by_side)):
        rolled += _roll(engine, group, resets, advance)
    return rolled


@dataclass(slots=True)
class _Track:
    """One stream on its way, with what was collected of it."""

    name: str
    frames: Iterator[LabelledFrame]
    labels: list[int] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    logits: dict[int, list[NDArray[np.float32]]] = field(default_factory=dict)

    def rolled(self) -> Rolled:
        return Rolled(
            self.name,
            np.array(self.labels, np.int64),
            np.stack(self.features),
            {reset: np.stack(steps) for reset, steps in self.logits.items()},
        )


def _roll(
    engine: HostEngine,
    streams: Sequence[LabelledStream],
    resets: Sequence[int],
    advance: Callable[[int], object],
) -> list[Rolled]:
    tracks = [_Track(s.name, iter(s.frames), logits={r: [] for r in resets}) for s in streams]
    rows = {reset: np.arange(len(tracks)) + len(tracks) * i for i, reset in enumerate(resets)}
    engine.reserve(len(tracks) * len(resets))
    engine.zero(range(len(tracks) * len(resets)))
    live, frame = np.arange(len(tracks)), 0
    while True:
        arrived = {n: found for n in live if (found := next(tracks[n].frames, None)) is not None}
        if not arrived:
            return [track.rolled() for track in tracks]
        live = np.array(list(arrived))
        features = engine.encode(np.stack([pixels for pixels, _ in arrived.values()]))
        for n, (_, label), line in zip(live, arrived.values(), features.array, strict=True):
            tracks[n].labels.append(label)
            tracks[n].features.append(line)
        for reset in resets:
            if reset != NEVER and frame % reset == 0:
                engine.zero(rows[reset])
            logits, finite = engine.step(features, range(len(live)), rows[reset][live])
            _refuse_broken([tracks[n].name for n in live[~finite]], frame)
            for n, line in zip(live, logits, strict=True):
                tracks[n].logits[reset].append(line)
        frame += 1
        advance(len(live))


def _refuse_broken(names: Sequence[str], frame: int) -> None:
    if names:
        raise BundleError(
            f"the bundle's answer to frame {frame} of stream {names[0]} is not finite, so it cannot"
            " be measured: a worker would dead-letter the frame and forget the stream's memory."
            " Train it with smaller weights, or bound its state"
        )
