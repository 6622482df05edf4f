"""Videos in, predictions out, without a broker: the same frame path, with frames from files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, Features, InputArray
from engines.model.bundle import Bundle
from pipeline.media.address import Address
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import SourceDecoder, decoder_for, source_decoder_for
from pipeline.media.sources import SourceFrame
from pipeline.records import Fate, Frame
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.served import ServedModel
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import FROM_FILE, Answer

BATCH = 16


@dataclass(slots=True)
class SourceReport:
    """The counts of one source: its frames, and how they ended."""

    stream: str
    frames: int = 0
    fates: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """Count a frame that was read."""
        self.frames += 1

    def finish(self, fate: Fate) -> None:
        """Count how a frame ended."""
        self.fates[fate] += 1


@dataclass(frozen=True, slots=True)
class FrameOutcome:
    """The result of one frame of a source."""

    source: int  # index among the sources
    frame: int
    answer: Answer | None  # its prediction; None: it has none
    pick: int | None  # its index in `batch`; None: the engine has not encoded it
    batch: Features | None

    def features(self) -> NDArray[np.float32] | None:
        """Copy the frame's features (F,). Call it before the next outcome is taken."""
        if self.batch is None or self.pick is None:
            return None
        return self.batch.vector(self.pick)


def serve_files(bundle: Bundle, engine: Engine, *, gap_reset_s: float = 2.0) -> ServedModel:
    """Return a served model for sources. Its streams never expire."""
    return ServedModel.of(
        bundle,
        engine,
        decoder=decoder_for(bundle.input, max_frame_pixels=FRAME_PIXELS),
        topic="",  # there are no dead letters: the sources yield decoded frames only
        gap_reset_s=gap_reset_s,
        stream_ttl_s=86_400.0 * 365,
        max_record_bytes=0,  # frames come decoded
        max_batch=BATCH,
    )


def predict_sources(
    sources: Sequence[Iterator[SourceFrame]],
    *,
    model: ServedModel,
    reports: Sequence[SourceReport],
) -> Iterator[FrameOutcome]:
    """Predict the frames of several sources in parallel. Each source is a stream of its own.

    Every frame has one outcome, in its source's order. Offsets are frame numbers; capture times are
    the video's times, counted from 1970. `reports`, one per source, are updated meanwhile. Raises
    what a source raises.
    """
    decode = source_decoder_for(model.bundle.input)
    opened = dict(enumerate(sources))
    beginning = Manifest.beginning(0, bundle=model.bundle.digest, partitions=1)
    lanes = [Partition(FROM_FILE, era=n, manifest=beginning) for n in opened]
    share = max(1, BATCH // len(sources))
    while opened:
        for n, frame in _round(opened, share):
            _admit(lanes[n], reports[n], frame, model.rules, decode)
        while any(lane.items for lane in lanes):  # more than BATCH sources are several batches
            for lane, items in model.step(lanes).batch.items():
                yield from _finish(lane, items, reports[lane.era], model.predictor.features)


def stream_names(sources: Sequence[Address]) -> list[str]:
    """Return a unique stream name for each source."""
    names: list[str] = []
    for source in sources:
        name, n = source.stream, 2
        while name in names:
            name, n = f"{source.stream}-{n}", n + 1
        names.append(name)
    return names


def _round(
    opened: dict[int, Iterator[SourceFrame]], share: int
) -> Iterator[tuple[int, SourceFrame]]:
    """Read up to `share` frames of each source, and remove the sources that have ended."""
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
    lane.close_checkpoint()  # frees it: nothing is committed here, outcomes hold the predictions
    for item in items:
        report.finish(item.final_fate)
        yield _outcome(lane, item, batch)


def _outcome(lane: Partition, item: Item, batch: Features | None) -> FrameOutcome:
    return FrameOutcome(lane.era, item.record.offset, item.answer, item.pick, batch)


def _admit(
    lane: Partition,
    report: SourceReport,
    frame: SourceFrame,
    rules: Rules,
    decode: SourceDecoder,
) -> None:
    report.begin()
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
        decoded = Future[InputArray]()
        decoded.set_result(decode(frame))
        item.decode(decoded)
