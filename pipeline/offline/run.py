"""Files in, predictions out, without a broker: the same frame path, with records from files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, Features, InputArray
from engines.model.bundle import Bundle
from pipeline.errors import UndecodableFrameError
from pipeline.media.address import Address
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import decoder_for, fit_source_frame
from pipeline.media.letters.text_lines import LetterRecord
from pipeline.media.sources import SourceFrame
from pipeline.records import EndOfStream, Frame
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.served import ServedModel
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import FROM_FILE, Answer

BATCH = 16
MOST_STREAMS = 1_000_000  # of one file

SourceRecord = SourceFrame | LetterRecord


@dataclass(slots=True)
class SourceReport:
    """The counts of one source: its frames, and how they ended."""

    stream: str
    frames: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    fault: str = ""  # why the first dead letter is one

    def begin(self) -> None:
        """Count a frame that was read."""
        self.frames += 1

    def finish(self, item: Item) -> None:
        """Count how a frame ended."""
        self.fates[item.final_fate] += 1
        if item.failure is not None and not self.fault:
            self.fault = f"record {item.record.offset}: {item.failure}"


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
        topic="",  # nobody reads the dead letters
        gap_reset_s=gap_reset_s,
        stream_ttl_s=86_400.0 * 365,
        max_record_bytes=0,  # frames come decoded
        max_batch=BATCH,
        max_streams=MOST_STREAMS,
    )


def predict_sources(
    sources: Sequence[Iterator[SourceRecord]],
    *,
    model: ServedModel,
    reports: Sequence[SourceReport],
    share: int | None = None,
) -> Iterator[FrameOutcome]:
    """Predict the frames of several sources in parallel. A video is a stream of its own.

    Every frame has one outcome, in its source's order. Offsets are frame numbers; capture times are
    the video's times, counted from 1970, which is also that of letters without one. `reports`, one
    per source, are updated meanwhile. `share`: how many frames of a source are read at a time;
    None: as many as a batch has room for. Raises what a source raises.
    """
    opened = dict(enumerate(sources))
    beginning = Manifest.beginning(0, bundle=model.bundle.digest, partitions=1)
    lanes = [Partition(FROM_FILE, era=n, manifest=beginning) for n in opened]
    share = share or max(1, BATCH // len(sources))
    while opened:
        for n, frame in _round(opened, share):
            _admit(lanes[n], reports[n], frame, model)
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
    opened: dict[int, Iterator[SourceRecord]], share: int
) -> Iterator[tuple[int, SourceRecord]]:
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
        report.finish(item)
        yield _outcome(lane, item, batch)


def _outcome(lane: Partition, item: Item, batch: Features | None) -> FrameOutcome:
    return FrameOutcome(lane.era, item.record.offset, item.answer, item.pick, batch)


def _admit(lane: Partition, report: SourceReport, frame: SourceRecord, model: ServedModel) -> None:
    offset = report.frames
    report.begin()
    record = _record(frame, offset, report.stream)
    item = lane.admit(record, model.rules)
    if item is not None and item.fate is None and isinstance(record, Frame):
        item.decode(_decoded(frame, model))


def _record(frame: SourceRecord, offset: int, stream: str) -> Frame | EndOfStream:
    """Return a source's frame as the log would have it."""
    captured_us = frame.pts_us if isinstance(frame, SourceFrame) else frame.captured_us
    content = b"" if isinstance(frame, SourceFrame) else frame.content
    name = stream if isinstance(frame, SourceFrame) else frame.stream
    record_ms = 0 if captured_us is None else captured_us // 1000
    if content is None:
        return EndOfStream(name, FROM_FILE, offset, record_ms)
    return Frame(
        stream=name,
        partition=FROM_FILE,
        offset=offset,
        record_ms=record_ms,
        captured_us=captured_us or 0,
        captured_given=captured_us is not None,
        content=content,
    )


def _decoded(frame: SourceRecord, model: ServedModel) -> Future[InputArray]:
    decoded = Future[InputArray]()
    try:
        if isinstance(frame, SourceFrame):
            decoded.set_result(fit_source_frame(frame, model.bundle.input))
        else:
            decoded.set_result(model.decoder(frame.content or b""))
    except UndecodableFrameError as exc:
        decoded.set_exception(exc)
    return decoded
