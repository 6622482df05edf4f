"""One partition on its frame path with real decoders of H.264, for tests of units in the log."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

import av
import numpy as np

from engines.base import InputArray
from pipeline.errors import UndecodableFrameError
from pipeline.media.pictures import Fit, fit_frame
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.fitting import OwnFitting
from pipeline.media.video.lanes.unit_chain import ChainRules
from pipeline.records import EndOfStream, Fate, Frame, Keyframe, ParsedRecord
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.predictor import Predictor
from pipeline.streams.stream import Stream
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import PredictionWriter
from pipeline.wire.units import is_keyframe
from tests.pipeline.adder import Adder
from tests.pipeline.changelogs import manifest
from tests.pipeline.frame_path import NO_PICTURE
from tests.pipeline.media.video.encoding import codec_of, encoded

FIT = Fit(1, 1, "stretch")
MOST_PIXELS = 100_000
UNIT_MS = 100


def unit(
    offset: int,
    content: bytes,
    stream: str = "a",
    *,
    seq: int | None = None,
    epoch: int | None = None,
    at_ms: int | None = None,
) -> Frame:
    """A unit of partition 0, ten a second unless it is said when."""
    ms = offset * UNIT_MS if at_ms is None else at_ms
    return Frame(
        stream,
        0,
        offset,
        ms,
        ms * 1000,
        captured_given=True,
        content=content,
        seq=seq,
        epoch=epoch,
        unit=True,
        keyframe=is_keyframe(content),
    )


def end(offset: int, stream: str = "a") -> EndOfStream:
    return EndOfStream(stream, 0, offset, offset * UNIT_MS)


def units(name: str, count: int = 40, *, first: int = 0, stream: str = "a") -> list[Frame]:
    """The units of a film with their numbers."""
    found = enumerate(encoded(name)[:count])
    return [unit(first + n, content, stream, seq=n) for n, content in found]


def renumbered(records: Sequence[Frame]) -> list[Frame]:
    """Put units at offsets without holes; they keep their `seq`."""
    return [
        unit(offset, one.content, one.stream, seq=one.seq, epoch=one.epoch)
        for offset, one in enumerate(records)
    ]


@cache
def brightness(name: str) -> tuple[int, ...]:
    """The model's input of each unit, from the undamaged film."""
    decoder = av.VideoCodecContext.create(codec_of(name), "r")
    decoder.thread_count = 1
    frames = [frame for content in encoded(name) for frame in decoder.decode(av.Packet(content))]
    frames += decoder.decode(None)
    return tuple(int(fit_frame(frame, FIT)[0, 0, 0]) for frame in frames)


def runs(items: Iterable[Item]) -> str:
    """Return runs of fates: `5 predicted, 1 dead_lettered, 4 unkeyed`."""
    fates = [item.final_fate for item in items]
    return ", ".join(f"{len(list(run))} {fate}" for fate, run in groupby(fates))


@dataclass
class UnitPath:
    """Takes records of one partition from their arrival to their fate. Decodes at once."""

    known: Manifest = field(default_factory=manifest)
    rate_hz: float | None = None
    most_decoders: int = 10
    keyframe_s: float = 60.0

    def __post_init__(self) -> None:
        self.rules = Rules.of(
            rate_hz=self.rate_hz, gap_reset_s=2, stream_ttl_s=600, keyframe_s=self.keyframe_s
        )
        self.engine = Adder()
        writer = PredictionWriter(labels=("bright", "dark"), activation="softmax", model="m")
        self.predictor = Predictor(self.engine, writer, self.rules, topic="frames")
        self.partition = Partition(0, era=3, manifest=self.known)
        self.limit = DecoderLimit(self.most_decoders)
        self.chains = ChainRules(self._open, self._open, self.limit, self.rules.keyframe_ms)
        self.opened = 0
        self.held: list[Callable[[], None]] | None = None  # decodes that are put off

    def _open(self) -> OwnFitting:
        self.opened += 1
        return OwnFitting(FIT, max_frame_pixels=MOST_PIXELS)

    def _post(self, frame: Frame, unpacked_bytes: int, call: Callable[[], None]) -> None:
        del frame, unpacked_bytes
        if self.held is None:
            call()
        else:
            self.held.append(call)

    def submit(self) -> None:
        self.partition.submit_units(self.chains, self._post)

    def decode_held(self, count: int = 10_000) -> None:
        """Run decodes that were put off."""
        while self.held and count:
            count -= 1
            self.held.pop(0)()

    def arrive(self, *records: ParsedRecord) -> list[Item]:
        items = []
        for record in records:
            item = self.partition.admit(record, self.rules)
            if item is not None:
                items.append(item)
                if item.undecoded is not None:
                    item.decode(_decoded(item.undecoded.content))
            self.submit()
        return items

    def step(self) -> None:
        """Take what is ready through the engine, batch by batch."""
        while batch := self._ready():
            self.predictor.run(batch)
            self.partition.finish(batch)
            self.submit()

    def _ready(self) -> list[Item]:
        found = []
        while (item := self.partition.take_ready()) is not None:
            found.append(item)
        return found

    def work(self, *records: ParsedRecord) -> list[Item]:
        items = self.arrive(*records)
        self.step()
        return items

    def seen(self) -> list[int]:
        """The inputs that the engine has got."""
        return [one for batch in self.engine.asked_to("encode") for one in batch]

    def stream(self, name: str = "a") -> Stream:
        return self.partition.streams[name]

    def restarted(self) -> "UnitPath":
        """Return a path that goes on with what a checkpoint holds, without tensors."""
        known = manifest(
            next_offset=self.partition.next_offset, stream_time_ms=self.partition.stream_time_ms
        )
        again = UnitPath(known, self.rate_hz, self.most_decoders, self.keyframe_s)
        keyframes = dict[str, Keyframe]()
        for name, before in self.partition.streams.items():
            after = Stream(name)
            after.head = after.admission = before.admission
            if before.keyframe is not None:
                keyframes[name] = before.keyframe
            again.partition.adopt([after])
        again.partition.prime(keyframes)
        return again


def _decoded(content: bytes) -> Future[InputArray]:
    pixels = Future[InputArray]()
    if content == NO_PICTURE:
        pixels.set_exception(UndecodableFrameError("no picture"))
    else:
        pixels.set_result(np.full((1, 1, 3), content[0], np.uint8))
    return pixels


def predicted(items: Iterable[Item]) -> list[int]:
    """The offsets of predicted frames."""
    return [item.record.offset for item in items if item.final_fate is Fate.PREDICTED]
