"""A camera on the network or on this machine, read through libav: one connection at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import av
from av.video.stream import VideoStream

from pipeline.cameras.capture.connecting import Connecting, open_camera, video_of
from pipeline.cameras.capture.pacing import Burst, paced
from pipeline.cameras.capture.reading import PacketReader
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, ConfigError, LossReason, UndecodableFrameError
from pipeline.media.address import Address
from pipeline.media.opening.media import Media
from pipeline.media.refusals import words_of
from pipeline.media.showing.frame_times import INVENTED

IN_PIECES = "hls"  # arrives in segments of several seconds


class LiveSource:
    """See `Source`. MJPEG is passed through without decoding, other codecs use one thread.

    `address` is called at each connection, so that a replaced secret is used without a restart.
    """

    retries = True

    def __init__(self, address: Callable[[], Address], how: Connecting, *, clock: Clock) -> None:
        self._address = address
        self._how = how
        self._clock = clock
        self._waited_s = 0.0

    def pictures(self, stop: threading.Event) -> Iterator[Picture | PictureFate | None]:
        """See `Source`."""
        with closing(self._open()) as media:
            stream = video_of(media.container)
            pictures = self._read(media, stream, stop)
            if media.container.format.name == IN_PIECES:
                yield from paced(pictures, clock=self._clock, stop=stop)
            elif media.container.format.name in INVENTED:
                yield from pictures
            else:
                yield from self._caught_up(pictures)
        if not stop.is_set():
            raise CameraLostError(LossReason.ENDED, "the connection was closed")

    def _caught_up(
        self, pictures: Iterator[Picture | PictureFate | None]
    ) -> Iterator[Picture | PictureFate | None]:
        burst = Burst()
        try:
            for picture in pictures:
                if isinstance(picture, Picture):
                    yield from burst.add(picture, waited_s=self._waited_s)
                else:
                    yield picture
        except CameraLostError:
            yield from burst.end()
            raise
        yield from burst.end()

    def _read(
        self, media: Media, stream: VideoStream, stop: threading.Event
    ) -> Iterator[Picture | PictureFate | None]:
        """Yield pictures as they arrive.

        `_waited_s` is the longest wait for a packet since the one before, of sound for example.
        """
        packets = media.packets()
        waited_s = 0.0
        try:
            reader = PacketReader(stream, timed=media.container.format.name not in INVENTED)
            while not stop.is_set():
                began_s = self._clock.monotonic()
                packet = next(packets, None)
                waited_s = max(waited_s, self._clock.monotonic() - began_s)
                if packet is None:
                    return
                if packet.stream.index == stream.index:
                    self._waited_s, waited_s = waited_s, 0.0
                    yield from reader.read(packet)
                else:
                    yield None
        except (av.ExitError, TimeoutError):
            words = f"nothing came for {self._how.limits.read_s:g} s (`stall_s`)"
            raise CameraLostError(LossReason.STALLED, words) from None
        except UndecodableFrameError as exc:
            raise CameraLostError(LossReason.REFUSED, str(exc)) from None
        except (av.FFmpegError, OSError) as exc:
            words = f"the connection broke ({words_of(exc)})"
            raise CameraLostError(LossReason.BROKEN, words) from None

    def _open(self) -> Media:
        try:
            address = self._address()
        except ConfigError as exc:  # a secret is being replaced, perhaps
            raise CameraLostError(LossReason.UNREACHABLE, str(exc)) from None
        return open_camera(address, self._how, self._clock)
