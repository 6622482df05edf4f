"""Opens what a camera sends, and says in our words why it cannot be opened or goes on no longer."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.cameras.address import Address
from pipeline.cameras.live import NETWORK, PROBING, Transport
from pipeline.errors import SourceError

DEVICES = "/dev/"


def open_camera(address: Address, *, transport: Transport, patience_s: float) -> InputContainer:
    """Open a URL, a device or a file; every wait, then too, is bounded. Raises `SourceError`."""
    device = address.url.startswith(DEVICES)
    options = dict(PROBING)
    if is_live(address) and not device:
        options["protocol_whitelist"] = NETWORK
    if _is_rtsp(address):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
    with translated(address):
        return av.open(
            address.url,
            format="v4l2" if device else None,
            options=options,
            timeout=patience_s,
        )


def is_live(address: Address) -> bool:
    """Whether it sends at its own pace: all but a file."""
    return "://" in address.url or address.url.startswith(DEVICES)


def video_of(container: InputContainer, address: Address) -> VideoStream:
    """Give the stream of pictures. Raises `SourceError` where there is none."""
    if container.format.name == "tty":  # libav shows any text as a film of a terminal
        raise SourceError(f"{address.shown}: a text file, no video")
    if not container.streams.video:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise SourceError(f"{address.shown}: sends no video (streams: {found})")
    return container.streams.video[0]


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn libav's errors into `SourceError`; their own words hold the URL with its password."""
    try:
        yield
    except (av.FFmpegError, OSError) as exc:
        raise SourceError(f"{address.shown}: {_why(exc, address)}") from None


def _is_rtsp(address: Address) -> bool:
    return address.url.startswith(("rtsp://", "rtsps://"))


def _why(exc: Exception, address: Address) -> str:
    if isinstance(exc, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return (
            "the camera refuses the login; give it as rtsp://USER:PASSWORD@..., or better as"
            " rtsp://${NAME}@... with NAME=USER:PASSWORD in the environment"
        )
    if isinstance(exc, av.HTTPNotFoundError):
        return "the camera answers, but has no stream of that path (404); see its manual for it"
    if isinstance(exc, ConnectionRefusedError):
        return "nobody listens there (connection refused); is the port right, and RTSP enabled?"
    if isinstance(exc, av.ExitError) or (
        isinstance(exc, av.InvalidDataError) and _is_rtsp(address)
    ):
        # a server that is stopped and answers nothing to RTSP becomes `invalid data`
        return "no picture in time; is the camera on, and the address right?"
    if isinstance(exc, av.InvalidDataError):
        return "no video that can be read (is the file whole, and a video?)"
    if isinstance(exc, OSError) and exc.errno == errno.ENOENT:
        return "no such file or device; check the path"
    if isinstance(exc, OSError) and exc.errno in (errno.EACCES, errno.EPERM):
        return "no permission to read it (a camera device wants its user in the group `video`)"
    if isinstance(exc, OSError) and exc.errno == errno.EIO and "://" in address.url:
        return "the connection broke, or there was none; is the host's name right, the camera on?"
    return getattr(exc, "strerror", None) or type(exc).__name__
