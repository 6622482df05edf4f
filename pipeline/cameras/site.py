"""All cameras of one process, each with its own feed; the set may change while they run."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Protocol

from pipeline.broker.shots import Shot
from pipeline.cameras.backoff import Backoff
from pipeline.cameras.camera_settings import CameraSettings
from pipeline.cameras.capture.clip import ClipSource
from pipeline.cameras.capture.connecting import SNAPSHOTS_HZ, Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.feed import Feed, Source
from pipeline.cameras.passing.obstacles import obstacle
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import Condition, PictureFate
from pipeline.cameras.views.camera_stream import CameraStream
from pipeline.clock import Clock
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits

log = logging.getLogger(__name__)


class ShotSink(Protocol):
    """Accepts shots. Both methods return whether the shot was accepted."""

    def post(self, shot: Shot) -> bool:
        """Accept the shot always; older shots may be dropped to make room."""

    def offer(self, shot: Shot) -> bool:
        """Accept the shot if there is room."""


class Site:
    """Runs one feed for each configured camera. One owner thread; any thread may read `tallies`."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        clock: Clock,
        rng: Random,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._rng = rng
        self._feeds: dict[str, tuple[CameraSettings, Feed]] = {}
        self._leaving: list[Feed] = []
        self.tallies: dict[str, CameraTally] = {}

    def arrange(self, wanted: Mapping[str, CameraSettings], sink: ShotSink) -> None:
        """Start new cameras, stop removed ones, restart changed ones; leave the others running.

        All shots go to `sink`. If it raises `ConfigError`, nothing has been changed.
        """
        addresses = {n: Address.of(one.url, self._environment) for n, one in wanted.items()}
        now = {name: settings for name, (settings, _) in self._feeds.items()}
        for name in [n for n, settings in now.items() if wanted.get(n) != settings]:
            self._end(name)
        new = Condition(since_s=self._clock.time())
        streams = [stream for n, settings in wanted.items() for stream in settings.streams(n)]
        self.tallies = {n: self.tallies.get(n, CameraTally(new)) for n in streams}
        for name in [n for n, settings in wanted.items() if now.get(n) != settings]:
            self._begin(name, wanted[name], addresses[name], sink)

    def _begin(self, name: str, settings: CameraSettings, address: Address, sink: ShotSink) -> None:
        source = self._source(settings, address)
        exposure = Exposure(
            fps=settings.fps,
            size=settings.size,
            quality=settings.quality,
            frozen_s=settings.frozen_s if source.retries else 0.0,  # a clip may stand still
            obstacle=_obstacle(settings, address),
            keyframe_s=settings.keyframe_s,
        )
        streams = [
            CameraStream(
                stream,
                Shutter(stream, exposure, epoch_s=int(self._clock.time())),
                view=view,
                post=sink.post if settings.realtime else sink.offer,
                tally=self.tallies[stream],
                clock=self._clock,
            )
            for stream, view in settings.streams(name).items()
        ]
        feed = Feed(
            name,
            source,
            streams,
            backoff=Backoff(Random(self._rng.random())),  # noqa: S311 - no secret
            clock=self._clock,
            stop=threading.Event(),
            stall_s=settings.stall_s,
        )
        self._feeds[name] = settings, feed
        log.info("%s: connecting to %s", name, address.shown)
        feed.start()

    def _source(self, settings: CameraSettings, address: Address) -> Source:
        if not address.is_live:
            return ClipSource(
                Path(address.url),
                loop=settings.loop,
                realtime=settings.realtime,
                clock=self._clock,
            )
        return LiveSource(
            lambda: Address.of(settings.url, self._environment),
            Connecting(
                Limits(connect_s=settings.connect_s, read_s=settings.stall_s),
                settings.transport,
                settings.access,
                settings.fps or SNAPSHOTS_HZ,
            ),
            clock=self._clock,
        )

    def _end(self, name: str) -> None:
        _, feed = self._feeds.pop(name)
        feed.stop()
        self._leaving = [one for one in self._leaving if not one.over] + [feed]
        if not feed.over:
            log.info("%s: told to stop", name)

    def stop(self, timeout_s: float) -> None:
        """Stop all cameras, and wait at most `timeout_s` in all for their threads."""
        for name in list(self._feeds):
            self._end(name)
        until_s = self._clock.monotonic() + timeout_s
        for feed in self._leaving:
            feed.join(max(0.0, until_s - self._clock.monotonic()))

    @property
    def over(self) -> bool:
        """Whether no camera will send any more shots: all were clips, and all have ended."""
        return all(feed.over for _, feed in self._feeds.values())

    def count(self, stream: str, fate: PictureFate, shots: int) -> None:
        """See `FateCounter`."""
        tally = self.tallies.get(stream)
        if tally is not None:  # None: the camera was removed
            tally.count(fate, shots)


def _obstacle(settings: CameraSettings, address: Address) -> str | None:
    if settings.video == "jpeg":
        return ""
    cut = settings.crop is not None or bool(settings.mask) or settings.views is not None
    return obstacle(address, transport=settings.transport, fps=settings.fps, cut=cut)
