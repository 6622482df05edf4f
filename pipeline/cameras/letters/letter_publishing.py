"""Publishes the records of files of letters, in their order, numbered in each stream."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

from pipeline.clock import Clock
from pipeline.media.letters.letter_source import LetterSource
from pipeline.records import Headers
from pipeline.wire.frames import frame_headers

MOST_IN_FLIGHT = 5000  # records: what is sent faster than the broker takes it waits here
FULL_PAUSE_S = 0.01

Publish = Callable[[str, bytes | None, Headers], None]

CONTENT_TYPES = {"text": "text/plain; charset=utf-8", "bases": "text/x-iupac"}


class LetterPublishing:
    """One run of the producer. `publish` sends a record; without content it ends its stream.

    `in_flight` returns how many of them the broker has not answered.

    The epoch is the time of the start in milliseconds, so streams that come again start afresh.
    `ends`: streams end with their source. `per_second`: at most so many records a second; None: as
    many as the log takes. One owner thread.
    """

    def __init__(
        self,
        publish: Publish,
        in_flight: Callable[[], int],
        *,
        kind: Literal["text", "bases"],
        ends: bool,
        per_second: float | None,
        clock: Clock,
        pause: Callable[[float], None],
    ) -> None:
        self._publish, self._in_flight = publish, in_flight
        self._content_type = CONTENT_TYPES[kind]
        self._ends = ends
        self._per_second = per_second
        self._clock, self._pause = clock, pause
        self._epoch = round(clock.time() * 1000)
        self._began_s = clock.monotonic()
        self._seq: Counter[str] = Counter()  # the next number of each stream
        self.records = 0
        self.streams = 0

    def run(self, source: LetterSource) -> Iterator[None]:
        """Publish a source, and yield after each record. Raises what the source raises."""
        opened: dict[str, None] = {}
        for record in source:
            if not source.interleaved:
                self._end_all(opened, but=record.stream)
            if record.content is None:
                self._end(record.stream)
                opened.pop(record.stream, None)
            else:
                self.streams += record.stream not in self._seq
                opened[record.stream] = None
                self._send(record.stream, record.content, record.captured_us)
            yield
        self._end_all(opened, but=None)

    def _send(self, stream: str, content: bytes, captured_us: int | None) -> None:
        self._wait()
        headers = frame_headers(
            captured_us=captured_us,
            seq=self._seq[stream],
            epoch=self._epoch,
            content_type=self._content_type,
        )
        self._publish(stream, content, headers)
        self._seq[stream] += 1
        self.records += 1

    def _end_all(self, opened: dict[str, None], *, but: str | None) -> None:
        for stream in [stream for stream in opened if stream != but]:
            del opened[stream]
            if self._ends:
                self._end(stream)

    def _end(self, stream: str) -> None:
        self._publish(stream, None, ())

    def _wait(self) -> None:
        if self._per_second is not None:
            due_s = self._began_s + self.records / self._per_second
            self._pause(max(0.0, due_s - self._clock.monotonic()))
        while self._in_flight() >= MOST_IN_FLIGHT:
            self._pause(FULL_PAUSE_S)
