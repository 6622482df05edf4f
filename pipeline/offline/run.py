"""Videos in, predictions out, without a broker: the same frame path, fed from files."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, Features, Pixels
from engines.model.bundle import Bundle
from pipeline.media.pictures import Fit, fit_frame
from pipeline.media.sources import SourceFrame
from pipeline.records import Frame
from pipeline.streams.admission import Rules
from pipeline.streams.batch import Batcher
from pipeline.streams.partition import Item, Partition
from pipeline.streams.predictor import Predictor
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import FROM_FILE, Answer, PredictionWriter

BATCH = 16


@dataclass(slots=True)
class SourceReport:
    """What came of one source."""

    stream: str
    frames: int = 0
    fates: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class FrameOutcome:
    """What became of one frame of a source."""

    source: int  # index among the sources
    frame: int
    answer: Answer | None  # its prediction; None: it has none
    pick: int | None  # its line of `batch`; None: the engine has not seen it
    batch: Features | None

    def features(self) -> NDArray[np.float32] | None:
        """Copy the frame's features (F,), before the next outcome is asked for."""
        if self.batch is None or self.pick is None:
            return None
        return self.batch.line(self.pick)


def predict_sources(
    sources: Sequence[Iterator[SourceFrame]],
    *,
    bundle: Bundle,
    engine: Engine,
    reports: Sequence[SourceReport],
    gap_reset_s: float = 2.0,
) -> Iterator[FrameOutcome]:
    """Predict the frames of some sources, each a stream of its own, side by side.

    Every frame has one outcome, in its source's order. Offsets are frame numbers, capture times
    count from 1970. `reports`, one per source, are filled on the way. Raises what a source raises.
    """
    rules = Rules.of(
        rate_hz=bundle.input.rate_hz, gap_reset_s=gap_reset_s, stream_ttl_s=86_400.0 * 365
    )
    writer = PredictionWriter(labels=bundle.labels, activation=bundle.activation, model=bundle.id)
    predictor = Predictor(engine, writer, rules, topic="")
    fit = Fit(bundle.input.height, bundle.input.width, bundle.input.fit)
    opened = dict(enumerate(sources))
    beginning = Manifest.beginning(0, bundle=bundle.digest, partitions=1)
    lanes = [Partition(FROM_FILE, era=n, manifest=beginning) for n in opened]
    batcher = Batcher(BATCH)
    share = max(1, BATCH // len(sources))
    while opened:
        for n, frame in _round(opened, share):
            _admit(lanes[n], reports[n], frame, rules, fit)
        while any(lane.items for lane in lanes):  # more than BATCH sources are several batches
            batch = batcher.take(lanes)
            predictor.run([item for items in batch.values() for item in items])
            for lane, items in batch.items():
                yield from _finish(lane, items, reports[lane.era], predictor.features)


def stream_names(sources: Sequence[str]) -> list[str]:
    """Name a stream after each source: its last part, made unique."""
    names: list[str] = []
    for source in sources:
        stem = re.sub(r"[^A-Za-z0-9._:-]+", "-", Path(source).stem or "source")[:190]
        name, n = stem, 2
        while name in names:
            name, n = f"{stem}-{n}", n + 1
        names.append(name)
    return names


def _round(
    opened: dict[int, Iterator[SourceFrame]], share: int
) -> Iterator[tuple[int, SourceFrame]]:
    """Read up to `share` frames of each source; one that has ended is taken out."""
    for n in list(opened):
        for _ in range(share):
            frame = next(opened[n], None)
            if frame is None:
                del opened[n]
                break
            yield n, frame


def _finish(
    lane: Partition, items: Sequence[Item], report: SourceReport, batch: Features | None
) -> Iterator[FrameOutcome]:
    lane.finish(items)
    lane.outgoing.clear()  # items have their own
    for item in items:
        if item.fate is not None:
            report.fates[item.fate] += 1
        yield _outcome(lane, item, batch)


def _outcome(lane: Partition, item: Item, batch: Features | None) -> FrameOutcome:
    return FrameOutcome(lane.era, item.record.offset, item.answer, item.pick, batch)


def _admit(
    lane: Partition, report: SourceReport, frame: SourceFrame, rules: Rules, fit: Fit
) -> None:
    report.frames += 1
    item = lane.admit(
        Frame(
            stream=report.stream,
            partition=FROM_FILE,
            offset=frame.index,
            record_ms=frame.pts_us // 1000,
            captured_us=frame.pts_us,
            captured_given=True,
            content=b"",
        ),
        rules,
    )
    if item is not None and item.fate is None:
        item.pixels = Future[Pixels]()
        item.pixels.set_result(fit_frame(frame.picture, fit))
