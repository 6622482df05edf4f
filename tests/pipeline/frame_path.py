"""One partition on its frame path with the `Adder`, for tests of what lies along it."""

from pipeline.records import Frame, ParsedRecord
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.predictor import Predictor
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import PredictionWriter
from tests.pipeline.adder import Adder, decoded

RULES = Rules.of(rate_hz=None, gap_reset_s=2, stream_ttl_s=600)
NO_PICTURE = b"no picture"


def frame(offset: int, stream: str = "a", brightness: int = 1, *, at_ms: int = -1) -> Frame:
    """A frame of partition 0, ten a second unless it is said when."""
    ms = offset * 100 if at_ms < 0 else at_ms
    content = bytes([brightness])
    return Frame(stream, 0, offset, ms, ms * 1000, captured_given=True, content=content)


def undecodable(offset: int, stream: str = "a", *, epoch: int | None = None) -> Frame:
    ms = offset * 100
    return Frame(
        stream, 0, offset, ms, ms * 1000, captured_given=True, content=NO_PICTURE, epoch=epoch
    )


class FramePath:
    """Takes records of one partition from their arrival to their fate."""

    def __init__(self, known: Manifest) -> None:
        self.engine = Adder()
        writer = PredictionWriter(labels=("bright", "dark"), activation="softmax", model="m")
        self.predictor = Predictor(self.engine, writer, RULES, topic="frames")
        self.partition = Partition(0, era=3, manifest=known)

    def arrive(self, *records: ParsedRecord) -> list[Item]:
        """Admit records, and decode what is let through."""
        items = [i for r in records if (i := self.partition.admit(r, RULES)) is not None]
        for item in items:
            if item.undecoded is not None:
                item.decode(decoded(item.undecoded.content))
        return items

    def take(self, *records: ParsedRecord) -> list[Item]:
        """Admit and decode records, and take them out for a batch."""
        items = self.arrive(*records)
        assert [self.partition.take_ready() for _ in items] == items
        return items

    def work(self, *records: ParsedRecord, newest_only: bool = False) -> list[Item]:
        """Take records through the engine as one batch."""
        items = self.arrive(*records)
        if newest_only:
            self.partition.keep_newest()
        assert [self.partition.take_ready() for _ in items] == items
        self.predictor.run(items)
        self.partition.finish(items)
        return items

    def sum_of(self, stream: str) -> float:
        """The memory of a stream."""
        return self.engine.sum_of(self.partition.streams[stream].row)
