"""All cameras of one process, each in its feed; which they are may change while they run."""

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
from pipeline.cameras.capture.connecting import is_live
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.feed import Feed, Source
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import Left
from pipeline.clock import Clock
from pipeline.media.address import Address

log = logging.getLogger(__name__)


class Way(Protocol):
    """Where shots go. Both say whether the shot is taken over."""

    def post(self, shot: Shot) -> bool:
        """Take it, whatever has to give way for it."""

    def offer(self, shot: Shot) -> bool:
        """Take it if there is room."""


class Site:
    """Keeps a feed for each camera that is wanted. One owner thread; anybody may read `tallies`."""

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

    def arrange(self, wanted: Mapping[str, CameraSettings], way: Way) -> None:
        """Begin what is new, end what is gone, begin anew what has changed; leave the rest alone.

        Shots go on their `way`. Raises `ConfigError` before anything is changed.
        """
        addresses = {n: Address.of(one.url, self._environment) for n, one in wanted.items()}
        now = {name: settings for name, (settings, _) in self._feeds.items()}
        for name in [n for n, settings in now.items() if wanted.get(n) != settings]:
            self._end(name)
        self.tallies = {n: self.tallies.get(n, CameraTally()) for n in wanted}
        for name in [n for n, settings in wanted.items() if now.get(n) != settings]:
            self._begin(name, wanted[name], addresses[name], way)

    def _begin(self, name: str, settings: CameraSettings, address: Address, way: Way) -> None:
        source = self._source(settings, address)
        shutter = Shutter(
            name,
            Exposure(
                fps=settings.fps,
                size=settings.size,
                quality=settings.quality,
                frozen_s=settings.frozen_s if source.retries else 0.0,  # a clip may stand still
            ),
            epoch_s=int(self._clock.time()),
        )
        feed = Feed(
            name,
            source,
            shutter,
            post=way.post if settings.realtime else way.offer,
            tally=self.tallies[name],
            backoff=Backoff(Random(self._rng.random())),  # noqa: S311 - no secret
            clock=self._clock,
            stop=threading.Event(),
            stall_s=settings.stall_s,
        )
        self._feeds[name] = settings, feed
        log.info("%s: connecting to %s", name, address.shown)
        feed.start()

    def _source(self, settings: CameraSettings, address: Address) -> Source:
        if not is_live(address):
            return ClipSource(
                Path(address.url),
                loop=settings.loop,
                realtime=settings.realtime,
                clock=self._clock,
            )
        return LiveSource(
            address,
            transport=settings.transport,
            connect_s=settings.connect_s,
            stall_s=settings.stall_s,
            clock=self._clock,
        )

    def _end(self, name: str) -> None:
        _, feed = self._feeds.pop(name)
        feed.stop()
        self._leaving = [one for one in self._leaving if not one.over] + [feed]
        if not feed.over:
            log.info("%s: told to stop", name)

    def stop(self, timeout_s: float) -> None:
        """End all cameras. One that waits for its source is not waited for any longer."""
        for name in list(self._feeds):
            self._end(name)
        until_s = self._clock.monotonic() + timeout_s
        for feed in self._leaving:
            feed.join(max(0.0, until_s - self._clock.monotonic()))

    @property
    def over(self) -> bool:
        """Whether no camera will send anything any more: all were clips, and have ended."""
        return all(feed.over for _, feed in self._feeds.values())

    def count(self, stream: str, left: Left, shots: int) -> None:
        """See `Account`."""
        tally = self.tallies.get(stream)
        if tally is not None:  # else it is of a camera that is gone
            tally.left[left] += shots
