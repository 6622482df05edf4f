"""Opens what a camera sends, and finds the video in it."""

from typing import Literal

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.cameras.values import Lost
from pipeline.clock import Clock
from pipeline.errors import CameraLostError
from pipeline.media.address import Address
from pipeline.media.refusals import explain

Transport = Literal["tcp", "udp"]

DEVICES = "/dev/"
# A playlist from outside must not name our files.
NETWORK = "http,https,httpproxy,tcp,tls,crypto,udp,rtp,srtp,rtsp,rtmp,rtmps,rtmpt,srt,data"
# How long a stream is looked at before its first picture. By default libav measures its rate over
# twenty frames; and `nobuffer` would throw away what it looked at, up to the next key frame.
PROBING = {"fpsprobesize": "0", "analyzeduration": "500000"}  # microseconds

_REFUSALS = (
    av.HTTPClientError,
    av.InvalidDataError,
    av.DemuxerNotFoundError,
    av.DecoderNotFoundError,
    av.ProtocolNotFoundError,
    FileNotFoundError,
    PermissionError,
)


def open_camera(
    address: Address, *, transport: Transport, connect_s: float, stall_s: float, clock: Clock
) -> InputContainer:
    """Open a URL, a device or a file. Raises `CameraLostError`.

    Opening takes `connect_s` at most, every wait for more later on `stall_s`.
    """
    device = address.url.startswith(DEVICES)
    options = dict(PROBING)
    if is_live(address) and not device:
        options["protocol_whitelist"] = NETWORK
    if address.url.startswith(("rtsp://", "rtsps://")):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
    began_s = clock.monotonic()
    try:
        return av.open(
            address.url,
            format="v4l2" if device else None,
            options=options,
            timeout=(connect_s, stall_s),
        )
    except (av.FFmpegError, OSError) as exc:
        # a server that says nothing can look like one that talks nonsense: the time tells
        if isinstance(exc, av.ExitError) or clock.monotonic() - began_s >= connect_s:
            words = f"no answer in {connect_s:g} s; is the camera on, and the address right?"
            raise CameraLostError(Lost.UNREACHABLE, words) from None
        lost = Lost.REFUSED if isinstance(exc, _REFUSALS) else Lost.UNREACHABLE
        # exc has the password in it
        raise CameraLostError(lost, explain(exc, is_url=address.is_url)) from None


def is_live(address: Address) -> bool:
    """Whether it sends at its own pace: all but a file."""
    return address.is_url or address.url.startswith(DEVICES)


def video_of(container: InputContainer) -> VideoStream:
    """Give the stream of pictures. Raises `CameraLostError` where there is none."""
    if container.format.name == "tty":  # libav shows any text as a film of a terminal
        raise CameraLostError(Lost.REFUSED, "a text file, no video")
    if not container.streams.video:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise CameraLostError(Lost.REFUSED, f"sends no video (streams: {found})")
    return container.streams.video[0]
