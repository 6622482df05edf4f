"""The streams of one camera without a thread, and sources of given pictures."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from pipeline.broker.shots import Shot
from pipeline.cameras.backoff import Backoff
from pipeline.cameras.camera_settings import CameraSettings
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.feed import Feed, Source
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import Picture
from pipeline.cameras.views.camera_stream import CameraStream
from pipeline.clock import ManualClock
from pipeline.errors import CameraLostError, LossReason
from tests.pipeline.cameras.scene import START_S


class Shots:
    """The shots of a camera's streams, made without a thread."""

    def __init__(
        self, source: Source, *, exposure: Exposure | None = None, **settings: object
    ) -> None:
        camera = CameraSettings.model_validate({"url": "x", **settings})
        self.tallies = dict[str, CameraTally]()
        self.made = list[Shot]()
        self.clock = ManualClock(START_S)
        streams = [
            CameraStream(
                name,
                Shutter(name, exposure or Exposure(size=camera.size), epoch_s=7),
                view=view,
                post=self._post,
                tally=self.tallies.setdefault(name, CameraTally()),
                clock=self.clock,
            )
            for name, view in camera.streams("gate").items()
        ]
        Feed(
            "gate",
            source,
            streams,
            backoff=Backoff(Random(1)),  # noqa: S311
            clock=self.clock,
            stop=threading.Event(),
            stall_s=5.0,
        ).run()

    def _post(self, shot: Shot) -> bool:
        self.made.append(shot)
        return True

    def of(self, stream: str) -> list[Shot]:
        """The shots of one stream, without its name."""
        return [replace(shot, stream="") for shot in self.made if shot.stream == stream]


class Given:
    """See `Source`: these pictures, once."""

    retries = False

    def __init__(self, *pictures: Picture) -> None:
        self._pictures = pictures

    def pictures(self, stop: threading.Event) -> Iterator[Picture]:
        del stop
        yield from self._pictures
        raise CameraLostError(LossReason.ENDED, "over")
