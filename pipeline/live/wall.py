"""All that the page knows, made from records alone, within limits: records in, JSON values out."""

import threading
from collections.abc import Iterable
from typing import Any

from pipeline.clock import Clock
from pipeline.judging.camera_watch import REMOVED, CameraWatch
from pipeline.judging.chain import ChainReader
from pipeline.live.held_pictures import HeldPictures
from pipeline.live.live_stream import LiveStream
from pipeline.live.moments import shortened
from pipeline.records import BadRecord, Frame, Record
from pipeline.wire.frames import is_stream_id, read_frame
from pipeline.wire.json_text import UnreadableError

MOST_STREAMS = 1000


class Wall:
    """The streams of the log, as their newest records show them. Any thread.

    At most `most_streams` are known: for another one the stream that was heard of least recently is
    forgotten.
    """

    def __init__(
        self, pictures: HeldPictures, clock: Clock, *, most_streams: int, max_frame_bytes: int
    ) -> None:
        self.pictures = pictures
        self._clock, self._most_streams = clock, most_streams
        self._max_frame_bytes = max_frame_bytes
        self._streams: dict[str, LiveStream] = {}  # the one heard of least recently is first
        self._cameras = CameraWatch(most_cameras=most_streams)
        self._chains = self._new_chains()
        self._troubles: dict[str, str] = {}
        self._blind: set[str] = set()
        self._forgotten = self._unreadable = 0
        self._lock = threading.Lock()

    def _new_chains(self) -> ChainReader:
        return ChainReader(drop_repeats=True, whole=False, most_streams=self._most_streams)

    def in_trouble(self, topic: str, words: str, *, vital: bool) -> None:
        """Set why a topic cannot be read now; empty words end that.

        `vital`: without the topic nothing can be said of any stream.
        """
        with self._lock:
            if vital and words:
                self._blind.add(topic)
            else:
                self._blind.discard(topic)
            if words:
                self._troubles[topic] = words
            else:
                self._troubles.pop(topic, None)

    def skipped_predictions(self) -> None:
        """Accept the next link of each chain as it is: reading does not go on where it ended."""
        with self._lock:
            self._chains = self._new_chains()

    def take_predictions(self, records: Iterable[Record]) -> None:
        """Take the next records of the predictions topic."""
        with self._lock:
            now_s, time_s = self._clock.monotonic(), self._clock.time()
            for link in self._chains.read(records):
                if link.prediction is None:
                    self._unreadable += 1
                    continue
                stream = self._heard(link.prediction.stream)
                stream.predicted(link, link.prediction, now_s=now_s, time_s=time_s)

    def take_frames(self, records: Iterable[Record]) -> None:
        """Take the next records of the frames topic."""
        with self._lock:
            now_s = self._clock.monotonic()
            for record in records:
                parsed = read_frame(record, max_bytes=self._max_frame_bytes)
                if isinstance(parsed, BadRecord):
                    self._unreadable += 1
                    continue
                self._heard(parsed.stream).arrived(parsed, now_s=now_s)
                if isinstance(parsed, Frame):
                    self.pictures.keep(parsed, record, now_s=now_s)

    def take_cameras(self, records: Iterable[Record]) -> None:
        """Take the next records of the cameras topic."""
        with self._lock:
            for record in records:
                try:
                    change = self._cameras.follow(record)
                except UnreadableError:
                    self._unreadable += 1
                    continue
                if change is not None and change.state != REMOVED and is_stream_id(change.stream):
                    self._heard(change.stream)

    def _heard(self, name: str) -> LiveStream:
        """Return a stream, last in the order in which streams were heard of."""
        stream = self._streams.pop(name, None) or LiveStream(name)
        self._streams[name] = stream
        if len(self._streams) > self._most_streams:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            self.pictures.forget(oldest)
            self._forgotten += 1
        return stream

    def summary(self) -> dict[str, Any]:
        """Return what is true of the whole page: what cannot be read, and what was left out."""
        with self._lock:
            return {
                "streams": len(self._streams),
                "forgotten": self._forgotten,
                "unreadable": self._unreadable,
                "troubles": [
                    {"topic": topic, "why": why} for topic, why in sorted(self._troubles.items())
                ],
            }

    def rows(self) -> dict[str, tuple[str, str]]:
        """Return state and label of every stream, for filters and search."""
        with self._lock:
            self._cameras.overdue(int(self._clock.time() * 1000))
            return {
                name: (
                    self._state(stream)[0],
                    "" if stream.newest is None else shortened(stream.newest.label),
                )
                for name, stream in sorted(self._streams.items())
            }

    def tile(self, name: str) -> dict[str, Any] | None:
        """Return what the tile of a stream shows, None for a stream that is not known."""
        with self._lock:
            stream = self._streams.get(name)
            return None if stream is None else self._tile(stream)

    def detail(self, name: str) -> dict[str, Any] | None:
        """Return what a stream's own page shows besides its tile."""
        with self._lock:
            stream = self._streams.get(name)
            if stream is None:
                return None
            camera = self._cameras.newest.get(name)
            return self._tile(stream) | {
                "model": "" if stream.newest is None else stream.newest.model,
                "seq": None if stream.newest is None else stream.newest.seq,
                "breaks": stream.past.breaks,
                "process": camera.written.process if camera and camera.written else "",
                "fates": dict(camera.written.fates) if camera and camera.written else {},
                "moments": [
                    [one.second, one.label, one.confidence, one.partition, one.offset, one.scores]
                    for one in stream.past.moments
                ],
                "marks": [
                    {
                        "what": one.what,
                        "at": one.captured_at,
                        "frames": one.frames,
                        "place": f"partition {one.partition} offset {one.offset}",
                        "chain": one.chain,
                        "broken": one.broken,
                    }
                    for one in reversed(stream.past.marks)
                ],
            }

    def _tile(self, stream: LiveStream) -> dict[str, Any]:
        now_s = self._clock.monotonic()
        state, reason = self._state(stream)
        said, held = stream.newest, self.pictures.newest(stream.name)
        silent_s = stream.silent_s(now_s)
        return {
            "stream": stream.name,
            "state": state,
            "reason": reason,
            "label": "" if said is None else shortened(said.label),
            "confidence": None if said is None else said.confidence,
            "behind_s": None if said is None else round(stream.behind_s, 2),
            "silent_s": None if silent_s is None else round(silent_s, 1),
            "fps": round(stream.fps(now_s), 1),
            "frames": None if said is None else said.frames,
            "memory_s": None if said is None else said.age_s,
            "resets": stream.past.resets,
            "captured_at": None if said is None else said.captured_at,
            "partition": None if said is None else said.partition,
            "offset": None if said is None else said.offset,
            "chain": None if said is None else said.chain,
            "strip": stream.past.strip(),
            "picture": None if held is None else held.id,
            "picture_s": None if held is None else round(now_s - held.came_s, 1),
            "keyframe": held is not None and held.keyframe,
        }

    def _state(self, stream: LiveStream) -> tuple[str, str]:
        """Return a stream's state. Nothing is said of a camera while the log cannot be read."""
        if self._blind:
            return "not known", "the topics cannot be read now"
        camera = self._cameras.newest.get(stream.name)
        return stream.state(camera, now_s=self._clock.monotonic())
