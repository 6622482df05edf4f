"""Draws the predictions of one stream of the log on its frames, pictures and units of H.264."""

from collections import deque
from collections.abc import Iterable, Iterator

from pipeline.media.picture_reader import PictureReader
from pipeline.media.sources import SourceFrame
from pipeline.offline.overlay.film import Film
from pipeline.records import Record
from pipeline.wire.predictions import Prediction

LONGEST_PAUSE_US = 5_000_000  # a longer one is cut, so that a film has no hours of one picture


class LogFilm:
    """Films one stream, in the first partition that has a frame of it. One owner thread.

    Records are kept encoded until the outcome of their frame is known, and decoded when they are
    drawn: at most the records that a replay has open are kept. Frames that give no picture (units
    before the first keyframe, say) are left out. The time of a frame is its capture time; a pause
    is shown as LONGEST_PAUSE_US at most, and a clock that is set back as no pause.
    """

    def __init__(self, film: Film, *, stream: str, max_bytes: int) -> None:
        self._film = film
        self._key = stream.encode()
        self._reader = PictureReader(max_bytes=max_bytes)
        self._waiting: deque[Record] = deque()
        self._last_us: int | None = None  # capture time of the newest frame
        self._pts_us = 0
        self.partition: int | None = None  # the one that is filmed; None: none yet
        self.elsewhere: set[int] = set()  # other partitions with records of the stream
        self.frames = 0  # drawn
        self.left_out = 0  # frames that give no picture

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass the records of a partition on, and keep those of the stream."""
        for record in records:
            if record.key == self._key:
                self._keep(record)
            yield record

    def show(self, prediction: Prediction) -> None:
        """Draw the frames up to that of a prediction, which come in the order of the log."""
        if prediction.stream.encode() != self._key or prediction.partition != self.partition:
            return
        while self._waiting and self._waiting[0].offset <= prediction.offset:
            record = self._waiting.popleft()
            self._draw(record, prediction if record.offset == prediction.offset else None)

    def end(self) -> None:
        """Draw the frames that have had no prediction: there are no more of this partition."""
        while self._waiting:
            self._draw(self._waiting.popleft(), None)

    def _keep(self, record: Record) -> None:
        if self.partition is None:
            self.partition = record.partition
        if self.partition == record.partition:
            self._waiting.append(record)
        else:
            self.elsewhere.add(record.partition)

    def _draw(self, record: Record, prediction: Prediction | None) -> None:
        found = self._reader.follow(record)
        if found.frame is None:
            return  # an end of the stream, or no frame at all
        step_us = 0 if self._last_us is None else found.frame.captured_us - self._last_us
        self._last_us = found.frame.captured_us
        self._pts_us += min(max(step_us, 0), LONGEST_PAUSE_US)
        if found.picture is None:
            self.left_out += 1
            return
        self._film.draw(SourceFrame(self.frames, self._pts_us, found.picture), prediction, None)
        self.frames += 1
