"""Steps labelled streams of different lengths through an engine side by side, and keeps answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError
from engines.host import HostEngine
from engines.train.evaluation.answers import Ints
from engines.train.evaluation.labelled import LabelledFrame, LabelledStream, StreamSet
from engines.train.rolling import SteppedStreams


@dataclass(frozen=True, slots=True)
class Rolled:
    """One stream of T frames with what an engine computed from it."""

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
    """Roll all streams of a set with each reset; see `SteppedStreams`.

    `advance` is called with the number of frames that were done since its last call. Raises
    `BundleError` if an answer is not finite.
    """
    waiting = iter(streams.streams)
    rolled: list[Rolled] = []
    while group := list(islice(waiting, streams.side_by_side)):
        rolled += _roll(engine, group, resets, advance)
    return rolled


@dataclass(slots=True)
class _Track:
    """One stream that is being read, with what was collected so far."""

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
    stepped = SteppedStreams(engine, len(tracks), resets)
    live, frame = np.arange(len(tracks)), 0  # the streams that have not ended
    while True:
        arrived = {n: found for n in live if (found := next(tracks[n].frames, None)) is not None}
        if not arrived:
            return [track.rolled() for track in tracks]
        live = np.array(list(arrived))
        pixels = np.stack([picture for picture, _ in arrived.values()])  # (M, H, W, 3)
        features, answers = stepped.step(pixels, live)
        for row, (n, (_, label)) in enumerate(arrived.items()):
            tracks[n].labels.append(label)
            tracks[n].features.append(features.vector(row))
        for reset, answer in answers.items():
            _refuse_broken([tracks[n].name for n in live[~answer.finite]], frame)
            for n, logits in zip(live, answer.logits, strict=True):
                tracks[n].logits[reset].append(logits)
        frame += 1
        advance(len(live))


def _refuse_broken(names: Sequence[str], frame: int) -> None:
    if names:
        raise BundleError(
            f"the bundle's answer to frame {frame} of stream {names[0]} is not finite, so it cannot"
            " be measured: a worker would dead-letter the frame and forget the stream's memory."
            " Train it with smaller weights, or bound its state"
        )
