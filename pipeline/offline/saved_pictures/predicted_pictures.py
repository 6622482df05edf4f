"""Finds the frames that predictions were made from in the log, and saves their pictures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import BrokerUnavailableError, RestoreStalledError
from pipeline.media.picture_reader import FoundPicture, PictureReader
from pipeline.media.sources import encode_jpeg
from pipeline.offline.saved_pictures.picture_folder import PictureFolder, picture_name
from pipeline.records import Record
from pipeline.wire.predictions import Prediction

MOST_PASSED = 10_000  # records that are read to get from one prediction's frame to the next one's
MOST_REMEMBERED = 10_000  # results; predictions are repeated soon after a crash
JPEG = b"\xff\xd8\xff"

Place = tuple[int, int]  # partition and offset of a frame


class FrameLog(Protocol):
    """What is read of the frames topic. See `SpanReader`."""

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions."""

    def spans(self, topic: str, partitions: Iterable[int]) -> dict[int, range]:
        """Return the offsets that the log holds now, by partition."""

    def read(self, topic: str, spans: Mapping[int, range]) -> Iterator[list[Record]]:
        """Read spans of a topic. Raises `RestoreStalledError`."""


@dataclass(frozen=True, slots=True)
class SavedPicture:
    """The file of a prediction's picture. If it is None, `why` says why there is none."""

    file: str | None
    why: str = ""


NOT_THERE = SavedPicture(None, "its frame is not in the log")
UNREAD = SavedPicture(None, "its frame cannot be read")
OTHER = SavedPicture(None, "its frame is of another stream")
FULL = SavedPicture(None, "the folder is full")


class PredictedPictures:
    """Saves the picture of each prediction, as it was in the log: a JPEG has its own bytes.

    Predictions come in the order of their log. Reading of a partition begins with the frame of its
    first prediction, so units of H.264 are `unkeyed` until the next keyframe. From there on all
    records of the streams are read, because a unit needs those before it. Where more than
    MOST_PASSED records are between two predictions, or one goes back, reading begins anew. With
    `streams`, units of other streams are not decoded. One owner thread.
    """

    def __init__(
        self,
        log: FrameLog,
        *,
        topic: str,
        folder: PictureFolder,
        streams: Iterable[str],
        max_bytes: int,
    ) -> None:
        self._log, self._topic, self._folder = log, topic, folder
        self._partitions = set(log.partitions(topic))
        self._keys = {stream.encode() for stream in streams}
        self._reader = PictureReader(max_bytes=max_bytes)
        self._next: dict[int, int] = {}  # the offset to read on from, by partition
        self._known: dict[Place, SavedPicture] = {}  # the newest results

    @property
    def closed_decoders(self) -> int:
        """How many decoders were closed because too many streams have units."""
        return self._reader.closed

    def save(self, predictions: Sequence[Prediction]) -> Mapping[Place, SavedPicture]:
        """Save the pictures of some predictions. Raises `OutputError`."""
        wanted = {(one.partition, one.offset): one for one in predictions}
        if self._folder.full:
            return dict.fromkeys(wanted, FULL)
        found = {place: self._known[place] for place in wanted if place in self._known}
        missing = {place: one for place, one in wanted.items() if place not in found}
        try:
            for spans in self._rounds(missing):
                for record in self._records(spans):
                    prediction = missing.get((record.partition, record.offset))
                    if prediction is not None:
                        found[prediction.partition, prediction.offset] = self._saved(
                            record, prediction
                        )
                    elif not self._keys or record.key in self._keys:
                        self._reader.pass_over(record)
        except (BrokerUnavailableError, RestoreStalledError):  # or retention was faster
            found = dict.fromkeys(missing, UNREAD) | found
        self._remember(found)
        return dict.fromkeys(wanted, NOT_THERE) | found

    def _rounds(self, wanted: Iterable[Place]) -> Iterator[dict[int, range]]:
        """Yield what to read: in each round one span of every partition."""
        offsets: dict[int, list[int]] = {}
        for partition, offset in sorted(wanted):
            if partition in self._partitions:
                offsets.setdefault(partition, []).append(offset)
        kept = self._log.spans(self._topic, offsets) if offsets else {}
        runs = {
            partition: _runs(
                (one for one in some if one in kept[partition]), self._next.get(partition)
            )
            for partition, some in offsets.items()
        }
        while spans := {partition: some.pop(0) for partition, some in runs.items() if some}:
            yield spans

    def _records(self, spans: Mapping[int, range]) -> Iterator[Record]:
        """Read spans. Where one does not begin where the last one ended, decoders begin anew."""
        for partition, span in spans.items():
            if self._next.get(partition) != span.start:
                self._reader.forget(partition)
                self._next[partition] = span.start
        for records in self._log.read(self._topic, spans):
            for record in records:
                if record.offset in spans[record.partition]:
                    yield record
                    self._next[record.partition] = record.offset + 1
        self._next |= {partition: span.stop for partition, span in spans.items()}

    def _saved(self, record: Record, prediction: Prediction) -> SavedPicture:
        if record.key != prediction.stream.encode():
            self._reader.pass_over(record)
            return OTHER
        found = self._reader.follow(record)
        if found.picture is None:
            return SavedPicture(None, str(found.reason))
        name = picture_name(prediction.stream, record.partition, record.offset)
        try:
            return SavedPicture(name) if self._folder.write(name, _jpeg(found)) else FULL
        except FileExistsError:
            return SavedPicture(None, f"{name} exists already")

    def _remember(self, found: Mapping[Place, SavedPicture]) -> None:
        self._known |= {place: one for place, one in found.items() if one is not UNREAD}
        for place in list(self._known)[: max(0, len(self._known) - MOST_REMEMBERED)]:
            del self._known[place]


def _runs(offsets: Iterable[int], following: int | None) -> list[range]:
    """Return the spans that have these offsets, which grow. The first may begin at `following`."""
    runs = list[range]()
    for offset in offsets:
        if following is None or not 0 <= offset - following <= MOST_PASSED:
            runs.append(range(offset, offset + 1))
        elif runs:
            runs[-1] = range(runs[-1].start, offset + 1)
        else:
            runs.append(range(following, offset + 1))
        following = offset + 1
    return runs


def _jpeg(found: FoundPicture) -> bytes:
    """Return the record's own bytes if they are a JPEG, else the picture encoded as one."""
    content = found.record.value or b""
    if content.startswith(JPEG) or found.picture is None:
        return content
    return encode_jpeg(found.picture)
